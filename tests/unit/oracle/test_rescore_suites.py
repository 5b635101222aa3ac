"""`aevolve rescore` of scores of suites: the same scorers judge the recorded outputs again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.envelope import candidate_stream
from schemas.events import ScoresReported
from schemas.scores import Cost
from schemas.suites import FilesSuite, ScorerRule
from services.console.cli import app
from services.oracle import receipts
from services.oracle.sets import sealed_set
from services.oracle.suites import open_suites
from services.runtime.places import places
from tests.unit.console_events import STAMP, Log
from tests.unit.oracle.test_suites import KEY, campaign, pinned, settings, write_items

SCORER = "def score(prompts, completions, answer, **columns):\n    return [{} for right in answer]\n"


class Run:
    """A log with one score of a suite, whose answers are the right ones of every other item."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "key").write_bytes(KEY)
        write_items(folder / "eval.jsonl", 240)
        (folder / "own.py").write_text(SCORER.format("0.25"))
        scorers = (ScorerRule(kind="numeric"), ScorerRule(kind="own.py:score"))
        plan = campaign(pinned(FilesSuite(name="sums", eval="eval.jsonl", score=scorers), folder))
        with places(settings(folder)) as found:
            suites = open_suites(plan.constitution.suites, found)
            parts = suites.draw(sealed_set(plan, "dev", 0), plan.constitution.domains, KEY)
            items = [item for part in parts for item in part.items]
            outputs = [item.answer if at % 2 else "no" for at, item in enumerate(items)]
            self.lines = suites.lines(parts, outputs, KEY)
        self.log = Log(plan)
        self.log.start()

    def say(self, lines) -> None:
        """Record the score of these lines."""
        receipt = receipts.write(lines, self.folder / "receipts")
        event = {"candidate": "base", "kind": "dev", "scores": receipts.count(lines), "stamp": STAMP, "cost": Cost()}
        self.log.say(candidate_stream(self.log.id, "base"), ScoresReported(receipt=receipt, **event))

    def call(self, *arguments: str):
        """Run the command where items and code lie in the run's folder."""
        file = self.folder / "log.jsonl"
        file.write_text("".join(f"{x.model_dump_json()}\n" for x in self.log.envelopes))
        where = {"AEVOLVE_ORACLE_ITEMS": str(self.folder), "AEVOLVE_TASK_PATH": str(self.folder)}
        key = ["--key", str(self.folder / "key"), *arguments]
        return CliRunner().invoke(app, ["rescore", self.log.id, "--file", str(file), *key], env=where)


@pytest.fixture
def run(tmp_path) -> Run:
    made = Run(tmp_path)
    made.say(made.lines)
    return made


def test_the_outputs_are_scored_again_by_the_suites_scorers(run) -> None:
    result = run.call()
    assert result.exit_code == 0, result.output
    assert "dev 37.5 % of 8 items, outputs scored again" in result.output
    assert {line.value for line in run.lines} == {0.125, 0.625}


def test_a_score_that_the_output_does_not_get_is_found(tmp_path) -> None:
    run = Run(tmp_path)
    run.say([run.lines[0].model_copy(update={"value": 1.0, "correct": True}), *run.lines[1:]])
    result = run.call()
    assert result.exit_code == 1
    assert "DIFFERENT" in result.output
    assert "is not True" in result.output


@pytest.mark.parametrize(
    ("file", "text", "state", "words"),
    [
        ("eval.jsonl", json.dumps({"prompt": "1 + 1 =", "answer": "2"}), "CHANGED", "its items or settings have hash"),
        ("own.py", SCORER.format("1.0"), "CHANGED", "own.py:score has hash"),
        ("eval.jsonl", None, "MISSING", "the items or scorers are not here"),
        ("own.py", None, "MISSING", "the items or scorers are not here"),
    ],
)
def test_changed_or_missing_items_and_scorers_accuse_no_receipt(run, file, text, state, words) -> None:
    (run.folder / file).write_text(text) if text else (run.folder / file).unlink()
    result = run.call()
    assert result.exit_code == 1
    assert state in result.output
    assert words in result.output
    assert "DIFFERENT" not in result.output
    states = json.loads(run.call("--json").output)
    assert states[0]["state"] == state.lower()
