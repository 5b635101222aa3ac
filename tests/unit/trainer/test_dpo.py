"""Preference pairs: the better answer becomes likelier than the worse one, exactly and resumably."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from schemas.rows import Row
from services.trainer import preflight
from services.trainer.adapter_job import TRAINING
from services.trainer.batches import IGNORED
from services.trainer.job import LossNotFinite, RecipeUnsupported, RowsMissing, RowsTooLong
from services.trainer.methods import dpo, trl_job
from services.trainer.methods.dpo import Pair, Preferring, pairs
from services.trainer.rows import draws, snapshot
from tests.tiny_models import make_model, make_text_model, spelt
from tests.trained import kill_at, make_job, quiet, write_rows
from tests.typed import instance

DPO = {"method": "dpo", "steps": 6, "batch": 4, "lr": 5e-3, "schedule": "constant", "beta": 0.5, "traces": 0.0}


def pair(at: int, **more) -> Row:
    """Prefers the digits reversed to the digits in their order; the random base does not."""
    digits = "".join(random.Random(at).choices("0123456789", k=3))
    row = Row(
        "order", 0, 0, f"sort {digits} #{at}", "", "".join(sorted(digits, reverse=True)) + "z", f"{at}", source="mine"
    )
    return replace(row, rejected="".join(sorted(digits)) + "a", **more)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("inputs")
    snapshot = write_rows(folder / "rows.parquet", [pair(at) for at in range(64)])
    return {"base": str(make_model(folder / "base", width=64)), "snapshot": snapshot}


@pytest.fixture
def job(inputs, tmp_path):
    return lambda name="a", **recipe: make_job(tmp_path / name, inputs, **{**DPO, **recipe})


def begin(job) -> Preferring:
    return Preferring(job, AutoTokenizer.from_pretrained(job.base), Path(job.base))


def margin(model, pairs: list[Pair]) -> list[float]:
    """By how much the better answer is likelier than the worse one, in nats."""
    model.eval()

    def likelihood(prompt: tuple[int, ...], answer: tuple[int, ...]) -> float:
        ids = torch.tensor([prompt + answer])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        return float(logits.gather(1, torch.tensor(answer)[:, None]).sum())

    return [likelihood(one.prompt, one.chosen) - likelihood(one.prompt, one.rejected) for one in pairs]


def test_the_loss_falls_and_better_answers_become_likelier_on_pairs_never_trained_on(job) -> None:
    learner = begin(job(steps=40, checkpoint="best"))
    before = margin(learner.model, learner.held_out_pairs)
    assert learner.held_out_loss() == pytest.approx(0.693147, abs=1e-4)  # nothing is learned: log 2
    learner.run(0, lambda _: None)
    after = margin(learner.model, learner.held_out_pairs)
    assert learner.losses[0] == pytest.approx(0.693147, abs=1e-4)
    assert learner.losses[-1] < 0.1
    assert learner.held_out_loss() < 0.1
    assert sum(value > 0 for value in after) > sum(value > 0 for value in before)
    assert all(value > 0 for value in after)


@pytest.mark.parametrize(
    "recipe", [{}, {"checkpoint": "average", "lora_variant": "rsdora"}, {"adapter": "qlora", "checkpoint": "best"}]
)
def test_equal_jobs_give_equal_results_also_when_killed(job, recipe, monkeypatch) -> None:
    monkeypatch.setattr(dpo, "EVERY", 2)
    monkeypatch.setattr(trl_job, "REPORT_SECONDS", 0.0)
    undisturbed = quiet(job("a", **recipe))
    kill_at(job("b", **recipe), 5)
    resumed = quiet(job("b", **recipe))
    assert (undisturbed.resumed_from, resumed.resumed_from) == (0, 4)
    same = ("sha256", "loss", "tokens", "coverage", "form")
    assert [getattr(resumed, name) for name in same] == [getattr(undisturbed, name) for name in same]
    assert not Path(job("b").work).exists()


def test_a_step_s_loss_is_the_papers_however_its_pairs_are_cut_into_passes(job, monkeypatch) -> None:
    learner = begin(job(steps=1, batch=8, lr=1e-3))
    with torch.no_grad():
        for weight in learner.weights.values():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)) * 0.02)
    new = margin(learner.model, learner.pairs)
    with learner.model.disable_adapter():
        base = margin(learner.model, learner.pairs)
    ratios = torch.tensor([0.5 * (n - b) for n, b in zip(new, base, strict=True)])
    expected = -torch.nn.functional.logsigmoid(ratios).mean().item()
    batch = [one.columns for one in learner.pairs]
    whole = learner.trainer.compute_loss(learner.model, learner.trainer.data_collator(batch)).item()
    assert whole == pytest.approx(expected, rel=1e-4)
    monkeypatch.setattr(dpo, "MICRO_TOKENS", 2 * 2 * 128)
    cut = begin(job("cut", steps=1, batch=8, lr=1e-3))
    assert (cut.trainer.args.per_device_train_batch_size, cut.trainer.args.gradient_accumulation_steps) == (2, 4)
    with torch.no_grad():
        for name, weight in cut.weights.items():
            weight.copy_(learner.weights[name])
    cut.run(0, lambda _: None)
    assert cut.losses[0] == pytest.approx(expected, rel=1e-4)


def test_rows_without_a_pair_are_left_out_and_counted(job, tmp_path) -> None:
    plain = [replace(pair(100 + at), rejected="", source="other") for at in range(64)]
    snapshot = write_rows(tmp_path / "mixed.parquet", [*(pair(at) for at in range(64)), *plain])
    mixed = quiet(job(steps=8).model_copy(update={"snapshot": snapshot}))
    assert 0 < mixed.unused["no_pair"] <= 64
    assert mixed.too_long_rows == {}
    none = write_rows(tmp_path / "none.parquet", plain)
    with pytest.raises(RowsMissing, match=r"dpo needs rows with a better and a worse answer .* method: sft"):
        quiet(job("none").model_copy(update={"snapshot": none}))


def test_pairs_too_long_are_left_out_by_source_and_a_domain_without_any_other_fails(job, tmp_path) -> None:
    long = [replace(pair(200 + at), domain="essays", rejected="z" * 200, source="long") for at in range(32)]
    snapshot = write_rows(tmp_path / "long.parquet", [*(pair(at) for at in range(64)), *long])
    with pytest.raises(RowsTooLong, match=r"each of the 30 rows of the domain essays is longer .*mix\.essays: 0"):
        quiet(job().model_copy(update={"snapshot": snapshot}))
    short = [replace(row, rejected="z") for row in long[:16]]
    snapshot = write_rows(tmp_path / "some.parquet", [*(pair(at) for at in range(64)), *short, *long[16:]])
    some = quiet(job("some").model_copy(update={"snapshot": snapshot}))
    assert 0 < some.too_long_rows["long"] <= 16


def test_a_pair_of_conversations_is_asked_as_its_last_turn(job) -> None:
    given = job()
    tokenizer = AutoTokenizer.from_pretrained(given.base)
    turns = '[{"role": "user", "content": "sort 21"}, {"role": "assistant", "content": "12a"}]'
    talked, flat = replace(pair(1), messages=turns, trace="12a"), replace(pair(1), prompt="sort 21", trace="12a")
    (one,), (other,) = (
        instance(tuple, made) for made in pairs(given, tokenizer).make([(talked, False), (flat, False)])
    )
    assert one == other
    assert one.chosen[-1] == one.rejected[-1] == tokenizer.eos_token_id
    assert spelt(tokenizer, one.prompt[1:]) == "sort 21\n"


def test_every_weight_cannot_be_compared_with_its_base(job) -> None:
    with pytest.raises(RecipeUnsupported, match=r"adapter: full does not work with method: dpo.* use adapter: lora"):
        preflight.check_recipe(job(adapter="full").recipe)


@pytest.mark.parametrize("method", ["dpo", "grpo"])
def test_an_adapter_of_the_output_layer_which_trl_would_pass_by_is_refused(job, inputs, tmp_path, method: str) -> None:
    base = str(make_text_model(tmp_path / "untied", tied=False))
    given = job(method=method, target_modules=("q_proj", "lm_head")).model_copy(update={"base": base})
    if method == "grpo":
        rows = [replace(pair(at), answer="1") for at in range(32)]
        given = given.model_copy(update={"snapshot": write_rows(tmp_path / "rows.parquet", rows)})
    with pytest.raises(RecipeUnsupported, match=rf"method: {method} does not train an adapter of the output layer"):
        quiet(given)


def test_a_loss_that_is_no_number_ends_the_job_in_its_step(job, monkeypatch) -> None:
    learner = begin(job())
    compute = learner.trainer.compute_loss
    calls = []

    def broken(*arguments, **more):
        calls.append(1)
        return compute(*arguments, **more) * (float("nan") if len(calls) == 3 else 1.0)

    monkeypatch.setattr(learner.trainer, "compute_loss", broken)
    with pytest.raises(LossNotFinite, match=r"recipe\.lr: the loss is nan in step 3 of 6 at lr 0\.005; lower lr"):
        learner.run(0, lambda _: None)
    assert len(calls) == 3
    assert "LossNotFinite" in TRAINING.permanent


def test_epochs_count_the_rows_once_each(job) -> None:
    learner = begin(job(epochs=0.5, steps=100))
    assert learner.job.recipe.steps == 8  # half of 64 rows, 4 a step
    assert len(learner.pairs) == 32
    assert IGNORED not in [token for one in learner.pairs for token in one.chosen]
    assert len({one.prompt for one in learner.pairs}) == 32
    assert next(draws(learner.job.recipe, snapshot(learner.job), 1))[0].rejected
