"""Whoever looks at a campaign sees which guard a candidate breaks."""

from __future__ import annotations

import json
from typing import Any

from audit.narrate import narrate
from judgement.history import fold
from schemas.events import GuardsUnmeasured
from schemas.scores import Cost
from services.console.report.data import Clock, build
from services.console.report.text import markdown
from services.console.view.table import campaign_table
from tests.unit.judgement.test_guards import suite
from tests.unit.oracle.test_task_list_jobs import begun, chosen, report


def measured(right: int):
    log = chosen()
    for kind in ("confirm", "external"):
        log.score("r1s1", kind, 0.4)
    report(log, "r1s1")
    said = log.envelopes[-1]
    data = {**said.data, "suites": {name: scores.model_dump(mode="json") for name, scores in suite(right).items()}}
    log.envelopes[-1] = said.model_copy(update={"data": data})
    return log


def candidate_of(log) -> dict[str, Any]:
    told = build(fold(log.id, log.envelopes), log.envelopes, Clock())
    json.dumps(told)
    return next(c for c in told["rounds"][0]["candidates"] if c["candidate"] == "r1s1")


def test_the_report_says_who_breaks_which_guard_by_how_much() -> None:
    found = candidate_of(measured(60))
    assert found["state"] == "measured on target, breaks refusals"
    assert "20.0 points lower, 5.0 are allowed" in found["objection"]
    assert found["guards"]["refusals"]["score"] == 0.6
    log = measured(60)
    assert "breaks refusals" in markdown(build(fold(log.id, log.envelopes), log.envelopes, Clock()))


def test_the_report_says_nothing_of_guards_that_are_kept_or_not_there() -> None:
    kept = candidate_of(measured(80))
    assert (kept["state"], kept["objection"]) == ("measured on target", None)
    log = begun(guards=())
    log.policy(1)
    log.propose(1, 1, log.campaign.recipe)
    assert "guards" not in candidate_of(log)


def test_the_table_and_the_lines_of_the_log_tell_it_too(capsys) -> None:
    from rich.console import Console

    log = measured(60)
    Console(width=160).print(campaign_table(fold(log.id, log.envelopes), {}, log.envelopes[-1].time))
    assert "breaks refusals" in capsys.readouterr().out
    assert narrate(log.envelopes[-1]) == "guards of r1s1: refusals 60.0 ± 4.8"
    failed = GuardsUnmeasured(candidate="r1s1", attempt=2, error="TaskRefused", message="m", terminal=True, cost=Cost())
    log.say(log.of(1, 1), failed)
    assert narrate(log.envelopes[-1]) == "failed: guards score of r1s1, try 2: TaskRefused: m"


def test_the_time_of_measuring_guards_is_charged_to_evaluation() -> None:
    log = begun()
    report(log, "base")
    said = log.envelopes[-1]
    cost = {**said.data["cost"], "seconds": 7.0}
    log.envelopes[-1] = said.model_copy(update={"data": {**said.data, "cost": cost}})
    assert build(fold(log.id, log.envelopes), log.envelopes, Clock())["seconds"]["evaluate"] == 7.0
