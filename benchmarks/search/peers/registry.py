"""Every policy of the benchmark by the name that it has in the tables."""

from __future__ import annotations

from benchmarks.search.drivers import Driver, Free, Shipped
from benchmarks.search.peers.gp_thompson import GpThompson
from benchmarks.search.peers.optuna_search import OptunaOnTarget, OptunaSearch, gp
from benchmarks.search.peers.population import Population
from benchmarks.search.peers.random_search import RandomSearch
from benchmarks.search.peers.ranking import dev_best
from benchmarks.search.peers.two_fidelity import TwoFidelityThompson

OURS = "ours"

POLICIES: dict[str, Driver] = {
    OURS: Shipped(),
    "random, board-best": Free(RandomSearch()),
    "PBT on dev, board-best": Free(Population()),
    "Optuna TPE on target": Free(OptunaOnTarget()),
    "Optuna TPE on dev, board-best": Free(OptunaSearch()),
    "Optuna TPE on dev, dev-best": Free(OptunaSearch(dev_best)),
    "GP-TS on dev, board-best": Free(GpThompson()),
    "GP-TS on dev, dev-best": Free(GpThompson(dev_best)),
    "two-fidelity GP": Free(TwoFidelityThompson()),
}
"""Those that run on every seed."""

SLOW: dict[str, Driver] = {
    "Optuna GP on dev, board-best": Free(OptunaSearch(sampler=gp)),
    "Optuna GP on dev, dev-best": Free(OptunaSearch(dev_best, gp)),
}
"""Those that take twenty seconds and more for one campaign: a few seeds only."""

ALL = POLICIES | SLOW
