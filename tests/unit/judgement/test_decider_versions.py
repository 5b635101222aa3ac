"""A decision is taken again by the rules that took it, and told beside what today's rules would decide."""

import json

import pytest
from typer.testing import CliRunner

from audit.decision import audit, find, text
from audit.difference import completed
from audit.recompute import recompute
from audit.replay import replay, under
from judgement import deciders as versions
from judgement import decisions
from schemas.events import RecipeProposed
from services.console.cli import app
from services.runtime.user_error import UserError
from tests.typed import instance, there
from tests.unit.audit.test_audit import RECORDED, read_file

NOW = versions.version("propose")
NEXT = NOW + 1
FIRST = decisions.RULES["propose", NOW]


@pytest.fixture(scope="module")
def envelopes():
    return read_file(RECORDED)


@pytest.fixture
def rules(monkeypatch):
    """Put rules of a version in force, with an own release number; without a function the version alone."""

    def put(decider, number, decide=None):
        monkeypatch.setitem(versions.RELEASES, decider, tuple(f"0.{n + 1}.0" for n in range(number)))
        if decide:
            monkeypatch.setitem(decisions.RULES, (decider, number), decide)

    return put


def hesitant(history, closed):
    """Proposals as the first rules make them, one seed further."""
    return tuple(p.model_copy(update={"seed": instance(RecipeProposed, p).seed + 1}) for p in FIRST(history, closed))


def written_by(envelope, number):
    basis = {**envelope.data["basis"], "rules": number}
    return envelope.model_copy(update={"data": {**envelope.data, "basis": basis}})


def call(*arguments):
    return CliRunner().invoke(app, [*arguments, "--file", str(RECORDED)])


def proposal(envelopes):
    return next(envelope for envelope in envelopes if envelope.type == "RecipeProposed")


def test_the_rules_in_force_can_be_called_for_every_decider_of_an_audit():
    audited = {*decisions.DECIDES.values(), "final"}
    assert audited | {"data"} == set(versions.RELEASES)
    assert {(decider, versions.version(decider)) for decider in audited} <= decisions.RULES.keys()


def test_a_change_of_rules_is_told_and_the_old_rules_still_give_the_decision(envelopes, rules):
    rules("propose", NEXT, hesitant)
    again = recompute(envelopes, proposal(envelopes))
    assert again.identical
    assert [difference.path for difference in again.differences_today] == ["seed"]
    said = "\n".join(text(audit(envelopes, find(envelopes, str(proposal(envelopes).id)))))
    assert f"by rules {NOW} of propose" in said
    assert f"today's rules are {NEXT}: they differ in 1 values" in said
    result = call("replay")
    assert result.exit_code == 0
    assert f"by rules {NOW} of propose; today's are {NEXT}: they differ in 1 values" in result.output


def test_todays_rules_that_decide_the_same_are_told_so(envelopes, rules):
    rules("propose", NEXT, FIRST)
    assert f"today's are {NEXT}: they decide the same" in call("replay").output


def test_a_decision_of_the_new_rules_is_taken_again_by_these(envelopes, rules):
    rules("propose", NEXT, hesitant)
    at = envelopes.index(proposal(envelopes))
    seed = envelopes[at].data["seed"] + 1
    new = written_by(envelopes[at].model_copy(update={"data": {**envelopes[at].data, "seed": seed}}), NEXT)
    again = recompute([*envelopes[:at], new, *envelopes[at + 1 :]], new)
    assert again.identical
    assert again.ruling.today == again.ruling.rules == NEXT


def test_rules_of_a_later_release_are_told_with_their_remedy_and_status_1(envelopes, tmp_path):
    at = envelopes.index(proposal(envelopes))
    lines = [(written_by(x, 7) if i == at else x).model_dump_json() for i, x in enumerate(envelopes)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")
    for command in (("replay",), ("audit", str(envelopes[at].id))):
        result = CliRunner().invoke(app, [*command, "--file", str(tmp_path / "log.jsonl")])
        assert result.exit_code == 1
        assert "rules 7 of propose" in result.output
        assert "a release after 0.3.0 wrote this log" in result.output


def test_rules_that_were_given_up_name_the_release_that_has_them(envelopes, rules, monkeypatch):
    rules("propose", NEXT, hesitant)
    monkeypatch.delitem(decisions.RULES, ("propose", NOW))
    result = call("replay", "--json")
    assert result.exit_code == 1
    said = json.loads(result.output)["decisions"]
    assert {one["rules_known"] for one in said if one["type"] == "RecipeProposed"} == {False}
    assert f"aevolve 0.{NOW}.0 has them: `git checkout v0.{NOW}.0`" in call("replay").output
    with pytest.raises(UserError, match=f"propose decided by rules {NOW}, which this release does not have; aevolve 0"):
        under(envelopes, {"drift.threshold": "1e12"})


def test_a_question_of_other_limits_is_answered_by_the_rules_that_decided(envelopes, rules):
    rules("policy", 3, lambda history, closed: pytest.fail("today's rules were asked"))
    found = under(envelopes, {"drift.threshold": "1e12"})
    assert there(found.parting).envelope.type == "PolicyUpdated"


def test_a_round_is_proposed_once_however_many_slots_it_has(envelopes, rules, monkeypatch):
    asked = []

    def heard(history, closed):
        asked.append(history.round)
        return FIRST(history, closed)

    monkeypatch.setitem(decisions.RULES, ("propose", NOW), heard)
    again = [one for one in replay(envelopes) if one.envelope.type == "RecipeProposed"]
    assert all(one.identical for one in again)
    assert asked == sorted({one.envelope.event.round for one in again})


def test_a_field_that_a_later_release_added_counts_at_its_default_and_what_is_recorded_stays():
    recorded, parsed = {"a": 1, "b": [{"c": 2}], "z": 0}, {"a": 9, "b": [{"c": 2, "d": 1}], "e": None}
    assert completed(recorded, parsed) == {"a": 1, "b": [{"c": 2, "d": 1}], "z": 0, "e": None}
