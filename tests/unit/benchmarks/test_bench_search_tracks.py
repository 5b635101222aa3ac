"""The benchmark's measures measure what they say, and its peers really search."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.search.alarms import false_alarms, first_alarm, power, tuned
from benchmarks.search.detectors import classical
from benchmarks.search.detectors.registry import DETECTORS, OURS
from benchmarks.search.detectors.series import Series
from benchmarks.search.figures import Figure
from benchmarks.search.intervals import mean_half_width, paired
from benchmarks.search.loop import play
from benchmarks.search.peers.registry import POLICIES
from benchmarks.search.plan import Plan
from benchmarks.search.streams import Stream, record
from benchmarks.search.tables import goals, missed
from benchmarks.search.world import World
from judgement.drift.assess import assess, verdicts

pytestmark = pytest.mark.no_cover  # whole campaigns, whose parts have tests of their own; tracing takes a third more


def gaps(*values):
    """Submissions with these gaps between target and dev, dev rising."""
    gap = np.array(values)
    dev = 0.5 + 0.01 * np.arange(len(gap))
    return Series(dev, dev + gap, np.full(len(gap), 0.02))


STEADY = gaps(*np.random.default_rng(0).normal(0, 0.02, 60))
BROKEN = gaps(*np.random.default_rng(0).normal(0, 0.02, 30), *np.random.default_rng(1).normal(-0.4, 0.02, 30))


@pytest.mark.parametrize("detector", [classical.page_hinkley, classical.cusum, classical.adwin])
def test_a_change_detector_speaks_up_when_the_gap_breaks(detector):
    assert detector(BROKEN) > 3 * detector(STEADY) + 0.05


def test_a_change_detector_looks_both_ways():
    up = gaps(*-BROKEN.gap)
    assert classical.page_hinkley(up) == pytest.approx(classical.page_hinkley(BROKEN))
    assert classical.cusum(up) == pytest.approx(classical.cusum(BROKEN))


def test_spearman_speaks_up_when_the_target_falls_as_dev_rises():
    dev = np.linspace(0.4, 0.6, 12)
    falls, rises = (Series(dev, sign * dev, np.full(12, 0.02)) for sign in (-1, 1))
    assert classical.spearman(falls) > 0.99
    assert classical.spearman(rises) < 0.01


def test_the_shipped_statistic_passes_a_threshold_exactly_when_the_shipped_test_alarms(monkeypatch):
    from benchmarks.search import streams

    seen: list[bool] = []

    def listening(history, round_):
        assessed = assess(history, round_)
        seen.append(bool(verdicts(history, assessed)))
        return assessed

    monkeypatch.setattr(streams, "assess", listening)
    alarmed = 0
    for seed in (10_000, 10_001, 10_004):
        seen.clear()
        stream = record("region", seed, Plan())
        reached = stream.statistics[list(DETECTORS).index(OURS)] >= Plan().threshold
        assert list(reached) == seen
        alarmed += sum(seen)
    assert alarmed > 0


def stream(statistic, exposed=None, named="bits"):
    """A stream in which every detector says the same."""
    rows = np.tile(np.array(statistic, dtype=float), (len(DETECTORS), 1))
    return Stream("region", 0, rows, ((named,),) * len(statistic), exposed, "bits")


def test_the_first_alarm_is_the_first_round_at_the_threshold():
    assert first_alarm(stream([1, 5, 9, 2]), OURS, 5.0) == 2
    assert first_alarm(stream([1, 5, 9, 2]), OURS, 9.1) is None


def test_power_counts_the_exposed_and_delay_runs_from_exposure():
    seen = [
        stream([0, 0, 0, 9], exposed=2),  # 2 rounds late
        stream([0, 9, 0, 0], exposed=2, named="roman"),  # at once, wrong domain
        stream([9, 0, 0, 9], exposed=2),  # too early
        stream([0, 0, 0, 0], exposed=1),  # missed
        stream([0, 0, 0, 0]),  # nothing to notice
    ]
    found = power(seen, OURS, 5.0)
    assert (found.rate.k, found.rate.n, found.early.k, found.early.n) == (2, 4, 1, 5)
    assert (found.delay[0], found.named.k, found.named.n) == (1.0, 1, 2)


def test_a_tuned_threshold_gives_the_alarms_that_were_asked_for():
    seen = [stream([value]) for value in range(20)]
    for alarms in (0, 1, 5):
        assert false_alarms(seen, OURS, tuned(seen, OURS, alarms)).k == alarms


def test_intervals():
    mean, half = mean_half_width([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert half == pytest.approx(2.484, abs=1e-3)
    assert paired([1.0, 1.0], [2.0, 4.0])[0] == 2.0


@pytest.mark.parametrize("name", [name for name in POLICIES if name.startswith(("PBT", "Optuna TPE on dev", "two"))])
def test_a_peer_that_learns_beats_random_search(name):
    plan = Plan(dev_items=5000, external_items=20_000)
    peer, random = (
        np.mean([play(World(seed, "null"), POLICIES[who], plan).regret for seed in range(10_000, 10_004)])
        for who in (name, "random, board-best")
    )
    assert peer < random


def test_a_goal_is_missed_where_nothing_was_measured():
    nothing = Figure("power, region", "share", float("nan"), (0.0, 1.0), "CUSUM", 0.5, at_least=0.7)
    enough = Figure("regret, region", "accuracy", 0.03, (0.02, 0.04), "GP", 0.06, at_most=0.035, ahead=(0.03, 0.01))
    assert (nothing.met, enough.met) == (False, True)
    assert "missed: power, region" in missed([nothing, enough])
    assert [line.split()[-1] for line in goals([nothing, enough]).splitlines()[1:]] == ["NO", "yes"]
