"""`aevolve rescore` follows every score to its receipt: what was flipped, altered, exchanged or lost is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from judgement.statistics import share_error
from schemas.campaign import ItemSet
from schemas.envelope import candidate_stream
from schemas.events import GuardsReported, ScoresReported
from schemas.scores import Cost, DomainScore, Kind, Scores
from schemas.targets import BoardTarget, KaggleTarget
from schemas.tasks import TaskScore, TaskTarget
from services.console.cli import app
from services.oracle import receipts, records
from services.oracle.records import Record
from services.oracle.sets import draw_set, nonce
from services.runtime.storage import object_store
from tests.unit.console_events import STAMP, Log
from tests.unit.judgement.test_guards import REFUSALS

KEY = b"0123456789abcdef"
SHA = "0" * 64
TARGET = TaskTarget(kind="tasks", tasks=(TaskScore(task="sums", metric="acc"),))


class Measured:
    """A log whose base is measured on dev, on a target of tasks and on a guard, and r1s0 on dev and confirm."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder / "key"
        self.key.write_bytes(KEY)
        self.log = Log()
        law = self.log.campaign.constitution
        sets = law.evaluation.model_copy(update=dict.fromkeys(("dev", "confirm"), ItemSet(items=4)))
        law = law.model_copy(update={"evaluation": sets, "guards": (REFUSALS,), "target": TARGET})
        self.log.campaign = self.log.campaign.model_copy(update={"constitution": law})
        self.log.start()
        self.log.policy(1)
        self.log.propose(1, 0, self.log.campaign.recipe)
        self.sealed("base", "dev", 0)
        self.listed()
        self.sealed("r1s0", "dev", 1)
        self.log.choose(1, "r1s0")
        self.sealed("r1s0", "confirm", 1)

    def lines(self, kind: Kind, round_: int) -> list[receipts.Line]:
        campaign = self.log.campaign
        name = nonce(campaign, kind, round_)
        items = draw_set(kind, campaign.item_set(kind), campaign.constitution.domains, KEY, name)
        right = [
            receipts.line(item, item.completion(traced=False), True, KEY) for d in items.values() for item in d[:2]
        ]
        wrong = [receipts.line(item, "no idea", False, KEY) for d in items.values() for item in d[2:]]
        order = {item.id: place for place, item in enumerate(item for d in items.values() for item in d)}
        return sorted([*right, *wrong], key=lambda line: order[line.item])

    def sealed(self, candidate: str, kind: Kind, round_: int, lines=None) -> None:
        lines = lines or self.lines(kind, round_)
        event = {"candidate": candidate, "kind": kind, "scores": receipts.count(lines), "stamp": STAMP, "cost": Cost()}
        receipt = receipts.write(lines, self.folder / "receipts")
        self.log.say(candidate_stream(self.log.id, candidate), ScoresReported(receipt=receipt, **event))

    def listed(self) -> None:
        hashes = {"document": SHA, "prompt": SHA, "outputs": ["x"]}
        for suite, task in (("external", "sums"), ("refusals", "refusals")):
            found = [Record(suite=suite, task=task, item=i, value=float(i < 3), **hashes) for i in range(5)]
            said = {"receipt": receipts.write(found, self.folder / "receipts"), "stamp": STAMP, "cost": Cost()}
            scores = records.count(found)
            guards = GuardsReported(candidate="base", suites=scores, **said) if suite == "refusals" else None
            self.log.say(
                candidate_stream(self.log.id, "base"),
                guards or ScoresReported(candidate="base", kind="external", scores=scores["external"], **said),
            )

    def answered(self, target, answer: dict[str, Any], score: float) -> None:
        """A log with one external score, of a board that gave this answer."""
        self.log.envelopes = [x for x in self.log.envelopes if x.data.get("kind") != "external"]
        said = self.log.envelopes[0]
        law = self.log.campaign.constitution.model_copy(update={"target": target})
        campaign = self.log.campaign.model_copy(update={"constitution": law}).model_dump(mode="json")
        self.log.envelopes[0] = said.model_copy(update={"data": {**said.data, "campaign": campaign}})
        receipt = receipts.keep(json.dumps(answer).encode(), self.folder / "receipts", ".json")
        parts = {"bits": DomainScore(score=0.5, se=share_error(0.5, 10), n=10)} if "domains" in answer else {}
        scores = Scores(score=score, se=share_error(score, 50), n=50, domains=parts)
        event = {"candidate": "r1s0", "kind": "external", "scores": scores, "stamp": STAMP, "cost": Cost()}
        self.log.say(candidate_stream(self.log.id, "r1s0"), ScoresReported(receipt=receipt, **event))

    def receipt(self, candidate: str, kind: str) -> Path:
        found = [x.event for x in self.log.envelopes if x.type == "ScoresReported"]
        return Path(next(x.receipt.uri for x in found if (x.candidate, x.kind) == (candidate, kind)))

    def call(self, *arguments: str, key: bool = True):
        file = self.folder / "log.jsonl"
        file.write_text("".join(f"{x.model_dump_json()}\n" for x in self.log.envelopes))
        keyed = ["--key", str(self.key)] if key else []
        return CliRunner().invoke(app, ["rescore", self.log.id, *arguments, "--file", str(file), *keyed])


@pytest.fixture
def measured(tmp_path) -> Measured:
    return Measured(tmp_path)


def line_of(output: str, *words: str) -> str:
    return next(line for line in output.splitlines() if all(word in line for word in words))


def test_every_score_is_computed_again_the_sealed_ones_from_their_outputs(measured) -> None:
    result = measured.call()
    assert result.exit_code == 0, result.output
    assert "5 of 5 scores of demo-abcdefgh are identical" in result.output
    for kind in ("dev", "confirm"):
        assert "outputs scored again" in line_of(result.output, "r1s0", kind)
    for kind in ("external", "guards"):
        assert "60.0 % of 5 items, verdicts counted again" in line_of(result.output, "base", kind)


def test_without_the_key_it_counts_the_verdicts_and_says_so(measured) -> None:
    result = measured.call(key=False)
    assert result.exit_code == 0
    assert "outputs scored again" not in result.output
    assert "without the key of the sealed sets no output was scored again" in result.output


def test_a_flipped_verdict_is_found(measured) -> None:
    file = measured.receipt("r1s0", "dev")
    file.write_text(file.read_text().replace('"correct":false', '"correct":true', 1))
    for key in (True, False):
        result = measured.call(key=key)
        assert result.exit_code == 1
        assert "its hash is" in line_of(result.output, "DIFFERENT", "r1s0", "dev")


def test_an_altered_output_is_found(measured) -> None:
    file = measured.receipt("r1s0", "confirm")
    file.write_text(file.read_text().replace("no idea", "no clue", 1))
    assert "its hash is" in line_of(measured.call().output, "DIFFERENT", "r1s0", "confirm")


def test_a_missing_file_is_found(measured) -> None:
    measured.receipt("base", "external").unlink()
    result = measured.call()
    assert result.exit_code == 1
    assert "is not here" in line_of(result.output, "MISSING", "base", "external")
    assert "4 of 5 scores" in result.output


@pytest.mark.parametrize(
    ("differs", "words"),
    [
        ({"correct": True}, "is not True"),
        ({"output": "\\boxed{0}", "correct": True}, "is not True"),
        ({"answer": "1" * 64}, "has another answer than the set's"),
    ],
)
def test_a_receipt_that_was_written_false_in_the_first_place_is_found_with_the_key(tmp_path, differs, words) -> None:
    """Its hash fits and its score too: only who draws the items and judges the outputs can know."""
    measured = Measured(tmp_path)
    lines = measured.lines("dev", 1)
    lines[-1] = lines[-1].model_copy(update=differs)
    measured.log.envelopes = [x for x in measured.log.envelopes if x.data.get("kind") != "dev"]
    measured.sealed("r1s0", "dev", 1, lines)
    result = measured.call("r1s0", "--kind", "dev")
    assert result.exit_code == 1
    assert words in line_of(result.output, "DIFFERENT", lines[-1].item)


@pytest.mark.parametrize("kind", ["dev", "external"])
def test_a_score_that_its_receipt_does_not_give_is_found(measured, kind) -> None:
    told = measured.log.envelopes
    at = next(i for i, x in enumerate(told) if x.data.get("kind") == kind)
    data = json.loads(json.dumps(told[at].data))
    data["scores"]["score"] += 0.1
    told[at] = told[at].model_copy(update={"data": data})
    assert "the receipt gives" in line_of(measured.call(key=False).output, "DIFFERENT", "base", kind)


def test_the_receipt_of_another_set_is_found(measured) -> None:
    """An honest receipt under the wrong name: dev's outputs as the confirmation's."""
    lines = measured.lines("dev", 1)
    measured.log.envelopes = measured.log.envelopes[:-1]
    measured.sealed("r1s0", "confirm", 1, lines)
    assert "its items are not those of the set" in line_of(measured.call().output, "DIFFERENT", "r1s0", "confirm")


def moved(measured, store: str) -> str:
    """Let the last score name a receipt in a store of objects; its new address."""
    said = measured.log.envelopes[-1]
    uri = f"{store}/{Path(said.data['receipt']['uri']).name}"
    told = {**said.data, "receipt": {**said.data["receipt"], "uri": uri}}
    measured.log.envelopes[-1] = said.model_copy(update={"data": told})
    return uri


def test_a_receipt_in_a_store_of_objects_is_read_there(measured) -> None:
    last = Path(measured.log.envelopes[-1].data["receipt"]["uri"])
    uri = moved(measured, f"memory://{measured.folder}/store")
    object_store.write(uri, last.read_bytes())
    last.unlink()
    assert "5 of 5 scores of demo-abcdefgh are identical" in measured.call().output
    object_store.write(uri, b"{}")
    assert "its hash is 44136fa3" in line_of(measured.call().output, "DIFFERENT")
    object_store.ask(uri, lambda system, path: system.rm(path))
    assert "is not here; the score cannot be computed again" in line_of(measured.call().output, "MISSING")


def test_a_store_that_cannot_be_asked_is_no_missing_receipt(measured) -> None:
    uri = moved(measured, "nope://b")
    result = measured.call()
    assert result.exit_code == 2
    assert f"receipts: {uri}: no library for it is installed" in result.output


def test_a_file_that_is_no_receipt_is_found(measured) -> None:
    measured.sealed("base", "confirm", 0, None)
    said = measured.log.envelopes[-1]
    wrong = receipts.write([STAMP], measured.folder / "receipts").model_dump()
    measured.log.envelopes[-1] = said.model_copy(update={"data": {**said.data, "receipt": wrong}})
    assert "holds a line that is no line of a receipt" in line_of(
        measured.call().output, "DIFFERENT", "base", "confirm"
    )


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        (
            BoardTarget(url="https://board.example", items=50, highest=100.0),
            {"protocol": 1, "key": "k", "state": "scored", "score": 42.0, "domains": {"bits": {"score": 50, "n": 10}}},
        ),
        (
            KaggleTarget(competition="some-challenge", items=50, highest=100.0),
            {"ref": "7", "status": "COMPLETE", "public_score": "42.0"},
        ),
    ],
)
def test_the_score_of_a_board_is_read_again_from_its_answer(measured, target, answer) -> None:
    measured.answered(target, answer, 0.42)
    result = measured.call("r1s0", "--kind", "external", key=False)
    assert "42.0 % of 50 items, the board's answer read again" in line_of(result.output, "identical", "r1s0")
    measured.answered(target, answer, 0.43)
    assert "the receipt gives 42.00" in line_of(measured.call("--kind", "external").output, "DIFFERENT", "r1s0")
    measured.answered(target, {**answer, "state": "waiting", "status": "PENDING"}, 0.42)
    assert "holds no score" in line_of(measured.call("--kind", "external").output, "DIFFERENT", "r1s0")


def test_a_score_that_the_campaign_set_aside_is_said_to_be(measured) -> None:
    at = next(i for i, x in enumerate(measured.log.envelopes) if x.data.get("kind") == "dev")
    said = measured.log.envelopes[at].data
    stamp = {**said["stamp"], "precision": "bfloat16"}
    measured.log.envelopes[at] = measured.log.envelopes[at].model_copy(update={"data": {**said, "stamp": stamp}})
    found = measured.call("r1s0", "--kind", "dev")
    assert "its stamp is not the base's" in line_of(found.output, "identical", "r1s0", "dev")
    assert "its stamp" not in measured.call("--kind", "confirm").output


def test_a_score_that_the_campaign_moved_to_the_base_s_stamp_is_said_to_be(measured) -> None:
    log = measured.log
    for said in [x.event for x in log.envelopes if x.data.get("kind") == "dev"]:  # the base's, then the candidate's
        other = said.stamp.model_copy(update={"precision": "bfloat16"})
        log.say(candidate_stream(log.id, said.candidate), said.model_copy(update={"stamp": other}))
    found = measured.call("r1s0", "--kind", "dev")
    assert "after what the base scores under its stamp" in line_of(found.output, "identical", "r1s0", "dev")


def test_a_part_can_be_asked_for(measured) -> None:
    assert "1 of 1 scores" in measured.call("base", "--kind", "guards").output
    found = json.loads(measured.call("r1s0", "--json").output)
    assert [(one["kind"], one["state"]) for one in found] == [("dev", "identical"), ("confirm", "identical")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("r9s9",), "CANDIDATE: 'r9s9' has no score"),
        (("--kind", "finale"), "--kind: 'finale' was not measured"),
        (("r1s0", "--kind", "guards"), "guards of r1s0 was not measured"),
    ],
)
def test_what_was_not_measured_is_told(measured, arguments, words) -> None:
    result = measured.call(*arguments)
    assert result.exit_code == 2
    assert words in result.output


def test_a_short_key_is_told(measured) -> None:
    measured.key.write_bytes(b"short")
    result = measured.call()
    assert (result.exit_code, "--key: oracle_key_file" in result.output) == (2, True)


def test_a_run_that_was_moved_keeps_its_receipts(measured) -> None:
    for file in (measured.folder / "receipts").iterdir():
        moved = measured.folder / "state" / "artifacts" / "receipts" / file.name
        moved.parent.mkdir(parents=True, exist_ok=True)
        file.rename(moved)
    assert measured.call().exit_code == 0
