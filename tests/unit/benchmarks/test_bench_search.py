"""The simulated worlds are what they say they are, and the loop keeps its budget and its secrets."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest

from benchmarks.search.drivers import Free, Refused, Shipped
from benchmarks.search.loop import play
from benchmarks.search.optimum import best_on_dev, best_target
from benchmarks.search.peers.gp_thompson import GpThompson
from benchmarks.search.peers.random_search import RandomSearch
from benchmarks.search.plan import Plan
from benchmarks.search.recheck import recheck
from benchmarks.search.space import DEFAULT, MIDDLE, SPACE, code_of, random_codes, recipe_of
from benchmarks.search.world import World, fingerprint
from schemas.evidence import Submission

pytestmark = pytest.mark.no_cover  # whole campaigns, whose parts have tests of their own; tracing takes a third more

SEEDS = range(10_000, 10_012)
SMALL = Plan(rounds=2, slots=3)


def drawn(seed=0, count=400):
    return random_codes(np.random.default_rng(seed), count)


def test_the_worlds_are_frozen():
    assert fingerprint() == "06162f217580a492c106025a800da7c701183a756092a1153afecd20b60cf5e2"


def test_a_recipe_and_its_row_are_the_same():
    assert len(SPACE) == 17
    assert (code_of(DEFAULT) == MIDDLE).all()
    for row in drawn(count=20):
        assert (code_of(recipe_of(row)) == row).all()


@pytest.mark.parametrize("kind", ["null", "benign", "rough", "scaled"])
def test_nothing_misleads_where_nothing_drifts(kind):
    for seed in SEEDS:
        assert np.abs(World(seed, kind).truths(drawn(), 8).misleading).max() < 1e-9


def test_the_null_target_is_dev_with_an_offset():
    truth = World(10_000, "null").truths(drawn())
    assert np.ptp(truth.dev.mean(axis=1) - truth.target) < 0.02


def test_the_scaled_target_moves_by_a_tenth_to_a_half_of_dev():
    for seed in SEEDS:
        truth = World(seed, "scaled").truths(drawn())
        slope = np.polyfit(truth.dev.mean(axis=1), truth.target, 1)[0]
        assert 0.05 < slope < 0.6


@pytest.mark.parametrize("kind", ["region", "onset", "global"])
def test_the_best_of_dev_costs_target_where_dev_is_inflated(kind):
    cost, alike = [], []
    for seed in SEEDS:
        world = World(seed, kind)
        cost.append(best_target(world) - world.truths(best_on_dev(world, 8), 8).target[0])
        truth = world.truths(drawn(), 8)
        alike.append(np.corrcoef(truth.dev.mean(axis=1), truth.target)[0, 1])
    assert np.mean(cost) > 0.03
    assert np.mean(alike) > 0.7


def test_onset_misleads_from_its_round_on_only():
    for seed in SEEDS:
        world = World(seed, "onset")
        assert world.onset in (3, 4, 5)
        before, after = (np.abs(world.truths(drawn(), r).misleading).max() for r in (world.onset - 1, world.onset))
        assert before < 1e-9
        assert after > 0.01


def test_a_blind_dev_stays_flat_where_the_target_rises():
    for seed in SEEDS:
        blind, plain = (World(seed, kind).truths(drawn()) for kind in ("blind", "benign"))
        assert np.array_equal(blind.dev, plain.dev)
        assert (blind.target - plain.target).max() > 0.01
        assert blind.misleading.min() < -0.01


def test_a_saturating_target_never_falls_as_dev_rises():
    world = World(10_000, "saturating")
    truth = world.truths(drawn())
    domain = world.region.domain
    order = np.argsort(truth.dev[:, domain])
    own = truth.external[order, domain] - world.arm_effects.sum()
    assert np.ptp(own) < 0.6 * np.ptp(truth.dev[:, domain])


def test_collateral_harm_is_in_a_domain_whose_dev_hardly_shows_it():
    world = World(10_000, "collateral")
    codes, other = drawn(), world.region.other
    harmed, plain = world.truths(codes), World(10_000, "benign").truths(codes)
    lost, shown = ((p - h)[:, other].max() for p, h in ((plain.external, harmed.external), (plain.dev, harmed.dev)))
    assert lost > 5 * shown


def test_no_single_change_improves_the_best_target():
    world = World(10_000, "region")
    assert best_target(world) >= world.truths(drawn(count=20_000)).target.max()


def test_a_campaign_comes_out_the_same_every_time():
    world = World(10_000, "region")
    for driver in (Free(RandomSearch()), Free(GpThompson()), Shipped()):
        first, second = (play(world, driver, SMALL) for _ in range(2))
        assert (first.regret, first.misleading, first.alarms) == (second.regret, second.misleading, second.alarms)


@dataclass(frozen=True)
class Greedy(RandomSearch):
    """Asks as it is told."""

    ask: tuple[str, ...] = ()

    def choose_submissions(self, history, round_):
        return (), tuple(Submission(candidate=name, reason="") for name in self.ask)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (("r1s0", "r1s1", "r1s2"), "external_per_round"),
        (("r1s0",), "already queried"),
        (("base",), "already queried"),
        (("r9s9",), "no dev score"),
    ],
)
def test_a_query_beyond_the_budget_is_refused(ask, words):
    with pytest.raises(Refused, match=words):
        play(World(10_000, "null"), Free(Greedy(ask=ask)), SMALL)


def test_more_recipes_than_slots_are_refused():
    class TooMany(RandomSearch):
        def propose(self, history, slots, rng):
            return super().propose(history, slots + 1, rng)

    with pytest.raises(Refused, match="4 recipes for 3 slots"):
        play(World(10_000, "null"), Free(TooMany()), SMALL)


def test_a_policy_sees_the_target_of_the_submitted_alone():
    seen = []

    class Spy(RandomSearch):
        def propose(self, history, slots, rng):
            seen.append({t.candidate for t in history.trials.values() if "external" in t.scores})
            assert not any("final" in t.scores for t in history.trials.values())
            return super().propose(history, slots, rng)

        def choose_submissions(self, history, round_):
            chosen = Submission(candidate=f"r{round_}s1", reason="")
            return (), (chosen,)

    play(World(10_000, "null"), Free(Spy()), SMALL)
    assert seen == [{"base"}, {"base", "r1s1"}]


def test_a_report_of_other_code_is_noticed(tmp_path):
    world = World(30_000, "null")
    ends = round(play(world, Free(RandomSearch()), SMALL, best_target(world)).regret, 5)
    report = tmp_path / "search.json"
    row = {"setting": "8 x 8 x 2", "kind": "null", "policy": "random, board-best"}
    for regret, said in ((ends, "1 of 1"), (ends + 0.01, "0 of 1")):
        report.write_text(json.dumps({"plan": vars(SMALL), "track_b": [{**row, "regret": [regret]}]}))
        first, *others = recheck(report, 1)
        assert first.startswith(said)
        assert len(others) == (said == "0 of 1")
