"""Recorded campaigns for the detectors: a dev-greedy search that nobody warns, and what each detector made of it.

A stream is played once per world and seed; all detectors read it as it grows, round by round.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.search.board import Board
from benchmarks.search.detectors.registry import DETECTORS, shipped
from benchmarks.search.detectors.series import series
from benchmarks.search.drivers import Free
from benchmarks.search.loop import exposure, play_round
from benchmarks.search.peers.gp_thompson import GpThompson
from benchmarks.search.peers.ranking import dev
from benchmarks.search.plan import Plan
from benchmarks.search.world import World
from judgement.drift.assess import alarming, assess
from judgement.history import History
from judgement.search.policy import Chosen
from judgement.search.space import Floats
from judgement.search.submit import queries_left
from schemas.evidence import Submission


@dataclass(frozen=True)
class DevGreedy(GpThompson):
    """Searches on dev; submits the round's best dev, and random others of the round."""

    def choose_submissions(self, history: History, round_: int) -> Chosen:
        """The best by its dev, the others by lot."""
        ranked = sorted(history.of_round(round_), key=dev, reverse=True)
        rng = np.random.default_rng([history.campaign.seed, 22, round_])
        others = rng.choice(len(ranked) - 1, queries_left(history) - 1, replace=False) + 1
        chosen = [ranked[0], *(ranked[i] for i in others)]
        submissions = tuple(Submission(candidate=t.candidate, reason="") for t in chosen)
        return submissions, submissions


@dataclass(frozen=True)
class Stream:
    """What the detectors said, and what was true."""

    kind: str
    """Kind of the world."""
    seed: int
    """Its seed."""
    statistics: Floats
    """Statistic of each detector after each round, (detectors, rounds)."""
    named: tuple[tuple[str, ...], ...]
    """Scopes that the shipped test would name after each round, were its threshold passed."""
    exposed: int | None
    """First round in which a submitted candidate had a misleading part to be noticed."""
    domain: str
    """The domain of the world's region."""


def record(kind: str, seed: int, plan: Plan) -> Stream:
    """Play and listen."""
    world = World(seed, kind, plan.rounds)
    board, driver = Board(world, plan), Free(DevGreedy())
    board.append(driver.opening(board.history))
    columns, named = [], []
    for round_ in range(1, plan.rounds + 1):
        play_round(board, driver, round_)
        assessed, measured = assess(board.history, round_), series(board.history)
        columns.append([detector(measured, assessed) for detector in DETECTORS.values()])
        reached = assessed.model_copy(update={"threshold": shipped(measured, assessed)})
        named.append(tuple(scope.scope for scope in alarming(reached)))
        policy = driver.update(board.history)
        if round_ < plan.rounds:  # no policy opens a round beyond the campaign's last
            board.append(policy)
    domain = board.history.campaign.constitution.domains[world.region.domain]
    return Stream(kind, seed, np.array(columns).T, tuple(named), exposure(board), domain)
