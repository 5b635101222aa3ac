"""Losses and logits are those of a plain computation: conversations, packing, flash attention, LoRA variants."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, modeling_flash_attention_utils

from schemas.prompts import Prompt
from schemas.rows import Row
from services.trainer import preflight
from services.trainer.batches import encode, prepare
from services.trainer.job import OutputLayerTied, RowsSeen
from services.trainer.layout import MICRO_TOKENS, packed, padded
from services.trainer.methods.sft import Supervised
from services.trainer.model import export, loading
from tests.tiny_models import make_text_model, text_tokenizer
from tests.trained import make_job, quiet, write_rows

CHAT = Prompt(template="chat")


def talk(at: int) -> Row:
    turns = [("user", f"Tom has {at} apples."), ("assistant", f"{at}"), ("user", "so?"), ("assistant", f"{at} - 1")]
    messages = [{"role": role, "content": content} for role, content in turns]
    return Row("talks", 0, 0, "so?", "", f"{at} - 1", f"{at}", "mine", messages=json.dumps(messages))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("inputs")
    snapshot = write_rows(folder / "rows.parquet", [talk(at) for at in range(64)])
    return {"base": str(make_text_model(folder / "base")), "snapshot": snapshot, "prompt": CHAT}


@pytest.fixture
def job(inputs, tmp_path):
    return lambda name="a", **recipe: make_job(tmp_path / name, inputs, **recipe)


def begin(job) -> Supervised:
    return Supervised(job, prepare(job, text_tokenizer("bytes")), Path(job.base))


def plain_loss(model, ids: list[int], learned: list[int]) -> float:
    """Minus the log-probability of the tokens at these places, one sequence by itself."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    return -sum(float(logits[at - 1, ids[at]]) for at in learned)


@pytest.mark.parametrize("packing", ["buckets", "packed"])
def test_a_conversation_s_loss_is_that_of_its_assistant_turns(job, packing: str) -> None:
    learner = begin(job(packing=packing))
    examples = encode(text_tokenizer("bytes"), [(talk(at), False) for at in (1, 22, 333)], CHAT)
    base = AutoModelForCausalLM.from_pretrained(learner.base)
    learned = [[at for span in one.spans for at in range(*span)] for one in examples]
    expected = sum(plain_loss(base, list(one.tokens), places) for one, places in zip(examples, learned, strict=True))
    found = sum(learner.loss(inputs).item() for inputs in learner.inputs(examples))
    assert found == pytest.approx(expected, rel=1e-4)
    assert sum(map(len, learned)) == sum(one.learned for one in examples) < sum(one.size for one in examples)


def test_a_job_on_conversations_lowers_their_loss_and_keeps_its_best_weights(job) -> None:
    given = job(steps=30, lr=2e-2, checkpoint="best", epochs=2.0)
    learner = begin(given)
    before = learner.held_out_loss()
    learner.run(0, lambda _: None)
    assert len(learner.losses) == 16  # twice 64 rows, 8 a step
    assert learner.held_out_loss() == pytest.approx(learner.selection.score)
    assert learner.selection.score < 0.8 * before
    trained = quiet(given)
    assert (trained.unused, trained.too_long_rows) == ({}, {})


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float | None) -> torch.Tensor:
    """Causal attention of [batch, length, heads, width], as a flash kernel computes it."""
    q, k, v = (tensor.transpose(1, 2) for tensor in (q, k, v))
    attend = torch.nn.functional.scaled_dot_product_attention
    return attend(q, k, v, is_causal=True, scale=scale, enable_gqa=True).transpose(1, 2)


def whole(q, k, v, softmax_scale=None, **_: Any) -> torch.Tensor:
    return attention(q, k, v, softmax_scale)


def cut(q, k, v, cu_seqlens_q, softmax_scale=None, **_: Any) -> torch.Tensor:
    """The variable-length kernel: rows of [tokens, heads, width] between the boundaries."""
    bounds = cu_seqlens_q.tolist()
    rows = [slice(begin, end) for begin, end in pairwise(bounds)]
    return torch.cat([attention(q[None, row], k[None, row], v[None, row], softmax_scale)[0] for row in rows])


@pytest.fixture
def flash(monkeypatch):
    """transformers' own dispatch of flash attention, with reference kernels."""
    kernels = (whole, cut, None, None, None)
    settings = (lambda softmax_scale=None, **_: {"softmax_scale": softmax_scale}, None)
    monkeypatch.setattr(modeling_flash_attention_utils, "lazy_import_flash_attention", lambda *_: (kernels, settings))

    def use(model: Any) -> None:
        model.config._attn_implementation = loading.FLASH

    monkeypatch.setattr(loading, "use_flash_attention", use)
    return use


@pytest.mark.usefixtures("flash")
def test_packed_rows_do_not_see_one_another_under_flash_attention(job) -> None:
    apart, together = begin(job(packing="buckets")), begin(job(packing="packed"))
    assert together.flat
    rows = encode(text_tokenizer("bytes"), [(talk(at), False) for at in range(40)], CHAT)
    (one,) = together.inputs(rows)
    assert one.ids.shape[0] == 1  # several sequences of rows, joined to one
    assert one.ids.shape[1] > together.job.max_length
    side_by_side = sum(apart.loss(inputs).item() for inputs in padded(rows, 128))
    assert together.loss(one).item() == pytest.approx(side_by_side, rel=1e-5)
    several = sum(together.loss(inputs).item() for inputs in packed(rows, 128))
    assert abs(several - side_by_side) > 5e-4 * side_by_side  # what transformers does with more than one


def test_packing_is_checked_with_as_many_sequences_as_training_has(inputs, flash) -> None:
    model = AutoModelForCausalLM.from_pretrained(inputs["base"])
    loading.check_packing(model, "cpu", 2)
    flash(model)
    loading.check_packing(model, "cpu", 1)
    with pytest.raises(RowsSeen, match="use packing: buckets"):
        loading.check_packing(model, "cpu", MICRO_TOKENS // 128)


VARIANTS = ["standard", "rslora", "dora", "rsdora"]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("targets", [("q_proj", "down_proj"), ("all-linear",)], ids=["some", "all"])
def test_a_merged_model_is_the_base_with_its_adapter(job, tmp_path, variant: str, targets: tuple[str, ...]) -> None:
    given = job(lora_variant=variant, target_modules=targets, lr=1e-2)
    trained = quiet(given)
    config = json.loads((Path(trained.uri) / "adapter_config.json").read_text())
    assert (config["use_rslora"], config["use_dora"]) == (variant in ("rslora", "rsdora"), "dora" in variant)
    every = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert config["target_modules"] == (every if targets == ("all-linear",) else ["down_proj", "q_proj"])
    assert trained.coverage.modules == dict.fromkeys(config["target_modules"], 2)
    base = AutoModelForCausalLM.from_pretrained(given.base)
    ids = torch.randint(3, 300, (2, 24), generator=torch.Generator().manual_seed(0))
    export.export(Path(given.base), Path(trained.uri), tmp_path / "merged", {})
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    with torch.no_grad():
        before = base(ids).logits
        beside = PeftModel.from_pretrained(base, trained.uri).eval()(ids).logits
        torch.testing.assert_close(merged(ids).logits, beside, rtol=1e-4, atol=1e-3)
    assert (beside - before).abs().max() > 0.05


def test_an_adapter_of_an_output_layer_that_is_the_embedding_is_refused(job, inputs) -> None:
    with pytest.raises(
        OutputLayerTied, match=r"recipe\.target_modules: lm_head is the model's embedding .*leave it out"
    ):
        preflight.check(job(target_modules=("q_proj", "lm_head")))
    preflight.check(job(target_modules=("all-linear",)))


def test_an_output_layer_of_its_own_may_be_adapted(inputs, tmp_path) -> None:
    base = str(make_text_model(tmp_path / "untied", tied=False))
    given = make_job(tmp_path / "job", {**inputs, "base": base}, target_modules=("q_proj", "lm_head"), lr=1e-2)
    trained = quiet(given)
    assert trained.coverage.modules == {"lm_head": 1, "q_proj": 2}
    export.export(Path(base), Path(trained.uri), tmp_path / "merged", {})
    ids = torch.arange(10, 30)[None]
    with torch.no_grad():
        beside = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), trained.uri).eval()(ids).logits
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")(ids).logits
    torch.testing.assert_close(merged, beside, rtol=1e-4, atol=1e-3)
