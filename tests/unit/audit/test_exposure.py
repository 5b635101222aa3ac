"""The exposure ledger counts every query of a hidden set, whatever came of it."""

import json

from typer.testing import CliRunner

from audit.exposure import exposures, text
from schemas import events as e
from schemas.scores import Cost
from services.console.cli import app
from tests.unit.console_events import Log


def asked():
    """The base answered, one candidate late, one without a score, one still open; and the final set."""
    log = Log()
    log.start()
    log.policy(1)
    for slot in range(4):
        log.propose(1, slot, log.campaign.recipe)
    for number, candidate in enumerate(("base", "r1s1", "r1s2", "r1s3"), start=1):
        charge(log, "external", candidate, number, 9 - number)
    log.score("base", "external", 0.25)
    log.assess(1, 2.0)
    fail(log, "r1s2", terminal=False)
    fail(log, "r1s2", terminal=True)
    log.score("r1s1", "external", 0.5)
    charge(log, "final", "base", 1, 1)
    log.score("base", "final", 0.25)
    return log


def charge(log, kind, candidate, number, left):
    round_ = 0 if candidate == "base" else 1
    event = e.SubmissionReserved(candidate=candidate, kind=kind, round=round_, number=number, left=left)
    log.say(f"{log.id}/exposure/{kind}", event)


def fail(log, candidate, *, terminal):
    said = {"error": "BoardUnreachable", "message": "m", "terminal": terminal, "cost": Cost()}
    log.say(f"{log.id}/{candidate}", e.EvaluationFailed(candidate=candidate, kind="external", attempt=1, **said))


def test_each_query_stands_in_the_ledger_with_what_came_of_it():
    ledger = exposures(asked().envelopes)
    assert [(x.kind, x.number, x.candidate, x.state, x.left) for x in ledger] == [
        ("external", 1, "base", "answered", 8),
        ("external", 2, "r1s1", "late", 7),
        ("external", 3, "r1s2", "failed", 6),
        ("external", 4, "r1s3", "pending", 5),
        ("final", 1, "base", "answered", 1),
    ]
    assert ledger[1].said == "50.0 ± 2.0"
    assert ledger[2].said == "BoardUnreachable"
    assert ledger[3].ended is None


def test_a_person_reads_how_many_were_asked_and_how_many_are_left():
    log = asked()
    lines = text(log.id, exposures(log.envelopes))
    assert lines[0] == f"{log.id} target: 4 asked, 5 left, 1 pending"
    assert lines[5] == f"{log.id} final: 1 asked, 1 left"
    assert text("quiet", []) == ["quiet: no hidden set was asked"]


def test_the_command_prints_the_ledger_of_a_file(tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_text("".join(f"{envelope.model_dump_json()}\n" for envelope in asked().envelopes))
    said = CliRunner().invoke(app, ["exposure", "--file", str(file)])
    assert said.exit_code == 0
    assert "target: 4 asked, 5 left" in said.output
    rows = json.loads(CliRunner().invoke(app, ["exposure", "--file", str(file), "--json"]).output)
    assert [row["state"] for row in rows] == ["answered", "late", "failed", "pending", "answered"]
