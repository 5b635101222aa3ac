"""The closed loop: one policy in one world, from the base model to the final choice, at a fixed budget.

The loop owns the trials, the counts and the budget. What the constitution forbids is refused, whoever asks: a second
query of one candidate, one query too many, a candidate that has no dev score.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.search.board import Board
from benchmarks.search.drivers import Driver, allowed
from benchmarks.search.optimum import best_target
from benchmarks.search.plan import Plan
from benchmarks.search.world import World
from schemas.events import DriftDetected
from schemas.scores import BASE

EXPOSED = 0.02
"""Misleading part of a submitted candidate from which on there was something to be noticed, in accuracy."""


@dataclass(frozen=True)
class Outcome:
    """How a campaign ended."""

    regret: float
    """True target of the best recipe of the world less that of the final choice."""
    misleading: float
    """Misleading part of the final choice."""
    alarms: tuple[tuple[int, str], ...]
    """`DriftDetected` by round and scope."""
    exposed: int | None
    """Round of the first submission with a misleading part to be noticed."""
    domain: str
    """The domain that the world's region is in."""
    seconds: float
    """Processor time, the simulation's own (about .02 s) included."""


def play(world: World, driver: Driver, plan: Plan, best: float | None = None) -> Outcome:
    """One campaign; `best` is the world's best target, where it is known already."""
    board = Board(world, plan)
    start = time.process_time()
    board.append(driver.opening(board.history))
    alarms: list[tuple[int, str]] = []
    for round_ in range(1, plan.rounds + 1):
        alarms += play_round(board, driver, round_)
        if round_ < plan.rounds:
            board.append(allowed(board.history, driver.update(board.history)))
    final = driver.final(board.history)
    seconds = time.process_time() - start
    truth = board.truth(final)
    best = best_target(world) if best is None else best
    return Outcome(
        regret=best - float(truth.target[0]),
        misleading=float(truth.misleading[0]),
        alarms=tuple(alarms),
        exposed=exposure(board),
        domain=board.history.campaign.constitution.domains[world.region.domain],
        seconds=seconds,
    )


def play_round(board: Board, driver: Driver, round_: int) -> list[tuple[int, str]]:
    """One round; the alarms that it raised."""
    history = board.history
    board.data(round_)
    for proposal in driver.propose(history):
        board.train(proposal)
    chosen = allowed(history, driver.submissions(history, round_))
    board.append(chosen)
    for submission in chosen.confirm:
        board.measure(submission.candidate, "confirm")
    for submission in chosen.external:
        board.query(submission.candidate, round_)
    verdicts = driver.assess(history, round_)
    board.append(*verdicts)
    return [(round_, event.assessment.scope) for event in verdicts if isinstance(event, DriftDetected)]


def exposure(board: Board) -> int | None:
    """The first round in which a candidate of the region was submitted."""
    queries = [r for r in board.history.reservations if r.candidate != BASE]
    return min((r.round for r in queries if abs(board.truth(r.candidate).misleading[0]) > EXPOSED), default=None)
