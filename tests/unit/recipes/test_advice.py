"""What an advisor is asked, and what becomes of its proposals: they are never more than proposals."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.decision import audit, text
from audit.narrate import narrate
from audit.rebuild import CampaignJobs
from audit.replay import replay
from eventstore.embedded.broker import EmbeddedBroker
from judgement.advice import open_changes, weighed_advice
from judgement.constitution import check
from judgement.decisions import choose_final, choose_submissions, finish, first_policy, propose, update
from judgement.drift.assess import assess, verdicts
from judgement.history import History
from schemas.advisor import Advice, AdvisorAnswered, AdvisorFailed, AdvisorRule
from schemas.base import canonical_json, digest
from schemas.envelope import Envelope
from schemas.policy import DeadEnd
from schemas.scores import BASE
from services.console.embedded.run_folder import RunFolder
from services.console.embedded.system import Embedded, _services, console_settings
from services.recipes import steps
from tests.typed import instance, there
from tests.unit.fieldmodel import by_field
from tests.unit.loopworld import SHA, Deciders, Log, World, campaign, data_ready, measure, play_round, started
from tests.unit.recipes.test_propose import second_round
from tests.unit.searchcases import opened

RULE = AdvisorRule(model="m", slots=2)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def advised(history, *proposals, rule=RULE):
    """The history after an answer with these proposals, each a tuple of changes."""
    law = history.campaign.constitution.model_copy(update={"advisor": rule})
    history.campaign = history.campaign.model_copy(update={"constitution": law})
    history.constitution_sha256 = history.campaign.constitution_sha256
    history.advice[history.round] = answered(history.round, *proposals)
    return history


def answered(round_, *proposals):
    basis = {"position": 0, "digest": SHA, "seed": 0}
    said = [Advice(changes=changes, reason="I think so.") for changes in proposals]
    return AdvisorAnswered(round=round_, model="m-1", proposals=said, words="Dev misleads.", answer=SHA, basis=basis)


def verdicts_of(history):
    (event,) = weighed_advice(history)
    return event.verdicts


def asked(history):
    (work,) = steps.consult(history, NOW).work
    return work


def unanswered(history=None, rule=RULE):
    history = advised(history or second_round(), rule=rule)
    history.advice.clear()
    history.snapshot_times[history.round] = NOW
    return history


@pytest.mark.parametrize("start", [opened, second_round], ids=["first round", "second round"])
def test_sound_proposals_come_after_the_anchor_and_the_search_fills_the_rest(start):
    alone = by_field(propose, start())
    told = by_field(propose, advised(start(), ("lr=0.01", "rank=4"), ("rank=32",)))
    assert [p.by for p in told] == ["search", "advisor", "advisor", *["search"] * (len(alone) - 3)]
    assert [p.intervention for p in told[:3]] == ["anchor", "lr=0.01 + rank=4", "rank=32"]
    own = [p.recipe for p in alone[1:] if p.recipe not in [x.recipe for x in told[1:3]]]
    assert [p.recipe for p in told[3:]] == own[: len(told) - 3]
    assert told[1].predicted.sd > 0


def test_without_an_advisor_every_candidate_is_the_searchs():
    assert {p.by for p in by_field(propose, second_round())} == {"search"}
    assert weighed_advice(second_round()) == ()


@pytest.mark.parametrize(
    ("proposal", "verdict"),
    [
        (("traces=1", "rank=4"), "taken"),
        (("traces=0.7",), "unknown change"),
        (("evaluation.dev=1",), "unknown change"),
        ((), "no change"),
        (("traces=0",), "no change"),
        (("rank=4", "rank=32"), "contradiction"),
        (("traces=1", "rank=4", "lr=0.01"), "too many changes"),
        (("steps=250",), "dead end"),
        (("steps=500",), "tried before"),
    ],
)
def test_a_proposal_gets_the_verdict_of_its_first_fault(proposal, verdict):
    history = second_round()
    policy = history.policies[2]
    end = DeadEnd(knob="steps", value=250, evidence=("r1s2",), reason="harm")
    history.policies[2] = policy.model_copy(update={"standing": history.campaign.recipe, "dead_ends": (end,)})
    assert verdicts_of(advised(history, proposal)) == (verdict,)


def test_a_double_and_one_too_many_are_dropped():
    history = advised(second_round(), ("rank=4",), ("rank=4",), ("rank=32",), ("lr=0.01",))
    assert verdicts_of(history) == ("taken", "double", "taken", "no slot left")
    assert [p.by for p in by_field(propose, history)].count("advisor") == 2


def test_the_anchor_keeps_its_slot_however_many_the_advisor_may_fill():
    history = advised(second_round(), *([f"rank={r}"] for r in (4, 32)), rule=AdvisorRule(model="m", slots=1000))
    assert by_field(propose, history)[0].intervention == "anchor"


NAMES = st.sampled_from([*open_changes(second_round()), "traces=0", "traces=9", "x", ""])
PROPOSALS = st.lists(st.lists(NAMES, max_size=4).map(tuple), max_size=8)


@settings(max_examples=30, deadline=None)
@given(proposals=PROPOSALS, slots=st.integers(1, 9))
def test_no_advice_makes_a_round_that_the_constitution_refuses(proposals, slots):
    history = advised(second_round(), *proposals, rule=AdvisorRule(model="m", slots=slots))
    proposed = by_field(propose, history)
    assert [check(history, event) for event in proposed] == [None] * len(proposed)
    assert len({canonical_json(event.recipe) for event in proposed}) == len(proposed)
    assert len(proposed) == history.campaign.constitution.candidates
    assert len(verdicts_of(history)) == len(proposals)
    assert verdicts_of(history).count("taken") == [p.by for p in proposed].count("advisor") <= slots


def test_the_question_holds_the_evidence_of_the_built_in_decision_and_its_digest():
    work = asked(unanswered())
    alone = by_field(propose, unanswered())[0].basis
    assert digest(work.payload["evidence"]) == work.payload["basis"]["digest"] == alone.digest
    assert digest(json.loads(canonical_json(work.payload["evidence"]))) == alone.digest
    assert work.deadline == NOW + timedelta(seconds=RULE.seconds)
    assert work.payload["evidence"].keys() == {
        *("seed", "recipe", "constitution", "policy"),
        *("trials", "drifts", "posterior", "reserved"),
    }


def test_in_the_first_round_the_question_does_not_depend_on_whether_the_base_is_measured():
    bare = Log()
    bare.append(started(campaign()))
    bare.append(first_policy(bare.history), data_ready(1))
    early, late = (asked(unanswered(history)).payload for history in (bare.history, opened()))
    assert early["evidence"] == late["evidence"]


def test_a_round_is_proposed_when_the_advisor_has_answered_or_failed_and_not_before():
    history = unanswered()
    assert not steps.propose_round(history, NOW)
    history.advice[2] = AdvisorFailed(round=2, error="AnswerUnusable", message="m")
    assert {type(x.event).__name__ for x in steps.propose_round(history, NOW).events} == {"RecipeProposed"}
    assert not steps.consult(history, NOW)
    history.advice[2] = answered(2, ("rank=4",))
    assert type(steps.propose_round(history, NOW).events[-1].event).__name__ == "AdviceWeighed"


def test_a_failed_advisor_leaves_the_round_as_it_would_have_been_without_one():
    history = unanswered()
    history.advice[2] = AdvisorFailed(round=2, error="AnswerUnusable", message="m")
    without = [p.recipe for p in by_field(propose, second_round())]
    assert [p.recipe for p in by_field(propose, history)] == without


def test_nobody_is_asked_where_the_campaign_has_no_advisor_or_the_round_no_data():
    assert not steps.consult(second_round(), NOW)
    history = unanswered()
    history.snapshots.clear()
    assert not steps.consult(history, NOW)


class Remembering(History):
    """A history that keeps what it was told."""

    told: list[Envelope]

    def apply(self, envelope):
        self.__dict__.setdefault("told", []).append(envelope)
        super().apply(envelope)


def lectured(answers):
    """The events of a campaign of two rounds with an advisor, by what it says in each."""
    log = Log(Remembering("test"))

    def proposing(history):
        log.append(answers(history.round))
        proposed, said = propose(history), weighed_advice(history)
        log.append(*said)
        return proposed

    def assessing(history, round_):
        assessed = assess(history, round_)
        return [assessed, *verdicts(history, assessed)]

    by = Deciders(first_policy, proposing, choose_submissions, assessing, update, choose_final, finish)
    log.append(started(campaign(rounds=2, advisor=RULE)))
    for kind in ("dev", "external"):
        measure(log, World(), BASE, kind)
    log.append(first_policy(log.history))
    play_round(log, World(), by, 1, set())
    log.append(update(log.history))
    play_round(log, World(), by, 2, set())
    return instance(Remembering, log.history).told


@pytest.fixture(scope="module")
def told():
    def answers(round_):
        if round_ == 2:
            return AdvisorFailed(round=2, error="EndpointFailed", message="the endpoint answered with status 500")
        return answered(round_, ("rank=32",), ("rank=99",))

    return lectured(answers)


def test_a_campaign_with_an_advisor_replays_from_its_log_alone(told):
    again = list(replay(told))
    assert "AdviceWeighed" in {one.envelope.type for one in again}
    assert [one.envelope.type for one in again if not one.identical] == []


def test_another_answer_in_the_log_is_found_out_by_the_replay(told):
    at = next(i for i, x in enumerate(told) if x.type == "AdvisorAnswered")
    other = answered(1, ("rank=4",), ("rank=99",)).model_dump(mode="json")
    touched = [*told[:at], told[at].model_copy(update={"data": other}), *told[at + 1 :]]
    assert "RecipeProposed" in {one.envelope.type for one in replay(touched) if not one.identical}


def test_the_audit_tells_the_advisors_words_beside_ours(told):
    policies = [x for x in told if x.type == "PolicyUpdated"]
    first, second = ("\n".join(text(audit(told, policy))) for policy in policies)
    assert policies[0].event.why in first
    assert "What the advisor says of the evidence (m-1; its own words, which nobody has checked)\n  Dev misl" in first
    assert "taken: rank=32 (I think so.)" in first
    assert "unknown change: rank=99" in first
    assert "The advisor gave nothing usable: EndpointFailed" in second
    weigh = next(x for x in told if x.type == "AdviceWeighed")
    assert "proposal 2: unknown change" in "\n".join(text(audit(told, weigh)))


@pytest.mark.parametrize(
    ("ending", "states"),
    [
        (None, ("queued", "leased")),
        (answered(1), ("done",)),
        (AdvisorFailed(round=1, error="E", message="m"), ("failed",)),
    ],
)
def test_the_job_follows_from_the_log_and_so_does_its_end(ending, states):
    log = Log(Remembering("test"))
    log.append(started(campaign(advisor=RULE)))
    log.append(first_policy(log.history), data_ready(1))
    log.append(*([ending] if ending else []))
    jobs = CampaignJobs(History("test"))
    for envelope in instance(Remembering, log.history).told:
        jobs.take(envelope)
    (job,) = (job for job in jobs.rebuilt() if job.work.queue == "advise")
    assert (job.states, job.due) == (states, ending is None)
    assert job.work.payload["basis"] == (ending.basis.model_dump(mode="json") if states == ("done",) else None)


def test_an_embedded_run_hands_address_and_key_to_the_recipes_service_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("AEVOLVE_ADVISOR_URL", "http://127.0.0.1:8000/v1")
    monkeypatch.setenv("AEVOLVE_ADVISOR_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    where = cast(EmbeddedBroker, SimpleNamespace(address="nowhere", incarnation="first"))
    system = Embedded(RunFolder(tmp_path / "run"), 0)
    system.settings = console_settings(system.folder, "nowhere")
    environments = {command.name: command.env for command in _services(system, where)}
    given = {name: {k: v for k, v in there(env).items() if "ADVISOR" in k} for name, env in environments.items()}
    assert given.pop("recipes") == {
        "AEVOLVE_ADVISOR_URL": "http://127.0.0.1:8000/v1",
        "AEVOLVE_ADVISOR_KEY_FILE": str(tmp_path / "key"),
    }
    assert not any(given.values())


def test_what_the_advisor_did_is_told_in_a_line(told):
    lines = [narrate(envelope) for envelope in told]
    assert "m-1 advises on round 1: 2 proposals" in lines
    assert "the advice on round 1: 1 taken, 1 unknown change" in lines
    assert "proposed r1s1, as advised: rank=32" in lines
    assert any(line.startswith("no advice on round 2: EndpointFailed: ") for line in lines)
