"""Whatever is trained and however rows lie, the same is learnt: packed, recomputed, beside 4 bits, all weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from services.trainer import checkpoint
from services.trainer.batches import IGNORED, Example, prepare
from services.trainer.job import AdapterUntrained, QuantizerMissing, RowsSeen
from services.trainer.layout import join, packed, packs, padded
from services.trainer.methods.sft import Supervised
from services.trainer.model import loading, lora
from services.trainer.model.loading import check_packing
from services.trainer.optimizer import BETAS, CLIP, rate
from tests.trained import kill_at, make_inputs, make_job, quiet

ROWS = st.lists(st.integers(2, 40), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, str]:
    return make_inputs(tmp_path_factory.mktemp("inputs"), width=64)  # bitsandbytes packs blocks of 64 weights


@pytest.fixture
def job(inputs, tmp_path):
    return lambda name="a", **recipe: make_job(tmp_path / name, inputs, **recipe)


def run(job) -> Supervised:
    return Supervised(job, prepare(job, AutoTokenizer.from_pretrained(job.base)), Path(job.base))


def example(length: int) -> Example:
    return Example(tuple(range(1, length + 1)), ((length // 2, length),), 1)


def test_the_default_recipe_is_the_plain_loop_bit_for_bit(job, inputs) -> None:
    given = job(dropout=0.1)
    trained = quiet(given)
    data = prepare(given, AutoTokenizer.from_pretrained(given.base))
    torch.manual_seed(given.seed)
    model = lora.Lora().attach(AutoModelForCausalLM.from_pretrained(given.base), given.recipe).train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, betas=BETAS, weight_decay=0.0, fused=True)
    for step, batch in enumerate(data.batches):
        (one,) = padded(batch, given.max_length)
        logits = model(input_ids=one.ids, use_cache=False).logits[:, :-1].flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, one.targets[:, 1:].flatten(), reduction="sum")
        (loss / sum(row.learned for row in batch)).backward()
        optimizer.param_groups[0]["lr"] = rate(given.recipe, step)
        torch.nn.utils.clip_grad_norm_(weights, CLIP)
        optimizer.step()
        optimizer.zero_grad()
    learnt = get_peft_model_state_dict(model, save_embedding_layers=False)
    for name, weight in load_file(Path(trained.uri) / lora.WEIGHTS).items():
        assert torch.equal(weight, learnt[name])


@given(ROWS)
def test_packing_keeps_every_row_whole_and_overfills_no_sequence(lengths: list[int]) -> None:
    rows = [example(length) for length in lengths]
    sequences = packs(rows, 40)
    assert sorted(len(row.tokens) for rows in sequences for row in rows) == sorted(lengths)
    assert all(sum(len(row.tokens) for row in rows) <= 40 for rows in sequences)
    filled = sorted(sum(len(row.tokens) for row in rows) for rows in sequences)
    assert len(filled) == 1 or filled[0] + filled[1] > 40  # no two would fit one


def test_a_row_longer_than_a_sequence_has_one_of_its_own() -> None:
    assert [len(rows) for rows in packs([example(9), example(2), example(3)], 5)] == [1, 2]


@given(ROWS)
def test_joined_rows_restart_their_positions_and_learn_what_padded_rows_learn(lengths: list[int]) -> None:
    rows = [example(length) for length in lengths]
    ids, targets, positions = join(packs(rows, 40))
    starts = (positions == 0).sum()
    assert starts >= len(rows)
    learnt = sorted(token for row in rows for token in row.tokens[max(1, row.prompt) :])
    assert sorted(targets[targets != IGNORED]) == learnt
    assert (targets[positions == 0] == IGNORED).all()
    assert ids.shape == targets.shape == positions.shape


def test_packed_rows_have_the_loss_and_gradient_of_rows_side_by_side(job) -> None:
    apart, together = run(job(packing="buckets")), run(job(packing="packed"))
    rows = apart.data.batches[0]
    (one,) = packed(rows, together.job.max_length)
    assert len(one.ids) < len(rows)
    for row in rows:  # each row's loss, whatever stands before it in its sequence
        alone = sum(apart.loss(inputs).item() for inputs in padded([row], 128))
        beside = [together.loss(inputs).item() for inputs in packed([rows[0], row], 128)]
        first = sum(apart.loss(inputs).item() for inputs in padded([rows[0]], 128))
        assert sum(beside) - first == pytest.approx(alone, rel=1e-4, abs=1e-4)
    assert together.learn(rows) == pytest.approx(apart.learn(rows), rel=1e-5)
    for name, weight in apart.weights.items():
        torch.testing.assert_close(together.weights[name].grad, weight.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kind", ["sdpa", "eager"])
def test_packed_rows_do_not_see_one_another(inputs, kind: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(inputs["base"], attn_implementation=kind)
    check_packing(model, "cpu")


def test_a_model_whose_rows_would_see_one_another_is_refused(job, inputs, monkeypatch) -> None:
    model = AutoModelForCausalLM.from_pretrained(inputs["base"])
    forward = model.forward

    def running_state(*args, position_ids=None, **kwargs):
        return forward(*args, **kwargs)  # a sequence is one row to it

    monkeypatch.setattr(model, "forward", running_state)
    with pytest.raises(RowsSeen, match="use packing: buckets"):
        check_packing(model, "cpu")


def test_flash_attention_is_taken_only_where_it_is_installed_and_the_model_has_it(inputs, monkeypatch) -> None:
    model = AutoModelForCausalLM.from_pretrained(inputs["base"])
    chosen: list[str] = []
    monkeypatch.setattr(model, "set_attn_implementation", chosen.append)
    loading.use_flash_attention(model)
    monkeypatch.setattr(loading, "is_flash_attn_2_available", lambda: True)
    loading.use_flash_attention(model)
    monkeypatch.setattr(model, "_supports_flash_attn", False)
    loading.use_flash_attention(model)
    assert chosen == [loading.FLASH]
    assert model.config._attn_implementation == "sdpa"


def test_recomputed_activations_change_nothing_that_is_learnt(job) -> None:
    kept, recomputed = (quiet(job(how, dropout=0.1, activations=how)) for how in ("kept", "recomputed"))
    assert recomputed.sha256 == kept.sha256
    assert recomputed.loss == kept.loss


@pytest.mark.parametrize("knob", ["packing=packed", "adapter=qlora", "adapter=full"])
def test_equal_jobs_give_equal_results_also_when_killed(job, knob, monkeypatch) -> None:
    recipe = {"lr": 1e-3, **dict([knob.split("=")])}
    monkeypatch.setattr(checkpoint, "EVERY", 2)
    monkeypatch.setattr("services.trainer.methods.sft.REPORT_SECONDS", 0.0)
    undisturbed = quiet(job("a", **recipe))
    kill_at(job("b", **recipe), 5)
    resumed = quiet(job("b", **recipe))
    assert (undisturbed.resumed_from, resumed.resumed_from) == (0, 4)
    assert (resumed.sha256, resumed.loss, resumed.tokens) == (undisturbed.sha256, undisturbed.loss, undisturbed.tokens)


def test_a_base_in_four_bits_teaches_an_adapter_that_serves_the_whole_base(job, inputs) -> None:
    given = job(adapter="qlora", steps=40, lr=2e-2)
    learner = run(given)
    assert type(learner.model.get_submodule("base_model.model.model.layers.0.mlp.up_proj.base_layer")).__name__ == (
        "Linear4bit"
    )
    trained = quiet(given)
    assert trained.coverage.moved == 14
    whole = run(job(adapter="lora"))
    before = whole.held_out_loss()
    set_peft_model_state_dict(whole.model, load_file(Path(trained.uri) / lora.WEIGHTS))
    assert whole.held_out_loss() < 0.8 * before


def test_an_evaluation_does_not_change_the_gradients_beside_four_bits(job) -> None:
    learner = run(job(adapter="qlora"))
    ids = torch.arange(1, 33).reshape(2, 16)

    def gradients() -> list[torch.Tensor]:
        learner.model.zero_grad()
        learner.model(input_ids=ids, labels=ids).loss.backward()
        return [weight.grad.clone() for weight in learner.weights.values()]

    before = gradients()
    learner.held_out_loss()
    learner.model.train()
    assert all(map(torch.equal, before, gradients()))
    # Where the processor has no AVX512-BF16 the above holds by itself, so the switch is asserted too.
    switches = [
        m.support_avx512bf16_for_cpu for m in learner.model.modules() if hasattr(m, "support_avx512bf16_for_cpu")
    ]
    assert switches
    assert not any(switches)


def test_four_bits_without_their_library_are_refused(job, monkeypatch) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(QuantizerMissing, match=r"install aevolve\[qlora\]"):
        quiet(job(adapter="qlora"))


def test_all_weights_trained_are_saved_as_a_plain_model(job, inputs) -> None:
    trained = quiet(job(adapter="full", lr=1e-3))
    assert trained.form == "full"
    assert (trained.coverage.modules["embed_tokens"], trained.coverage.modules["q_proj"]) == (1, 2)
    base, found = (AutoModelForCausalLM.from_pretrained(folder) for folder in (inputs["base"], trained.uri))
    assert trained.coverage.trainable == sum(weight.numel() for weight in base.parameters())
    for before, after in zip(base.parameters(), found.parameters(), strict=True):
        assert not torch.equal(before, after)
    read = [AutoTokenizer.from_pretrained(folder)("XIV is")["input_ids"] for folder in (inputs["base"], trained.uri)]
    assert read[0] == read[1]
    assert not (Path(trained.uri) / "adapter_config.json").exists()


def test_a_weight_that_never_had_a_gradient_is_an_error(job, monkeypatch) -> None:
    given = job(adapter="full")
    learner = run(given)
    learner.model.model.norm.weight.register_hook(torch.zeros_like)
    learner.run(0, lambda _: None)
    with pytest.raises(AdapterUntrained, match=r"1 of 20 weights did not move, such as 'model\.norm\.weight'"):
        learner.trained.coverage(learner.model, learner.optimizer, learner.ranks)


def test_an_adapter_of_four_bits_loads_as_peft_reads_it(job, inputs) -> None:
    trained = quiet(job(adapter="qlora"))
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(inputs["base"]), trained.uri)
    assert torch.isfinite(model(torch.tensor([[1, 20, 30]])).logits).all()
