"""The ten rules of honest measurement (docs/architecture.md), each broken on purpose and refused."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import asyncpg
import pytest

from eventstore.effect import Append
from eventstore.embedded.broker import EmbeddedBroker
from eventstore.store import NotAWriter, StreamConflict
from judgement.constitution import check
from judgement.decisions import finish, propose, update
from judgement.history import fold
from judgement.profile import profile
from schemas import events as e
from schemas.base import Frozen
from schemas.campaign import DOMAINS, Substrate
from schemas.evidence import Basis, Submission
from schemas.policy import DeadEnd
from schemas.registry import SERVICES
from schemas.scores import BASE, Cost
from services.console.embedded.run_folder import RunFolder
from services.console.embedded.system import Embedded, _services
from services.oracle.sets import draw_set, nonce
from services.oracle.steps import charge_queries
from services.runtime.jobs.runner import JobFailed
from services.runtime.settings import Settings
from services.runtime.storage.hashing import hash_folder
from services.runtime.substrate import base_folder, code_sha256
from services.trainer.steps import queue_training
from tasks.split import split_of
from tests.adapters import make_base
from tests.typed import there
from tests.unit.driftworld import detected
from tests.unit.loopworld import SHA, STAMP, Log, campaign, data_ready, report, started, trained
from tests.unit.searchcases import RECIPES, even, opened, scored_round, with_scores

BASIS = Basis(position=0, digest=SHA, seed=0)
OTHER = STAMP.model_copy(update={"max_new_tokens": 2})
LATER = datetime(2026, 1, 2, tzinfo=UTC)
SECRET, GUESS = b"the oracle's own key", b"what another guesses"


@pytest.fixture
def substrate(tmp_path):
    """A base model, as the campaign found it."""
    make_base(tmp_path)
    hashes = {"base_sha256": hash_folder(tmp_path), "code_sha256": code_sha256()}
    return Substrate(base_uri=str(tmp_path), active_parameters=1, **hashes)


def refused(history, event):
    refusal = check(history, event)
    return refusal and (refusal.decision, refusal.article)


def test_rule_1_a_job_on_a_changed_base_or_by_changed_code_does_not_run(substrate, tmp_path):
    assert base_folder(substrate) == tmp_path
    with pytest.raises(JobFailed, match=r"CodeChanged: code_sha256: .* the campaign began with 0000"):
        base_folder(substrate.model_copy(update={"code_sha256": SHA}))
    (tmp_path / "config.json").write_text('{"trained": "a little"}')
    with pytest.raises(JobFailed, match="BaseChanged: base_sha256"):
        base_folder(substrate)


def test_rule_1_a_second_round_starts_from_the_same_base_and_no_earlier_weights():
    history = scored_round()
    history.policies[2] = update(with_scores(history, "r1s3", external=0.6, confirm=0.6)).policy
    history.snapshots[2] = data_ready(2)
    log = Log(history)
    log.payloads = [Frozen()] * history.position
    log.append(*propose(history))
    jobs = queue_training(history, LATER).work
    assert jobs
    for job in jobs:
        assert job.payload["substrate"] == history.substrate.model_dump(mode="json")
        assert set(job.payload) == {"proposed", "substrate", "model", "snapshot", "snapshot_uri"}
        assert "r1s3" not in str({**job.payload, "proposed": None})


def test_rule_2_a_candidate_changes_no_more_than_it_names_and_the_anchor_nothing():
    history = opened(max_changes=1)
    anchor, one, *_ = propose(history)
    assert (
        refused(history, anchor.model_copy(update={"changes": one.changes, "recipe": one.recipe}))[1] == "max_changes"
    )
    hidden = one.recipe.replace("rank", 32 if one.recipe.rank != 32 else 4)
    assert refused(history, one.model_copy(update={"recipe": hidden})) == ("RecipeProposed", "max_changes")
    named = (*one.changes, one.changes[0].model_copy(update={"knob": "batch"}))
    assert refused(history, one.model_copy(update={"changes": named})) == ("RecipeProposed", "max_changes")


@pytest.mark.parametrize("service", ["data", "recipes", "trainer", "policy", "console"])
async def test_rule_3_nobody_but_the_oracle_writes_a_score(service, stores):
    score = report("r1s1", "external", even(0.9))
    with pytest.raises(NotAWriter):
        await (await stores(service)).append([Append("c", "c/r1s1", score)])
    assert [x async for x in (await stores("oracle")).read(campaign="c")] == []


def test_rule_3_a_score_without_a_receipt_is_no_event():
    said = report("r1s1", "dev", even(0.9)).model_dump()
    with pytest.raises(ValueError, match="receipt"):
        e.ScoresReported(**{**said, "receipt": None})


def going_on(last):
    """A log that goes on after round 1, in which the last candidate had this dev score or none."""
    log = Log(scored_round((0.35, 0.45, 0.55, last)))
    log.payloads = [Frozen()] * log.history.position
    return log


def under_another_stamp(kind):
    """Round 1, in which r1s3 has scored high under another stamp than the base's."""
    log = going_on(None)
    log.append(trained("r1s3", RECIPES[3]))
    if kind != "dev":
        log.append(report("r1s3", "dev", even(0.6)))
    if kind == "external":
        log.append(e.SubmissionReserved(candidate="r1s3", kind=kind, round=1, number=2, left=7))
    log.append(report("r1s3", kind, even(0.95)).model_copy(update={"stamp": OTHER}))
    return log.history


@pytest.mark.parametrize("kind", ["dev", "external"])
def test_rule_4_a_score_of_another_stamp_promotes_nothing_and_stops_nothing(kind):
    history = under_another_stamp(kind)
    assert kind not in history.trials["r1s3"].scores
    assert history.trials["r1s3"].unmeasured[kind] == "OtherStamp"
    assert update(history).policy.standing_from == BASE
    picked = Submission(candidate="r1s3", reason="")
    chosen = e.SubmissionsChosen(round=1, closed_by="complete", confirm=(picked,), external=(), basis=BASIS)
    assert refused(history, chosen) == (("SubmissionsChosen", "target") if kind == "dev" else None)


def test_rule_4_a_score_of_another_stamp_is_moved_by_what_the_base_scores_there():
    log = going_on(None)
    here = log.history.base.scores["dev"].score
    log.append(
        trained("r1s3", RECIPES[3]),
        report(BASE, "dev", even(here - 0.1)).model_copy(update={"stamp": OTHER}),
        report("r1s3", "dev", even(0.5)).model_copy(update={"stamp": OTHER}),
    )
    assert log.history.base.scores["dev"].score == here
    trial = log.history.trials["r1s3"]
    assert trial.scores["dev"].score == pytest.approx(0.5 + here - even(here - 0.1).score)
    assert (trial.stamps["dev"], trial.moved) == (STAMP, {"dev": OTHER})
    assert trial.scores["dev"].n < even(0.6).n  # the difference is not known for certain
    assert trial.scores["dev"].se > even(0.6).se
    assert profile(log.history).trials.keys() >= {"r1s3"}


def test_rule_4_the_target_is_not_moved_by_what_dev_says():
    log = going_on(None)
    log.append(
        trained("r1s3", RECIPES[3]),
        report(BASE, "dev", even(0.3)).model_copy(update={"stamp": OTHER}),
        e.SubmissionReserved(candidate="r1s3", kind="external", round=1, number=2, left=7),
        report("r1s3", "external", even(0.95)).model_copy(update={"stamp": OTHER}),
    )
    assert log.history.trials["r1s3"].unmeasured["external"] == "OtherStamp"


def test_rule_4_a_gain_between_two_stamps_is_not_reported():
    log = ended({"r1s1": 0.9}, stamp=OTHER)
    assert (log.winner, log.gain.mean) == (BASE, 0.0)
    assert ended({"r1s1": 0.9}).winner == "r1s1"


def test_rule_4_the_base_may_be_measured_last():
    log = Log()
    log.append(started(campaign()), report("base", "dev", even(0.3)))
    log.history.trials["r1s1"] = type(log.history.base)("r1s1", round=1)
    log.append(report("r1s1", "external", even(0.9)).model_copy(update={"stamp": OTHER}))
    assert "external" in log.history.trials["r1s1"].scores
    log.append(report("base", "external", even(0.2)))
    assert [t.candidate for t in log.history.measured("external")] == [BASE]


def ended(finals, **changed):
    """The end of a campaign whose winner's final score was taken under a stamp."""
    log = going_on(0.40)
    names = [BASE, *finals]
    final = tuple(Submission(candidate=name, reason="") for name in names)
    log.append(
        e.SubmissionsChosen(round=1, closed_by="complete", confirm=(), external=(), final=final, basis=BASIS),
        report(BASE, "final", even(0.3)),
        *(report(name, "final", even(score)).model_copy(update=changed) for name, score in finals.items()),
    )
    return finish(log.history)


def test_rule_5_dev_alone_promotes_nobody_even_where_the_policy_says_so():
    history = scored_round((0.30, 0.45, 0.95, 0.40))
    assert update(history).policy.standing_from == BASE
    good = update(history)
    forced = good.policy.model_copy(update={"standing": RECIPES[2], "standing_from": "r1s2"})
    assert refused(history, good.model_copy(update={"policy": forced})) == ("PolicyUpdated", "promotion")
    with_scores(history, "r1s2", confirm=0.9)
    assert refused(history, good.model_copy(update={"policy": forced})) is None


def test_rule_5_the_items_of_a_confirmation_are_others_than_dev_s():
    of = campaign()
    dev, *confirmed = (_cores(of, kind, round_) for kind, round_ in (("dev", 1), ("confirm", 1), ("confirm", 2)))
    assert not dev & confirmed[0]
    assert confirmed[0] - confirmed[1]


def _cores(of, kind, round_, key=SECRET):
    drawn = draw_set(kind, of.item_set(kind), DOMAINS, key, nonce(of, kind, round_))
    return {(item.domain, item.core) for items in drawn.values() for item in items}


async def test_rule_6_a_query_is_charged_before_it_is_sent_and_only_once(stores):
    history = scored_round()
    picked = (Submission(candidate="r1s1", reason=""),)
    chosen = e.SubmissionsChosen(round=1, closed_by="complete", confirm=(), external=picked, basis=BASIS)
    history.submissions[1] = chosen
    first, second = charge_queries(history, LATER), charge_queries(history, LATER)
    oracle = await stores("oracle")
    base = e.SubmissionReserved(candidate=BASE, kind="external", round=0, number=1, left=8)
    await oracle.append([Append(history.id, f"{history.id}/exposure/external", base, expected=0)])
    await oracle.apply(first)
    with pytest.raises(StreamConflict):
        await oracle.apply(second)
    charged = [x.event.number async for x in oracle.read(campaign=history.id) if x.type == "SubmissionReserved"]
    assert charged == [1, 2]


def test_rule_6_no_query_beyond_the_budget_is_reserved():
    history = with_scores(scored_round(queries=2), "r1s1", external=0.3)
    picked = Submission(candidate="r1s2", reason="")
    chosen = e.SubmissionsChosen(round=1, closed_by="complete", confirm=(), external=(picked,), basis=BASIS)
    assert refused(history, chosen) == ("SubmissionsChosen", "budget.external_queries")
    history.submissions[1] = chosen
    with pytest.raises(ValueError, match="left"):
        charge_queries(history, LATER)


async def test_rule_7_the_rules_of_a_campaign_that_runs_are_changed_by_nobody(stores, owner):
    console, law = await stores("console"), started(campaign())
    (first,) = await console.append([Append("seven", "seven", law, expected=0)])
    softer = started(campaign(promotion=0.51))
    with pytest.raises(asyncpg.UniqueViolationError):
        await console.append([Append("seven", "seven", softer)])
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await owner.execute("UPDATE events SET data = $1 WHERE id = $2", softer.model_dump_json(), first.id)
    history = fold("seven", [x async for x in console.read(campaign="seven")])
    assert history.campaign.constitution.promotion == law.campaign.constitution.promotion


def test_rule_7_a_decision_by_other_thresholds_than_the_recorded_is_refused():
    history = with_scores(scored_round(), "r1s1", external=0.3, confirm=0.5)
    decision = update(history)
    assert check(history, decision) is None
    softer = history.campaign.constitution.model_copy(update={"promotion": 0.51})
    history.campaign = history.campaign.model_copy(update={"constitution": softer})
    refusal = there(check(history, update(history)))
    assert refusal.article == "constitution"
    assert f"the campaign began with {history.constitution_sha256}" in refusal.message


def test_rule_7_drift_is_judged_at_no_other_threshold():
    alarm = detected("bits", 0.1)
    assert check(scored_round(), alarm) is None
    assert refused(scored_round(), alarm.model_copy(update={"threshold": 3.0})) == ("DriftDetected", "drift.threshold")


def test_rule_8_failed_and_repeated_work_is_charged_like_the_rest():
    log, cost = (
        Log(scored_round((0.35, 0.45, 0.55, None))),
        Cost(tokens=7, compute=70.0, seconds=3.0, device_seconds=2.0, lost_seconds=60.0),
    )
    log.payloads = [Frozen()] * log.history.position
    before = log.history.spent
    failure = {"candidate": "r1s3", "error": "OutOfMemory", "message": "", "cost": cost}
    log.append(
        e.TrainingFailed(**failure, attempt=1, terminal=False),
        trained("r1s3", RECIPES[3]).model_copy(update={"attempt": 2, "cost": cost}),
        e.EvaluationFailed(**failure, kind="dev", attempt=1, terminal=False),
        e.EvaluationFailed(**failure, kind="dev", attempt=2, terminal=True),
        data_ready(2).model_copy(update={"cost": Cost(seconds=5.0)}),
    )
    after = log.history.spent
    assert [after.tokens - before.tokens, after.compute - before.compute] == [28, 280.0]
    assert [after.seconds - before.seconds, after.device_seconds - before.device_seconds] == [17.0, 8.0]
    assert after.lost_seconds - before.lost_seconds == 4 * 60.0


def test_rule_9_a_dead_end_is_neither_reopened_nor_closed_without_the_target():
    history = scored_round()
    good = update(history)

    def closing(*evidence):
        end = DeadEnd(knob="traces", value=1.0, evidence=evidence, reason="dev fell")
        return good.model_copy(update={"policy": good.policy.model_copy(update={"dead_ends": (end,)})})

    assert refused(history, closing()) == ("PolicyUpdated", "space")
    assert refused(history, closing("r1s1")) == ("PolicyUpdated", "space")
    with_scores(history, "r1s1", external=0.1)
    assert refused(history, closing("r1s1")) is None
    history.policies[1] = closing("r1s1").policy
    assert refused(history, good) == ("PolicyUpdated", "space")


def test_rule_9_dev_that_drift_has_disowned_closes_nothing():
    history = scored_round((0.60, 0.10, 0.55, 0.50))
    history.standing_drifts["all"] = detected("all", 0.05)
    assert update(history).policy.dead_ends == ()


def test_rule_10_the_sealed_sets_are_drawn_by_the_key_and_never_trained_on():
    of = campaign()
    for kind in ("dev", "confirm", "external", "final"):
        sealed = _cores(of, kind, 1)
        assert _cores(of, kind, 1, GUESS) != sealed
        assert {split_of(domain, core) for domain, core in sealed} == {kind}


def embedded_system(folder: Path) -> Embedded:
    system = SimpleNamespace(
        folder=RunFolder(folder),
        settings=Settings(postgres="", artifacts="", cache=folder),
        ports=dict.fromkeys(SERVICES, 0),
        lock=0,
        page=None,
        beside=None,
    )
    return cast(Embedded, system)


def test_rule_10_the_oracle_alone_is_given_the_key(tmp_path, monkeypatch):
    monkeypatch.setenv("AEVOLVE_ORACLE_KEY_FILE", "the/caller/has/one")
    broker = cast(EmbeddedBroker, SimpleNamespace(address="", incarnation=""))
    commands = _services(embedded_system(tmp_path), broker)
    given = {command.name: there(command.env).get("AEVOLVE_ORACLE_KEY_FILE") for command in commands}
    assert [name for name, key in given.items() if key] == ["oracle"]
    assert Path(there(given["oracle"])).stat().st_mode & 0o077 == 0
