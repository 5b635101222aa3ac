"""Orders: their payloads are the JSON that earlier releases queued, and a worker reads them back."""

from __future__ import annotations

import json
from pathlib import Path

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


def test_every_paid_query_is_queued_under_one_key_whatever_is_settled_meanwhile():
    keys: dict[tuple[str, str], set[str]] = {}
    for work, _ in works():
        for kind in set(work.payload["kinds"]) & set(steps.PAID):
            keys.setdefault((work.payload["candidate"], kind), set()).add(work.key)
    assert {kind for _, kind in keys} == set(steps.PAID)
    assert {names.pop() for names in keys.values() if len(names) > 1} == set()


def test_a_reserved_query_that_is_chosen_again_with_other_sets_is_queued_no_more():
    envelopes = list(read_envelopes(RECORDED))
    history = History(envelopes[0].correlationid)
    for envelope in envelopes:
        history.apply(envelope)
        if envelope.type == "SubmissionReserved" and envelope.event.round == 1:
            break
    chosen, asked = history.submissions[1], envelope.event.candidate
    (submission,) = [one for one in chosen.external if one.candidate == asked]
    again = chosen.model_copy(update={"external": (submission,), "final": (submission,), "confirm": ()})
    history.submissions[2], history.submission_times[2] = again, envelope.time
    queued = steps.charge_queries(history, envelope.time).work
    assert [work.key for work in queued if work.payload["candidate"] == asked] == []
