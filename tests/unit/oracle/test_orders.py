"""Orders: their payloads are the JSON that earlier releases queued, and a worker reads them back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from judgement.history import History
from schemas.base import canonical_json
from services.console.log_file import read_envelopes
from services.oracle import steps
from services.oracle.orders import BOARD, BoardOrder, ScoreOrder

RECORDED = Path(__file__).parents[2] / "recorded" / "demo.jsonl"


def earlier_payload(history, work):
    """What release 0.3.0 queued."""
    order = work.payload
    trial = history.trials.get(order["candidate"], history.base)
    stamp = None if trial is history.base else history.base.stamps.get("dev")
    reference = {"stamp": stamp.model_dump(mode="json"), "known": sorted(history.references)} if stamp else None
    return {
        **({"reference": reference} if reference else {}),
        "candidate": trial.candidate,
        "kinds": list(order["kinds"]),
        "round": order["round"],
        "checkpoint": trial.checkpoint.model_dump(mode="json") if trial.checkpoint else None,
        "substrate": history.substrate.model_dump(mode="json"),
        "campaign": history.campaign.model_dump(mode="json"),
        **({"guards": True} if order.get("guards") else {}),
    }


def works():
    """Every job that the steps queue at some state of the recorded campaign."""
    envelopes = list(read_envelopes(RECORDED))
    history = History(envelopes[0].correlationid)
    for envelope in envelopes:
        history.apply(envelope)
        for step in (steps.measure_base, steps.measure_dev, steps.charge_queries):
            for work in step(history, envelope.time).work:
                yield work, canonical_json(earlier_payload(history, work))


def test_a_payload_has_the_bytes_of_earlier_releases_and_is_read_back():
    seen = set()
    for work, earlier in works():
        assert canonical_json(work.payload) == earlier
        order = (BoardOrder if work.queue == BOARD else ScoreOrder).model_validate(json.loads(earlier))
        assert canonical_json(order.payload()) == earlier
        seen.add((tuple(work.payload["kinds"]), "reference" in work.payload))
    assert {reference for _, reference in seen} == {True, False}
    assert len(seen) >= 3


def reserved_in_round_1():
    """The recorded campaign up to its first reservation of round 1, and that event."""
    envelopes = list(read_envelopes(RECORDED))
    history = History(envelopes[0].correlationid)
    for envelope in envelopes:
        history.apply(envelope)
        if envelope.type == "SubmissionReserved" and envelope.event.round == 1:
            return history, envelope
    raise AssertionError


def external_keys(history, envelope):
    """Keys of the jobs that are due and ask the target about the reserved candidate."""
    queued = steps.charge_queries(history, envelope.time).work
    about = [work for work in queued if work.payload["candidate"] == envelope.event.candidate]
    return [work.key for work in about if "external" in work.payload["kinds"]]


def test_a_reserved_query_is_due_under_its_key_until_it_is_answered():
    """So a restored log, which has no jobs, gets its own."""
    history, reserved = reserved_in_round_1()
    assert len(external_keys(history, reserved)) == 1


@pytest.mark.parametrize("sets", [(), ("final",), ("confirm",), ("confirm", "final")])
@pytest.mark.parametrize("candidate", ["the reserved", "base"])
def test_a_query_that_is_chosen_again_with_other_sets_is_no_other_job(sets, candidate):
    history, reserved = reserved_in_round_1()
    chosen, asked = history.submissions[1], reserved.event.candidate
    before = external_keys(history, reserved)
    (submission,) = [one for one in chosen.external if one.candidate == asked]
    if candidate == "base":
        submission, history.base.scores = submission.model_copy(update={"candidate": "base"}), {}
    nothing = {"confirm": (), "final": ()}
    forged = chosen.model_copy(update={**nothing, "external": (submission,), **dict.fromkeys(sets, (submission,))})
    number = 5 if "final" in sets else 2
    history.submissions[number], history.submission_times[number] = forged, reserved.time
    assert external_keys(history, reserved) == before
    queued = [work.key for work in steps.charge_queries(history, reserved.time).work]
    assert not [key for key in queued if "/base/" in key]
