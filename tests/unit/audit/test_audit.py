"""A finished campaign's decisions hold when they are taken again, and no longer when its evidence is touched."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.decision import audit, causes, find, text
from audit.difference import differences
from audit.recompute import is_decision, recompute, state_at
from audit.replay import altered, replay, substance, under
from eventstore.row import Row
from judgement import decisions
from judgement.deciders import version
from judgement.history import History
from schemas.base import canonical_json
from schemas.events import RecipeProposed
from services.console.cli import app
from services.console.log_file import read_envelopes
from services.console.log_source import of_campaign
from services.data.core import reused
from services.runtime.user_error import UserError
from tests.typed import instance, there

RECORDED = Path(__file__).parents[2] / "recorded" / "demo.jsonl"


def read_file(file):
    return list(read_envelopes(file))


@pytest.fixture(scope="module")
def envelopes():
    return read_file(RECORDED)


def call(*arguments):
    return CliRunner().invoke(app, list(arguments))


def touched(envelopes, path):
    """A copy of the log in which the first candidate's dev score has ten points more."""
    at = next(i for i, x in enumerate(envelopes) if x.type == "ScoresReported" and x.data["candidate"] == "r1s0")
    data = json.loads(canonical_json(envelopes[at].data))
    for score in (data["scores"], *data["scores"]["domains"].values()):
        score["score"] = min(1.0, score["score"] + 0.1)
    lines = [(x if i != at else x.model_copy(update={"data": data})).model_dump_json() for i, x in enumerate(envelopes)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("recorded", sorted(RECORDED.parent.glob("*.jsonl")), ids=lambda path: path.stem)
def test_every_decision_of_a_finished_campaign_is_taken_again_byte_for_byte(recorded):
    again = list(replay(read_file(recorded)))
    assert {one.envelope.type for one in again} >= {"PolicyUpdated", "SubmissionsChosen", "DriftDetected"}
    otherwise = sorted({one.ruling.decider for one in again if not one.identical})
    assert not otherwise, (
        f"{', '.join(otherwise)}: the rules that took decisions decide otherwise than they did. Keep them as they were "
        "in judgement/decisions.py, add yours as the next version, and append a release in judgement/deciders.py"
    )


def test_a_decider_that_changed_without_a_new_version_is_told_what_to_do(envelopes, monkeypatch):
    """The measure of the test above."""
    first = decisions.RULES["propose", version("propose")]
    other = lambda h, c: tuple(p.model_copy(update={"seed": instance(RecipeProposed, p).seed + 1}) for p in first(h, c))  # noqa: E731
    monkeypatch.setitem(decisions.RULES, ("propose", version("propose")), other)
    assert {one.ruling.decider for one in replay(envelopes) if not one.identical} == {"propose"}


def with_yields(envelopes, change):
    """The log with the first batch of data changed in its first yield, and that batch."""
    at = next(i for i, x in enumerate(envelopes) if x.type == "DataBatchReady")
    data = json.loads(canonical_json(envelopes[at].data))
    data["yields"][0] |= change(data["yields"][0])
    batch = envelopes[at].model_copy(update={"data": data})
    return [*envelopes[:at], batch, *envelopes[at + 1 :]], batch


def test_the_planned_puzzles_are_a_decision_and_the_kept_rows_are_measured(envelopes):
    again = recompute(*with_yields(envelopes, lambda one: {"made": one["made"] + 1}))
    assert [difference.path for difference in again.differences] == ["puzzles.bits"]
    assert recompute(*with_yields(envelopes, lambda one: {"kept": one["kept"] - 1})).identical


def test_data_that_a_later_round_reuses_is_decided_again(envelopes):
    later = next(i for i, x in enumerate(envelopes) if x.type == "DataBatchReady" and x.data["round"] == 2)
    told = envelopes[:later]
    history = state_at(told, told[0].correlationid, told[-1].sequence)
    batch = envelopes[later].model_copy(update={"data": reused(history).model_dump(mode="json")})
    assert recompute([*told, batch], batch).identical
    data = batch.data | {"snapshot": "0" * 64}
    other = batch.model_copy(update={"data": data})
    assert [difference.path for difference in recompute([*told, other], other).differences] == ["snapshot"]


def test_a_touched_score_shows_in_the_policy_that_rested_on_it(envelopes, tmp_path):
    copy = read_file(touched(envelopes, tmp_path / "log.jsonl"))
    assert recompute(copy, find(copy, "policy:0")).identical
    again = recompute(copy, find(copy, "policy:1"))
    assert not again.identical
    assert "basis.digest" in {difference.path for difference in again.differences}


def test_the_audit_of_the_last_policy_says_what_led_to_it_and_that_it_holds():
    result = call("audit", "--file", str(RECORDED))
    assert result.exit_code == 0
    for words in ("What led to it", "campaign started", "What it rested on", "scored base on target", "identical: "):
        assert words in result.output


def test_an_audit_that_fails_is_status_1(envelopes, tmp_path):
    copy = touched(envelopes, tmp_path / "log.jsonl")
    result = call("audit", "policy:1", "--file", str(copy))
    assert result.exit_code == 1
    assert "DIFFERENT in" in result.output
    assert call("replay", "--file", str(copy)).exit_code == 1


def test_an_audit_for_programs_names_its_evidence(envelopes):
    said = json.loads(call("audit", "policy:2", "--json", "--file", str(RECORDED)).output)
    by_id = {str(envelope.id): envelope for envelope in envelopes}
    assert said["identical"]
    assert said["differences"] == []
    assert by_id[said["chain"][0]].type == "CampaignStarted"
    assert {by_id[id_].type for id_ in said["evidence"]} >= {"ScoresReported", "DriftDetected"}


def test_every_kind_of_decision_can_be_audited(envelopes):
    kinds = {envelope.type: envelope for envelope in envelopes if is_decision(envelope)}
    for envelope in kinds.values():
        said = "\n".join(text(audit(envelopes, find(envelopes, str(envelope.id)))))
        assert said.startswith(envelope.type)
        assert "identical: " in said


def test_a_decision_that_is_not_there_is_told(envelopes):
    with pytest.raises(UserError, match=r"'policy:9' names 0 decisions; give an event id, or policy:0"):
        find(envelopes, "policy:9")


def test_replay_counts_what_holds():
    result = call("replay", "--file", str(RECORDED))
    assert result.exit_code == 0
    last = result.output.splitlines()[-1].split()
    assert last[0] == last[2]


def test_under_its_own_rules_nothing_parts(envelopes):
    own = envelopes[0].event.campaign.constitution.drift.threshold
    found = under(envelopes, {"drift.threshold": str(own)})
    assert (found.findings, found.parting, found.proposals, found.submissions) == ([], None, (), None)


def test_a_higher_threshold_leads_to_another_policy_and_other_queries(envelopes):
    found = under(envelopes, {"drift.threshold": "1e12"})
    assert all(words.endswith("would not have been said") for _, words in found.findings)
    parting, submissions = there(found.parting), there(found.submissions)
    assert parting.envelope.type == "PolicyUpdated"
    assert "policy.distrusted" in {difference.path.rstrip(".0123456789") for difference in parting.differences}
    assert submissions.envelope.type == "SubmissionsChosen"
    assert substance(there(submissions.event)) != substance(submissions.envelope.event)


def test_recipes_that_would_have_been_others_end_the_comparison(envelopes):
    found = under(envelopes, {"max_changes": "1"})
    assert (found.parting, found.submissions) == (None, None)
    assert [(p.candidate, p.same) for p in found.proposals][:2] == [("r1s0", True), ("r1s1", False)]
    assert all(" + " not in proposal.then for proposal in found.proposals)


def test_a_command_shows_the_parting():
    result = call("replay", "--set", "drift.threshold=1e12", "--file", str(RECORDED))
    assert result.exit_code == 0
    assert "the first decision to differ: PolicyUpdated" in result.output
    said = json.loads(call("replay", "--json", "--set", "drift.threshold=1e12", "--file", str(RECORDED)).output)
    assert said["parting"]["type"] == "PolicyUpdated"


def test_other_rules_that_change_no_decision_are_told_so():
    result = call("replay", "--set", "drift.clear=0.99", "--file", str(RECORDED))
    assert "no policy, no recipe and no query would differ" in result.output


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("drift.treshold=1", "'drift.treshold' is no number of the constitution"),
        ("drift.threshold=0.5", "drift.threshold: Input should be greater than 1"),
        ("drift.threshold=high", "drift.threshold: Input should be a valid number"),
        ("drift.threshold", "is not KEY=VALUE"),
        ("space=1", "'space' is no number"),
    ],
)
def test_a_rule_that_cannot_be_is_one_message_and_status_2(setting, words):
    result = call("replay", "--set", setting, "--file", str(RECORDED))
    assert result.exit_code == 2
    assert words in result.stderr


def test_the_hash_of_altered_rules_is_that_of_the_rules(envelopes):
    started = altered(envelopes[0], {"promotion": "0.9"}).event
    assert started.constitution_sha256 == started.campaign.constitution_sha256 != envelopes[0].event.constitution_sha256


def test_differences_are_told_leaf_by_leaf():
    found = list(differences({"a": [1, {"b": 2}], "c": 1}, {"a": [1, {"b": 3}], "d": 1}))
    assert [(d.path, d.recorded, d.recomputed) for d in found] == [("a.1.b", 2, 3), ("c", 1, None), ("d", None, 1)]
    assert [d.path for d in differences([1], [1, 2])] == [""]


def test_a_file_that_is_no_log_is_told_with_its_line(tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_text(RECORDED.read_text().splitlines()[0] + "\n{}\n")
    with pytest.raises(UserError, match=r"line 2: id: \{\}; Field required"):
        read_file(file)
    with pytest.raises(UserError, match=r"none\.jsonl: cannot be read"):
        read_file(tmp_path / "none.jsonl")


def test_a_finished_run_is_audited_from_its_copy_but_never_in_place_of_a_database_that_was_named(tmp_path, monkeypatch):
    monkeypatch.delenv("AEVOLVE_POSTGRES", raising=False)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "settings.json").write_text('{"postgres": "postgresql://127.0.0.1:1/aevolve"}')
    (tmp_path / "log.jsonl").write_text(RECORDED.read_text())
    result = call("audit", "--run", str(tmp_path))
    assert result.exit_code == 0
    assert "no live log; reading" in result.stderr
    monkeypatch.setenv("AEVOLVE_POSTGRES", "postgresql://127.0.0.1:1/aevolve")
    assert call("audit").exit_code == 2


def test_a_line_break_of_unicode_inside_a_text_breaks_no_line(envelopes, tmp_path):
    data = {**envelopes[0].data, "note": "one\u2028two"}
    odd = envelopes[0].model_copy(update={"data": data})
    (tmp_path / "log.jsonl").write_text(odd.model_dump_json() + "\n")
    assert read_file(tmp_path / "log.jsonl") == [odd]


def test_an_exported_log_is_read_as_well(envelopes, tmp_path):
    started = envelopes[0]
    same = {name: getattr(started, name) for name in ("id", "stream_version", "type", "version", "source", "time")}
    row = Row(
        position=started.sequence,
        campaign=started.correlationid,
        stream=started.subject,
        causation=None,
        traceparent=None,
        data=canonical_json(started.data),
        hash=bytes(32),
        **same,
    )
    (tmp_path / "export.jsonl").write_text(row.to_json() + "\n")
    assert read_file(tmp_path / "export.jsonl") == [started]


def test_the_campaign_is_the_last_one_or_the_one_that_is_named(envelopes):
    other = envelopes[0].model_copy(update={"correlationid": "other", "sequence": 1000})
    assert of_campaign([*envelopes, other], None) == [other]
    assert of_campaign([*envelopes, other], envelopes[0].correlationid) == envelopes
    with pytest.raises(UserError, match="'gone' is not in the log"):
        of_campaign(envelopes, "gone")
    with pytest.raises(UserError, match="holds no campaign"):
        of_campaign([], None)


def test_an_event_is_folded_once_however_often_it_is_applied(envelopes):
    once, twice = History("c"), History("c")
    for envelope in envelopes:
        once.apply(envelope)
        twice.apply(envelope)
        twice.apply(envelope)
    assert once.spent == twice.spent


def test_replay_and_audit_name_an_event_of_another_writer(envelopes, tmp_path):
    forged = next(one for one in envelopes if one.type == "PolicyUpdated")
    lines = [x.model_copy(update={"source": "aevolve/oracle"}) if x is forged else x for x in envelopes]
    file = tmp_path / "log.jsonl"
    file.write_text("".join(f"{one.model_dump_json()}\n" for one in lines))
    words = f"position {forged.sequence}: PolicyUpdated version 1 of campaign {forged.correlationid}, written by"
    for command in ("replay", "audit"):
        result = call(command, "--file", str(file))
        assert result.exit_code == 1
        assert words in result.output
        assert words in json.loads(call(command, "--file", str(file), "--json").output)["unreadable"][0]


def test_causes_that_form_a_circle_end(envelopes):
    at = next(number for number, one in enumerate(envelopes) if one.type == "PolicyUpdated")
    first, second = envelopes[at : at + 2]
    circle = [first.model_copy(update={"causationid": second.id}), second.model_copy(update={"causationid": first.id})]
    assert causes(circle, circle[0]) == circle[:1]
    assert causes(circle, circle[1]) == circle
    itself = first.model_copy(update={"causationid": first.id})
    assert causes([itself], itself) == [itself]
