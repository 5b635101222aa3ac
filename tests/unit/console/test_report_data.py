import itertools
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgement.history import fold
from services.console.report.data import Clock, build, seconds, union, within
from tests.unit.console_events import BEGIN, CAMPAIGN, Log, finished, two_rounds


def at(second):
    return BEGIN + timedelta(seconds=second)


def report(log, clock=None):
    return build(fold(CAMPAIGN, log.envelopes), log.envelopes, clock or Clock())


def test_base_and_winner_have_the_four_scores_or_null():
    made = report(finished())
    assert made["base"]["external"]["score"] == 0.17
    assert made["base"]["confirm"] is None
    assert made["winner"]["candidate"] == "r2s1"
    assert set(made["winner"]["final"]) == {"score", "se", "n", "domains"}
    assert made["winner"]["final"]["score"] == 0.34


def test_rounds_tell_candidates_submissions_drift_and_policy():
    first, second = report(finished())["rounds"]
    assert [c["candidate"] for c in first["candidates"]] == ["r1s0", "r1s1", "r1s2", "r1s3"]
    assert [c["state"] for c in first["candidates"]] == [
        "scored",
        "measured on target",
        "measured on target",
        "failed: OutOfMemory",
    ]
    assert first["candidates"][1]["changes"][0] == {"name": "traces=1", "knob": "traces", "before": 0.0, "after": 1.0}
    assert [s["candidate"] for s in first["submissions"]["external"]] == ["r1s1", "r1s2"]
    assert first["drift"]["detected"][0]["assessment"]["scope"] == "all"
    assert first["policy"]["standing"] == "r1s1"
    assert first["policy"]["changed"] == ["Traces stay on.", "Dev counts up to 10 points."]
    assert second["drift"]["assessed"]["bayes_factor"] == 80.0
    assert second["drift"]["detected"] == []
    assert second["policy"] is None
    assert [c["state"] for c in second["candidates"]] == ["scored", "final", "waiting"]


def test_phenomenon_names_both_candidates_with_z():
    found = report(finished())["phenomenon"]
    assert (found["best_dev"], found["best_external"], found["candidates"]) == ("r1s1", "r2s1", 3)
    assert found["external"]["difference"] == pytest.approx(0.14)
    assert found["external"]["z"] == pytest.approx(0.14 / (0.2 * 0.8 / 600 + 0.34 * 0.66 / 600) ** 0.5)
    assert found["dev"]["difference"] == pytest.approx(-0.13)


def test_phenomenon_needs_two_candidates_measured_on_both():
    log = Log()
    log.start()
    assert report(log)["phenomenon"] is None


def test_unfinished_campaign_shows_what_stands():
    made = report(two_rounds())
    assert made["finished"] is False
    assert made["gain"] is None
    assert made["winner"]["candidate"] == "r1s1"


def test_campaign_that_has_only_started_has_a_report():
    log = Log()
    log.start()
    made = report(log)
    assert made["winner"] is None
    assert made["rounds"] == []
    assert made["seconds"]["wall"] == 0.0


def test_report_is_json():
    assert json.loads(json.dumps(report(finished()))) == report(finished())


def test_other_is_the_wall_outside_base_and_jobs():
    log = Log()
    log.start()
    log.propose(1, 0, log.campaign.recipe)
    log.propose(1, 1, log.campaign.recipe, traces=1.0)
    log.train(1, 0, 60, 80)
    log.train(1, 1, 70, 90)
    log.score("r1s0", "dev", 0.4, seconds=5.0, at=100)
    clock = Clock(sessions=[(at(0), at(110))], base=[(at(5), at(45))])
    made = report(log, clock)["seconds"]
    assert made == {"wall": 110.0, "base": 40.0, "train": 40.0, "evaluate": 5.0, "other": 110 - 40 - 30 - 5}


def test_time_between_sessions_is_not_wall_and_a_lost_try_is_no_work():
    log = Log()
    log.start()
    log.propose(1, 0, log.campaign.recipe)
    log.fail(1, 0, terminal=False)
    begun = log.envelopes[-2:]
    log.envelopes.remove(begun[1])  # the worker died without a word
    log.train(1, 0, 1010, 1030, attempt=2)
    clock = Clock(sessions=[(at(0), at(50)), (at(1000), at(1040))])
    made = report(log, clock)["seconds"]
    assert made["wall"] == 90.0
    assert made["other"] == 70.0


def test_failed_tries_are_charged():
    log = two_rounds()
    assert report(log)["seconds"]["train"] == sum((10, 15, 20, 1, 15, 20))


spans = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 30)).map(lambda p: (at(p[0]), at(p[0] + p[1]))))


@given(spans)
def test_union_counts_every_second_once(intervals):
    covered = {
        s for b, e in intervals for s in range(int((b - BEGIN).total_seconds()), int((e - BEGIN).total_seconds()))
    }
    assert seconds(intervals) == len(covered)
    merged = union(intervals)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(merged))


@given(spans, spans)
def test_within_is_never_longer_than_either(intervals, frames):
    inside = seconds(within(intervals, frames))
    assert inside <= min(seconds(intervals), seconds(frames))
    assert inside + seconds([*intervals, *frames]) == pytest.approx(seconds(intervals) + seconds(frames))
