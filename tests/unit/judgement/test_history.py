"""What a campaign rests on is in its log once: an event that would replace it is kept apart, and halts the campaign."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from judgement.history import MOST_UNREADABLE, fold
from schemas import events as e
from schemas.envelope import Envelope
from schemas.unreadable import UnreadableEvent
from services.console.log_file import read_envelopes

RECORDED = Path(__file__).parents[2] / "recorded" / "demo.jsonl"
ENVELOPES = [one for one in read_envelopes(RECORDED) if one.type != "CampaignFinished"]
ONCE = (
    "CampaignStarted",
    "PolicyUpdated",
    "DataBatchReady",
    "RecipeProposed",
    "CheckpointTrained",
    "SubmissionsChosen",
)


def again(one: Envelope) -> Envelope:
    """The event once more at the log's end, in a stream of its own, where no version is in its way."""
    last = ENVELOPES[-1].sequence
    fields = {"id": UUID(int=1), "subject": "elsewhere", "stream_version": 1, "sequence": last + 1}
    return one.model_copy(update=fields)


@pytest.mark.parametrize("type_", ONCE)
def test_nothing_that_a_campaign_rests_on_is_replaced(type_: str) -> None:
    first = next(one for one in ENVELOPES if one.type == type_)
    before, after = fold(first.correlationid, ENVELOPES), fold(first.correlationid, [*ENVELOPES, again(first)])
    assert "is recorded already" in after.unreadable[0].reason
    assert after.closed
    assert not before.closed
    for name in ("campaign", "policies", "snapshots", "trials", "spent", "submissions"):
        assert getattr(after, name) == getattr(before, name)


@pytest.mark.parametrize("name", ["../../outside", "/etc", "a/b", "", ".", "..", "-x", "c\n", "\x1b[2J"])
def test_a_campaign_whose_id_is_no_name_never_begins(name: str) -> None:
    history = fold(name, ENVELOPES[:1])
    assert history.campaign is None
    assert "id is no name" in history.unreadable[0].reason


def by(source: str, *, test: bool) -> list[Envelope]:
    """The recorded start, of a campaign for tests or not, and its first policy as if this source had written it."""
    first, policy = ENVELOPES[0], next(one for one in ENVELOPES if one.type == "PolicyUpdated")
    data = {**first.data, "campaign": {**first.data["campaign"], "test": test}}
    return [first.model_copy(update={"data": data}), policy.model_copy(update={"source": source})]


@pytest.mark.parametrize("source", ["aevolve/trainer", "aevolve/console", "postgres", "", "aevolve/policy "])
def test_an_event_of_another_writer_halts_the_campaign(source: str) -> None:
    history = fold(ENVELOPES[0].correlationid, by(source, test=False))
    assert history.unreadable[0].reason == f"its source is {source!r}, and only aevolve/policy may write it"
    assert history.closed
    assert not history.policies


def test_an_event_that_changes_no_state_has_its_writers_too() -> None:
    weighed = by("aevolve/policy", test=False)[1].model_copy(update={"type": "AdviceWeighed"})
    assert "only aevolve/recipes may write it" in fold(ENVELOPES[0].correlationid, [weighed]).unreadable[0].reason


def test_only_in_a_campaign_for_tests_the_console_writes_every_type() -> None:
    assert fold(ENVELOPES[0].correlationid, by("aevolve/console", test=True)).policies
    assert fold(ENVELOPES[0].correlationid, by("aevolve/trainer", test=True)).unreadable
    assert fold(ENVELOPES[0].correlationid, by("aevolve/policy", test=False)).policies


def test_no_start_is_written_by_another_than_the_console() -> None:
    start = by("aevolve/policy", test=True)[0].model_copy(update={"source": "aevolve/policy"})
    assert fold(start.correlationid, [start]).campaign is None


def test_recorded_campaigns_have_no_event_of_another_writer() -> None:
    for file in sorted(RECORDED.parent.glob("*.jsonl")):
        envelopes = list(read_envelopes(file))
        assert fold(envelopes[0].correlationid, envelopes).unreadable == []


@pytest.mark.parametrize("round_", [0, 1, 99])
def test_no_other_round_than_the_open_one_is_chosen_for(round_: int) -> None:
    last = [one for one in ENVELOPES if one.type == "SubmissionsChosen" and not one.event.final][-1]
    before = [one for one in ENVELOPES if one.sequence < last.sequence]
    forged = last.model_copy(update={"data": {**last.data, "round": round_}})
    history = fold(last.correlationid, [*before, forged])
    assert history.closed
    assert history.submissions == fold(last.correlationid, before).submissions


def test_the_final_set_is_chosen_for_once() -> None:
    final = next(one for one in ENVELOPES if one.type == "SubmissionsChosen" and one.event.final)
    assert (
        "the final set is recorded already"
        in fold(final.correlationid, [*ENVELOPES, again(final)]).unreadable[0].reason
    )


def failing(type_: str, **data: object) -> Envelope:
    """A failure at the recorded log's end."""
    first = next(one for one in ENVELOPES if type(one.event) in FAILED_OF[type_])
    about = {"attempt": 1, "error": "OutOfMemory", "message": "m", "terminal": True, "cost": {"tokens": 10**30}}
    fields = {"type": type_, "version": 1, "source": first.source, "data": {**about, **data}}
    return again(first).model_copy(update=fields)


FAILED_OF = {
    "TrainingFailed": (e.CheckpointTrained,),
    "EvaluationFailed": (e.ScoresReported,),
    "GuardsUnmeasured": (e.ScoresReported,),
    "DataFailed": (e.DataBatchReady,),
}
SUCCEEDED: dict[str, tuple[str, dict[str, Any]]] = {
    "training": ("TrainingFailed", {"candidate": "r1s0"}),
    "a failed try of a training": ("TrainingFailed", {"candidate": "r1s0", "terminal": False}),
    "training of the base": ("TrainingFailed", {"candidate": "base"}),
    "dev": ("EvaluationFailed", {"candidate": "r1s0", "kind": "dev"}),
    "dev of the base": ("EvaluationFailed", {"candidate": "base", "kind": "dev"}),
    "data": ("DataFailed", {"round": 1}),
}


@pytest.mark.parametrize("name", SUCCEEDED)
def test_what_has_succeeded_does_not_fail_later(name: str) -> None:
    type_, data = SUCCEEDED[name]
    failure = failing(type_, **data)
    before, after = fold(failure.correlationid, ENVELOPES), fold(failure.correlationid, [*ENVELOPES, failure])
    assert len(after.unreadable) == 1
    for part in ("trials", "spent", "data_failures"):
        assert getattr(after, part) == getattr(before, part)


@pytest.mark.parametrize("kind", ["confirm", "external"])
def test_a_second_job_of_a_measured_set_may_fail_late_and_removes_no_score(kind: str) -> None:
    failure = failing("EvaluationFailed", candidate="base", kind=kind)
    after = fold(failure.correlationid, [*ENVELOPES, failure])
    assert not after.unreadable
    assert after.trials == fold(failure.correlationid, ENVELOPES).trials
    assert after.spent.tokens >= 10**30


def test_the_job_of_a_round_that_reuses_data_may_fail_late() -> None:
    reused = [
        one.model_copy(update={"data": {**one.data, "reused": True}}) if one.type == "DataBatchReady" else one
        for one in ENVELOPES
    ]
    failure = failing("DataFailed", round=1)
    assert not fold(failure.correlationid, [*reused, failure]).unreadable


def test_a_failed_try_before_the_success_is_charged() -> None:
    at = next(number for number, one in enumerate(ENVELOPES) if one.type == "CheckpointTrained")
    trained = ENVELOPES[at]
    data = {"candidate": trained.event.candidate, "terminal": False}
    failure = failing("TrainingFailed", **data).model_copy(update={"sequence": trained.sequence})
    later = trained.model_copy(update={"sequence": trained.sequence + 1})
    history = fold(trained.correlationid, [*ENVELOPES[:at], failure, later])
    assert not history.unreadable
    assert history.trials[trained.event.candidate].checkpoint
    assert history.spent.tokens > 10**30


def later(one: Envelope, n: int, **data: object) -> Envelope:
    """The event once more as the n-th after the log's end, with other data."""
    position = ENVELOPES[-1].sequence + n
    fields = {"id": UUID(int=n), "subject": f"elsewhere/{n}", "stream_version": 1, "sequence": position}
    return one.model_copy(update={**fields, "data": {**one.data, **data}})


def first(type_: str) -> Envelope:
    return next(one for one in ENVELOPES if one.type == type_)


ADVICE = {"round": 900, "error": "EndpointFailed", "message": "m"}
FAILURE = {"round": 900, "attempt": 1, "error": "SourceFailed", "message": "m", "cost": {}}
POLICY = first("PolicyUpdated")


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (later(first("DataBatchReady"), 1, round=900), "round 900 is not open"),
        (
            later(first("DataBatchReady"), 1, **FAILURE).model_copy(update={"type": "DataFailed"}),
            "round 900 is not open",
        ),
        (
            later(first("DataBatchReady"), 1, **ADVICE).model_copy(
                update={"type": "AdvisorFailed", "source": "aevolve/recipes"}
            ),
            "round 900 is not open",
        ),
        (later(first("RecipeProposed"), 1, round=900, candidate="r900s0"), "round 900 is not open"),
        (later(first("RecipeProposed"), 1, slot=900, candidate="r1s900"), "is no candidate of"),
        (later(first("RecipeProposed"), 1, candidate="another"), "is no candidate of"),
        (later(POLICY, 1, policy={**POLICY.data["policy"], "round": 900}), "the campaign has"),
    ],
)
def test_no_event_names_a_round_or_slot_that_the_campaign_does_not_have(event: Envelope, reason: str) -> None:
    """Each number would be kept: one password could fill the memory of every service."""
    history = fold(event.correlationid, [*ENVELOPES, event])
    assert reason in history.unreadable[0].reason


def test_what_cannot_be_read_takes_no_memory() -> None:
    """Neither what such events hold nor more than a number of them, whoever appends them and how many."""
    policy = first("PolicyUpdated")
    forged = [later(policy, n, policy={"lists": [[] for _ in range(20_000)]}) for n in range(1, 101)]
    history = fold(policy.correlationid, [*ENVELOPES, *forged])
    assert len(history.unreadable) == len(forged)
    for error in history.unreadable:
        assert (error.__traceback__, error.__context__, error.__cause__) == (None, None, None)
        assert len(str(error)) < 1_000


def test_a_number_of_unreadable_events_is_kept() -> None:
    forged = (later(POLICY, n, policy=None) for n in range(1, MOST_UNREADABLE + 10))
    assert len(fold(POLICY.correlationid, [*ENVELOPES, *forged]).unreadable) == MOST_UNREADABLE


def test_the_reason_repeats_no_large_value() -> None:
    envelope = ENVELOPES[0]
    error = UnreadableEvent(envelope, "x" * 900_000)
    assert len(str(error)) < 1_000
