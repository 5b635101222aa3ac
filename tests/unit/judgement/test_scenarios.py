"""Twelve ways in which loops of this kind have fooled themselves, each played and seen through.

They are the mission's list: published campaigns and their accidents. What needs a database stands in
`tests/integration/test_honest_rules.py`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from judgement.constitution import check
from judgement.decisions import choose_submissions, finish, first_policy, update
from judgement.drift.assess import assess, verdicts
from judgement.search.trust import TrustModel
from schemas import events as e
from schemas.base import Frozen
from schemas.campaign import DOMAINS
from schemas.events import DecisionRefused, DriftAssessed
from schemas.evidence import Basis, Submission
from schemas.recipe import Recipe
from schemas.scores import BASE
from services.oracle import receipts
from services.oracle.receipts import ReceiptForged, rescore
from services.oracle.steps import assess_drift, charge_queries
from services.policy.steps import revise
from services.trainer.distributed.data_parallel import SINGLE_RANK
from services.trainer.job import AdapterUntrained, TargetModuleMissing
from services.trainer.model.lora import ADAPTER, Lora
from tasks.puzzles.draw import draw
from tasks.puzzles.scorer import correct
from tests.typed import instance, there
from tests.unit.driftworld import add, anyhow, conclude, counted, drawn, history
from tests.unit.loopworld import SHA, STAMP, Log, report, scores_of, trained
from tests.unit.searchcases import even, scored_round, with_scores

START = np.array([0.30, 0.25, 0.60, 0.30, 0.40, 0.20])
TARGET = START - 0.05
EQUATIONS = np.array([domain == "equations" for domain in DOMAINS])
BASIS = Basis(position=0, digest=SHA, seed=0)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def begun(dev=START, target=TARGET, n=150):
    """A campaign whose base is measured and whose first round is open."""
    made = add(history(), BASE, dev=counted(dev, n), external=counted(target, n))
    made.policies[1] = first_policy(made).policy
    return made


def going_on(history_):
    """A log that goes on from a history."""
    log = Log(history_)
    log.payloads = [Frozen()] * history_.position
    return log


def chosen(*external, final=()):
    """A round's choice of queries."""
    picked = [tuple(Submission(candidate=name, reason="") for name in names) for names in (external, final)]
    return e.SubmissionsChosen(
        round=1, closed_by="complete", confirm=(), external=picked[0], final=picked[1], basis=BASIS
    )


def test_over_fit_of_one_domain_in_round_3_is_drift_and_promotes_nothing():
    made = begun()
    for round_, gain in ((1, 0.05), (2, 0.10)):
        for slot in (1, 2):
            rise = gain + 0.02 * slot
            scores = {"dev": counted(START + rise, 150), "external": counted(TARGET + 0.8 * rise, 150)}
            add(made, f"r{round_}s{slot}", anyhow(steps=120 * round_ + slot), round_, slot, **scores)
        assert conclude(made, round_) == []
    over = START + 0.14 + 0.6 * EQUATIONS
    for slot, recipe in ((1, anyhow(traces=1.0)), (2, anyhow(traces=1.0, steps=500))):
        scores = {"dev": counted(over, 150), "confirm": counted(over, 150), "external": counted(TARGET + 0.1, 150)}
        add(made, f"r3s{slot}", recipe, 3, slot, **scores)
    found = conclude(made, 3)
    assert [type(verdict).__name__ for verdict in found] == ["DriftDetected"]
    assert (found[0].assessment.scope, found[0].assessment.direction) == ("equations", "inflated")
    best = {"standing": made.trials["r2s2"].recipe, "standing_from": "r2s2"}
    made.policies[3] = made.policies[1].model_copy(update={"round": 3, **best})
    highest = max(made.measured("dev"), key=lambda trial: trial.scores["dev"].score)
    assert highest.candidate.startswith("r3")
    assert update(made).policy.standing_from == "r2s2"


@pytest.mark.parametrize("limit", [7680, 3584])
def test_a_token_limit_that_cuts_answers_off_is_no_drift(limit):
    """Dev was taken with 7680 tokens for an answer. With 3584 on the target, rising recipes seem to stand still."""
    stamps = {kind: STAMP.model_copy(update={"max_new_tokens": 7680}) for kind in ("dev", "external")}
    log = going_on(scored_round((0.60, 0.75, 0.80, 0.85)))
    log.history.base.stamps.update(stamps)
    for slot in range(4):
        log.history.trials[f"r1s{slot}"].stamps["dev"] = stamps["dev"]
        cut = stamps["external"].model_copy(update={"max_new_tokens": limit})
        log.append(report(f"r1s{slot}", "external", even(0.17 - 0.02 * slot)).model_copy(update={"stamp": cut}))
    found = verdicts(log.history, assess(log.history, 1))
    assert bool(found) is (limit == 7680)


def test_a_lucky_seed_of_the_standing_recipe_wins_nothing():
    made = begun()
    for round_, rise in enumerate((0.0, 0.02, -0.02), start=1):
        scores = {kind: counted(START + rise, 150) for kind in ("dev", "confirm")}
        add(made, f"r{round_}s0", Recipe(), round_, 0, external=counted(TARGET, 150), **scores)
    lucky = counted(START + 0.06, 150)
    add(made, "r3s1", Recipe(), 3, 1, dev=lucky, confirm=lucky, external=counted(TARGET + 0.06, 150))
    made.policies[3] = made.policies[1].model_copy(update={"round": 3})
    policy = update(made).policy
    assert policy.standing_from == BASE
    assert policy.noise > 0.01


def test_the_best_of_eight_equal_recipes_is_not_believed():
    """Its dev is 1.4 standard errors too high; what is expected of its target is not."""
    seen, believed = [], []
    for seed in range(8):
        rng, made = np.random.default_rng(seed), begun(n=100)
        for slot in range(8):
            add(made, f"r1s{slot}", anyhow(steps=120 + 40 * slot), 1, slot, dev=drawn(START, 100, rng))
        best = max(made.of_round(1), key=lambda trial: trial.scores["dev"].score)
        seen.append(best.scores["dev"].score - made.base.scores["dev"].score)
        assert update(made).policy.standing_from == BASE
        best.scores["confirm"] = drawn(START, 100, rng)
        believed.append(TrustModel.fit(made).gain(best.candidate, BASE)[0].mean)
    assert np.mean(seen) > 0.02
    assert abs(np.mean(believed)) < np.mean(seen) / 2


def test_a_fabricated_metric_does_not_survive_its_receipt(tmp_path):
    """A stub's output with the verdict that it wished for."""
    items = {"roman": draw("roman", 20, difficulty=(1, 0, 0), wordings=(1, 0, 0), split="dev", seed=0)}
    claims = [receipts.line(item, "stub", True, b"0123456789abcdef") for item in items["roman"]]
    claimed = receipts.write(claims, tmp_path)
    assert receipts.count(claims).score == 1.0
    with pytest.raises(ReceiptForged, match="is not True"):
        rescore(claimed, items, b"0123456789abcdef")


def test_a_submission_that_timed_out_is_not_sent_a_second_time():
    log = going_on(scored_round())
    log.append(chosen("r1s1"))
    first, again = charge_queries(log.history, NOW), charge_queries(log.history, NOW)
    assert [append.expected for append in first.events] == [1]
    assert again == first  # the same place of the same stream, the same key of the work: one of the two is refused
    log.append(*(append.event for append in first.events))
    after = charge_queries(log.history, NOW)
    assert after.events == ()
    assert [(job.queue, job.key) for job in after.work] == [(job.queue, job.key) for job in first.work]


def test_an_outage_of_the_oracle_stops_nothing_and_its_late_score_counts_in_the_next_round():
    log = going_on(scored_round())
    log.append(chosen("r1s1"))
    log.append(*(append.event for append in charge_queries(log.history, NOW).events))
    log.history.streams["test/round/1"] = 1
    sent, patience = log.history.submission_times[1], log.history.campaign.constitution.budget.board_seconds
    assert not assess_drift(log.history, sent + timedelta(seconds=patience - 1))
    (assessed, *_) = assess_drift(log.history, sent + timedelta(seconds=patience)).events
    assert instance(DriftAssessed, assessed.event).evidence == ()
    log.append(assessed.event)
    log.append(update(log.history))
    log.append(report("r1s1", "external", even(0.30)))
    assert assess(log.history, 2).evidence == ("r1s1",)
    assert log.history.reserved("external") == 2


class Hybrid(torch.nn.Module):
    """56 layers, 4 of them with attention, as a mixture of state-space and attention layers has them."""

    def __init__(self):
        super().__init__()
        kinds = ["q_proj" if layer % 14 == 0 else "in_proj" for layer in range(56)]
        self.layers = torch.nn.ModuleList(torch.nn.ModuleDict({kind: torch.nn.Linear(2, 2)}) for kind in kinds)

    prepare_inputs_for_generation = None

    def get_output_embeddings(self):
        return None


def test_an_adapter_that_touches_4_of_56_layers_is_no_checkpoint():
    silent = get_peft_model(Hybrid(), LoraConfig(target_modules=["q_proj", "gate_proj"]))
    assert len({name.split(".")[3] for name, _ in silent.named_parameters() if "lora_A" in name}) == 4
    with pytest.raises(TargetModuleMissing, match="'gate_proj' is no linear layer of the model"):
        Lora().attach(Hybrid(), Recipe(target_modules=("q_proj", "gate_proj")))


def test_an_adapter_of_which_4_of_56_layers_learnt_is_no_checkpoint():
    adapted = Lora().attach(Hybrid(), Recipe(target_modules=("q_proj", "in_proj")))
    layers: Any = instance(Hybrid, adapted.base_model.model).layers
    for layer in list(layers)[::14]:
        layer["q_proj"].lora_B[ADAPTER].weight.data.fill_(1.0)
    with pytest.raises(AdapterUntrained, match="52 of 56 adapted layers did not move"):
        Lora().coverage(adapted, cast(torch.optim.Optimizer, None), SINGLE_RANK)


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_scorer_gives_nothing_for_nothing(domain):
    """Where an empty output equals an empty answer, a dead model is perfect."""
    for item in draw(domain, 50, difficulty=(1, 1, 1), wordings=(1, 1, 1), split="dev", seed=1):
        assert item.answer.strip()
        for output in ("", " \n", "\\boxed{}", item.prompt, f"{item.prompt}\n{item.prompt}"):
            assert not correct(item.prompt, output, item.answer)
        assert not correct(item.prompt, "", "")
        assert correct(item.prompt, item.completion(traced=False), item.answer)


def test_a_threshold_edited_after_the_results_decides_nothing():
    log = going_on(with_scores(scored_round(), "r1s0", external=0.20))
    with_scores(log.history, "r1s1", external=0.21, confirm=0.45)
    log.append(assess(log.history, 1))
    assert [type(append.event).__name__ for append in revise(log.history, NOW).events] == ["PolicyUpdated"]
    softer = log.history.campaign.constitution.model_copy(update={"promotion": 0.501})
    log.history.campaign = log.history.campaign.model_copy(update={"constitution": softer})
    (said,) = revise(log.history, NOW).events
    refusal = instance(DecisionRefused, said.event)
    assert (refusal.decision, refusal.article) == ("PolicyUpdated", "constitution")


def test_a_domain_drawn_twice_as_often_may_help_the_others():
    """Against the prior that it must take from them; the largest single finding of arXiv 2606.20657."""
    twice = Recipe().replace("upsample.cipher", 2.0)
    assert twice.shares(DOMAINS)["cipher"] == pytest.approx(2 / 7)
    log = going_on(with_scores(scored_round((0.35, 0.40, 0.40, None)), "r1s0", external=0.20))
    trial = log.history.trials["r1s3"]
    trial.recipe, trial.changes = twice, trial.changes[:1]
    trial.changes = (trial.changes[0].model_copy(update={"knob": "upsample.cipher", "before": 1.0, "after": 2.0}),)
    others = [35 if domain == "cipher" else 60 for domain in DOMAINS]
    target = [20 if domain == "cipher" else 45 for domain in DOMAINS]
    log.append(trained("r1s3", twice), report("r1s3", "dev", scores_of(others)))
    log.append(report("r1s3", "confirm", scores_of(others)), report("r1s3", "external", scores_of(target)))
    policy = update(log.history).policy
    assert (policy.standing_from, policy.standing) == ("r1s3", twice)
    belief = next(b for b in policy.interventions if b.name.startswith("upsample.cipher"))
    assert belief.target.mean > 0.05
    assert policy.dead_ends == ()


def test_a_winner_of_the_public_board_that_loses_on_the_private_one_is_said_to_have_lost():
    log = going_on(with_scores(scored_round(), "r1s1", external=0.60, confirm=0.60))
    assert "r1s1" not in [s.candidate for s in choose_submissions(log.history, 1, "complete").external]
    log.append(chosen(final=(BASE, "r1s1")))
    for candidate, score in ((BASE, 0.40), ("r1s1", 0.25)):
        log.append(e.SubmissionReserved(candidate=candidate, kind="final", round=1, number=1, left=1))
        log.append(report(candidate, "final", even(score)))
    ended = finish(log.history)
    assert ended.gain.mean == pytest.approx(-0.15)
    assert "a loss that chance does not explain" in ended.why
    second = check(log.history, chosen(final=(BASE, "r1s3")))
    assert there(second).article == "evaluation.final"
