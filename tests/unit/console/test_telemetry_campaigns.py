"""What the exporter says of campaigns follows from their histories, and its labels stay few."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

from eventstore.read import CampaignSummary
from judgement.drift.assess import assess, strength
from judgement.history import History
from judgement.trial import Trial
from schemas.policy import Policy
from schemas.recipe import Recipe
from services.console.telemetry.exporter import CAMPAIGNS, newest
from services.console.telemetry.metrics import ROUNDS, campaign_metrics
from tests.unit.loopworld import World, campaign

START = datetime(2026, 1, 1, tzinfo=UTC)


def samples(*histories):
    """Every number, by name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in campaign_metrics(histories)
        for sample in family.samples
    }


def of(history, name, **labels):
    return samples(history).get((name, *sorted({"campaign": history.id, **labels}.items())))


def begun(**flags):
    """A campaign in its first round, with nothing measured."""
    history = History("c", campaign=campaign(rounds=3), started_at=START, **flags)
    history.policies[1], history.policy_times[1] = cast(Policy, SimpleNamespace(round=1)), START
    return history


def test_a_campaign_is_in_one_state_at_a_time():
    for flags, state in (({}, "running"), ({"paused": True}, "paused"), ({"stopped": True}, "stopped")):
        history = begun(**flags)
        states = {
            s: of(history, "aevolve_campaign_state", state=s) for s in ("running", "paused", "stopped", "finished")
        }
        assert states == {**dict.fromkeys(states, 0), state: 1}


def test_a_rounds_deadline_is_the_sum_of_what_it_may_wait_for():
    history = begun()
    budget = history.campaign.constitution.budget
    patience = timedelta(seconds=budget.data_seconds + budget.round_seconds + budget.board_seconds)
    assert of(history, "aevolve_round_deadline_timestamp_seconds") == (START + patience).timestamp()


def test_a_campaign_that_does_not_run_has_no_deadline():
    assert of(begun(paused=True), "aevolve_round_deadline_timestamp_seconds") is None


def test_the_best_of_a_round_is_told_on_both_sets():
    history = begun()
    world = World()
    for slot in range(3):
        trial = Trial(f"r1s{slot}", round=1, slot=slot, recipe=Recipe(steps=120 * (slot + 1)))
        trial.scores["dev"] = world.scores(trial.candidate, trial.recipe, "dev", run=slot)
        history.trials[trial.candidate] = trial
    best = max(t.scores["dev"].score for t in history.of_round(1))
    assert of(history, "aevolve_round_best_score_ratio", round="1", kind="dev") == best
    assert of(history, "aevolve_round_best_score_ratio", round="1", kind="external") is None
    assert of(history, "aevolve_round_candidates", stage="scored") == 3
    assert of(history, "aevolve_round_candidates", stage="waiting") == 0


def test_only_the_last_rounds_are_shown():
    history = begun()
    for round_ in range(1, 31):
        history.policies[round_], history.policy_times[round_] = SimpleNamespace(round=round_), START
        trial = Trial(f"r{round_}s0", round=round_, recipe=Recipe())
        trial.scores["dev"] = World().scores(trial.candidate, trial.recipe, "dev", run=0)
        history.trials[trial.candidate] = trial
    shown = {dict(key[1:])["round"] for key in samples(history) if key[0] == "aevolve_round_best_score_ratio"}
    assert shown == {str(round_) for round_ in range(31 - ROUNDS, 31)}


def test_the_drift_statistic_is_what_the_threshold_is_compared_with():
    history = begun()
    assert of(history, "aevolve_drift_statistic") is None
    for kind in ("dev", "external"):
        history.base.scores[kind] = World().scores("base", None, kind, run=0)
    history.assessments[1] = assessed = assess(history, 1)
    assert of(history, "aevolve_drift_statistic") == strength(assessed)
    assert of(history, "aevolve_drift_threshold") == history.campaign.constitution.drift.threshold


def test_of_many_campaigns_the_open_and_the_newest_are_shown():
    many = [
        CampaignSummary(f"c{n}", "c", START + timedelta(hours=n), None if n % 10 == 0 else "CampaignFinished")
        for n in range(100)
    ]
    shown = [one.id for one in newest(many)]
    assert len(shown) == CAMPAIGNS
    assert shown[:11] == [*(f"c{n}" for n in range(90, -1, -10)), "c99"]
