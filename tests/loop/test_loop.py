"""A whole campaign by `aevolve demo`: real PostgreSQL, a real broker, a real model that is trained and scored."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from judgement.history import fold
from schemas.envelope import Envelope
from services.console.anchors import AnchorSources, read_attested
from services.runtime.settings import Settings
from tests.processes import processes, until

CAMPAIGN = Path(__file__).with_name("small.yaml")
DECISIONS = ("RecipeProposed", "ScoresReported", "SubmissionsChosen", "DriftAssessed", "DriftDetected", "PolicyUpdated")
RUN_ALONE = ("position", "cost", "uri")
"""What two runs of one seed may differ in: the order of unrelated events, what was spent, where it lies."""


def demo(folder, *options):
    command = [sys.executable, "-m", "services.console", "demo", "--out", str(folder), *options]
    return subprocess.Popen(command, stdout=folder.with_suffix(".out").open("a"), stderr=subprocess.STDOUT)


def told(folder, words):
    return words in folder.with_suffix(".out").read_text()


def log(folder):
    lines = (folder / "log.jsonl").read_text().splitlines()
    return TypeAdapter(list[Envelope]).validate_python([json.loads(line) for line in lines])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loop") / "undisturbed"
    assert demo(folder, "--campaign", str(CAMPAIGN)).wait() == 0, folder.with_suffix(".out").read_text()
    return folder


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory, undisturbed):
    """The same campaign, with a trainer killed in a job of round 1 and Ctrl-C in round 2."""
    folder = tmp_path_factory.mktemp("loop") / "disturbed"
    run = demo(folder, "--campaign", str(CAMPAIGN))
    until(lambda: told(folder, "training r1s0"))
    trainer = next(pid for pid, command in processes(folder).items() if "serve trainer" in command)
    os.kill(trainer, signal.SIGKILL)
    until(lambda: told(folder, "training r2s1"))
    run.send_signal(signal.SIGINT)
    assert run.wait() == 128 + signal.SIGINT
    assert not processes(folder)
    assert demo(folder, "--resume").wait() == 0, folder.with_suffix(".out").read_text()
    return folder


def test_the_campaign_ends_with_a_report_and_leaves_nothing_running(undisturbed):
    report = json.loads((undisturbed / "report.json").read_text())
    assert len(report["rounds"]) == 2
    assert all(len(round_["candidates"]) == 4 for round_ in report["rounds"])
    assert {"dev", "confirm", "external", "final"} <= set(report["base"])
    assert report["winner"]["final"]["n"] == 180
    assert (undisturbed / "report.png").stat().st_size > 10_000
    assert "Does dev still track the target?" in (undisturbed / "report.md").read_text()
    assert not processes(undisturbed)


def test_the_last_event_is_covered_by_a_signed_anchor(undisturbed):
    told = AnchorSources(undisturbed / "anchors.jsonl", keys=(str(undisturbed / "anchors.pub"),))
    attested = asyncio.run(read_attested(told, Settings()))
    assert not attested.refused
    assert max(attested.heads) == log(undisturbed)[-1].sequence


def test_every_score_has_a_receipt_that_hashes_to_its_name_in_the_log(undisturbed):
    scored = [envelope.event for envelope in log(undisturbed) if envelope.type == "ScoresReported"]
    assert {event.kind for event in scored} == {"dev", "confirm", "external", "final"}
    for event in scored:
        receipt = undisturbed / "state" / "artifacts" / "receipts" / f"{event.receipt.sha256}.jsonl"
        assert hashlib.sha256(receipt.read_bytes()).hexdigest() == event.receipt.sha256
        verdicts = [json.loads(line)["correct"] for line in receipt.read_text().splitlines()]
        assert sum(verdicts) / len(verdicts) == pytest.approx(event.scores.score)


def test_the_target_is_asked_no_more_often_than_allowed_and_always_reserved_first(undisturbed):
    state = fold("small", log(undisturbed))
    asked = {(r.kind, r.candidate): at for at, r in enumerate(state.reservations)}
    assert state.reserved("external") <= 5
    for envelope in log(undisturbed):
        if envelope.type == "ScoresReported" and envelope.event.kind in ("external", "final"):
            assert (envelope.event.kind, envelope.event.candidate) in asked


def test_a_killed_trainer_and_a_break_change_nothing_that_was_decided(undisturbed, disturbed):
    assert decided(disturbed) == decided(undisturbed)


def test_no_candidate_is_trained_or_scored_twice(disturbed):
    told_once = [
        (envelope.type, envelope.event.candidate, getattr(envelope.event, "kind", ""))
        for envelope in log(disturbed)
        if envelope.type in ("CheckpointTrained", "ScoresReported")
    ]
    assert len(told_once) == len(set(told_once))


def decided(folder):
    """What was proposed, scored and decided, by stream and in its order, without times and ids."""
    found: dict[str, list[object]] = {}
    for envelope in log(folder):
        if envelope.type in DECISIONS:
            stream = envelope.subject.partition("/")[2]
            found.setdefault(stream, []).append(without(envelope.event.model_dump(mode="json")))
    return found


def without(held):
    if isinstance(held, dict):
        return {name: without(value) for name, value in held.items() if name not in RUN_ALONE}
    return [without(value) for value in held] if isinstance(held, list) else held
