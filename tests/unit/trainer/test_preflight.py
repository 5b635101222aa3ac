"""What ends a job before it costs anything: each in a failure of its own class, with the remedy."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, NemotronHConfig

from schemas.recipe import Recipe
from services.runtime import prompting
from services.runtime.storage.model_folders import PickledWeights, model_folder
from services.runtime.storage.trained_folders import form
from services.trainer import preflight
from services.trainer.adapter_job import TRAINING
from services.trainer.batches import Data, prepare
from services.trainer.engine import train
from services.trainer.job import (
    AdapterUnloadable,
    BosMissing,
    DevicesMissing,
    DiskShort,
    MemoryShort,
    ModelUnsupported,
    RecipeUnsupported,
    RowsTooLong,
    SequenceTooLong,
    TargetModuleMissing,
    TargetModulePartial,
    TrainingJob,
)
from services.trainer.model import lora
from tests.tiny_models import make_model, make_snapshot

HYBRID = NemotronHConfig(
    vocab_size=64,
    hidden_size=32,
    layers_block_type=["mamba", "moe", "attention", "moe"],
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    mamba_num_heads=2,
    mamba_head_dim=16,
    n_groups=1,
    ssm_state_size=8,
    n_routed_experts=4,
    moe_intermediate_size=16,
    moe_shared_expert_intermediate_size=16,
)
"""Nemotron-H in small: a Mamba layer, an attention layer, two mixtures of experts."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("inputs")
    return {"base": str(make_model(folder / "base")), "snapshot": make_snapshot(folder)}


@pytest.fixture
def job(inputs, tmp_path):
    def make(max_length: int = 256, base: Path | None = None, **recipe) -> TrainingJob:
        chosen = Recipe(**{"steps": 2, "batch": 4, "rank": 4, "alpha": 8.0, **recipe})
        places = {"work": str(tmp_path / "work"), "out": str(tmp_path / "adapter"), "copies": "none"}
        given = {**inputs, **({"base": str(base)} if base else {})}
        return TrainingJob(candidate="r1s0", recipe=chosen, seed=1, max_length=max_length, **places, **given)

    return make


@pytest.fixture
def base(inputs, tmp_path) -> Path:
    """A base that a test may damage."""
    return Path(shutil.copytree(inputs["base"], tmp_path / "base"))


@pytest.fixture(scope="module")
def hybrid():
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(HYBRID)


def test_what_is_in_order_passes_and_its_weights_are_counted(job, inputs) -> None:
    preflight.check(job())
    count = preflight.trained_weights(Path(inputs["base"]), job().recipe)
    assert count == train(job(lr=3e-2), lambda _: None).coverage.trainable
    whole = AutoModelForCausalLM.from_pretrained(inputs["base"]).num_parameters()
    assert preflight.trained_weights(Path(inputs["base"]), Recipe(adapter="full")) == whole


def test_no_weight_is_read(job, base) -> None:
    weights = base / "model.safetensors"
    header = 8 + int.from_bytes(weights.read_bytes()[:8], "little")
    tensors = weights.stat().st_size - header
    weights.write_bytes(weights.read_bytes()[:header] + b"\xff" * tensors)  # NaN in every weight
    preflight.check(job(base=base))


class Trap:
    """Unpickled, it leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_a_base_that_is_a_pickle_is_refused_and_never_read(job, base, tmp_path, name) -> None:
    (base / "model.safetensors").unlink()
    (base / name).write_bytes(pickle.dumps(Trap(tmp_path / "trace")))
    with pytest.raises(PickledWeights, match=rf"{name} is a pickle, which could run code; convert it to safetensors"):
        train(job(base=base), lambda _: None)
    assert not (tmp_path / "trace").exists()


def test_a_pickle_beside_safetensors_is_left_alone(base, tmp_path) -> None:
    (base / "training_args.bin").write_bytes(pickle.dumps(Trap(tmp_path / "trace")))
    assert model_folder(str(base)) == base
    assert not (tmp_path / "trace").exists()


def test_the_pickle_of_an_adapter_is_refused_beside_a_base_and_by_the_oracle(job, base, tmp_path) -> None:
    (base / "adapter_model.bin").write_bytes(pickle.dumps(Trap(tmp_path / "trace")))
    with pytest.raises(PickledWeights, match=r"adapter_model\.bin"):
        preflight.check(job(base=base))
    (base / "adapter_config.json").write_text("{}")
    with pytest.raises(PickledWeights, match=r"adapter_model\.bin"):
        form(base)
    assert not (tmp_path / "trace").exists()


def test_an_architecture_that_nobody_knows_is_told(job, base) -> None:
    (base / "config.json").write_text(json.dumps({"model_type": "dreamt"}))
    with pytest.raises(ModelUnsupported, match=r"model\.base: transformers does not know the architecture .* update"):
        preflight.check(job(base=base))


def test_sequences_longer_than_the_models_positions_are_refused(job) -> None:
    with pytest.raises(SequenceTooLong, match=r"model\.max_length: 257, but the model has 256 positions; lower it"):
        preflight.check(job(max_length=257))


def test_rows_that_are_mostly_too_long_are_refused_before_weights_are_loaded(job, inputs, monkeypatch) -> None:
    tokenizer = AutoTokenizer.from_pretrained(inputs["base"])
    whole = prepare(job(steps=40), tokenizer)
    lengths = sorted(len(example.tokens) for batch in whole.batches for example in batch)
    monkeypatch.setattr("services.trainer.model.loading.load", None)
    monkeypatch.setattr(preflight, "check", lambda _: None)
    with pytest.raises(RowsTooLong, match=r"model\.max_length: \d+ of \d+ drawn rows are longer than \d+ tokens"):
        train(job(max_length=lengths[len(lengths) * 4 // 10], steps=40), lambda _: None)


@pytest.mark.parametrize(("too_long", "refused"), [(4, False), (5, True)])
def test_half_of_the_rows_may_be_too_long(job, inputs, too_long: int, refused: bool) -> None:
    batches = prepare(job(steps=1), AutoTokenizer.from_pretrained(inputs["base"])).batches
    data = Data(batches=batches, held_out=[], too_long=too_long)
    if not refused:
        preflight.check_rows(job(), data)
        return
    with pytest.raises(RowsTooLong):
        preflight.check_rows(job(), data)


def tokenizer_of(base: Path, *, processor: bool, **config):
    """The base's tokenizer, changed in its files and read again."""
    if not processor:
        raw = json.loads((base / "tokenizer.json").read_text())
        (base / "tokenizer.json").write_text(json.dumps({**raw, "post_processor": None}))
    place = base / "tokenizer_config.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), **config}))
    return AutoTokenizer.from_pretrained(base)


def test_a_tokenizer_that_drops_the_beginning_is_refused(job, base) -> None:
    tokenizer_of(base, processor=False)
    with pytest.raises(BosMissing, match=r"does not put '<bos>' before a text; give tokenizer\.json a post-processor"):
        preflight.check(job(base=base))


TURNS = "{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"add_bos_token": False}, False),
        ({"bos_token": None}, False),
        ({"bos_token": "<eos>"}, False),
        ({"bos_token": "<unk>"}, False),
        ({"chat_template": "{{ bos_token }}" + TURNS}, True),
        ({"chat_template": TURNS}, False),
    ],
    ids=[
        "dedicated",
        "says not",
        "none, as Qwen",
        "separator, as GPT-2",
        "another's",
        "template has it",
        "turns alone",
    ],
)
def test_a_beginning_is_expected_where_the_model_was_made_for_one(base, changes, expected: bool) -> None:
    assert prompting.bos_expected(base, tokenizer_of(base, processor=False, **changes)) == expected
    if not expected:
        preflight.check_bos(base)


def test_a_tokenizer_that_gives_the_beginning_passes(base) -> None:
    preflight.check_bos(base)


def test_a_target_of_some_kinds_of_layer_passes_and_each_kind_is_told(hybrid) -> None:
    lora.check_targets(hybrid, ["q_proj", "k_proj", "v_proj", "o_proj", "in_proj", "up_proj", "down_proj", "lm_head"])
    kinds = lora.layers_by_kind(hybrid)
    assert {kind: layers for kind, (layers, _) in kinds.items()} == {
        "NemotronHMamba2Mixer": 1,
        "NemotronHMoE": 2,
        "NemotronHAttention": 1,
    }
    assert kinds["NemotronHAttention"][1]["q_proj"] == 1
    assert "q_proj" not in kinds["NemotronHMoE"][1]


def test_a_target_that_matches_nothing_is_refused_though_others_match(hybrid) -> None:
    with pytest.raises(TargetModuleMissing, match=r"'gate_proj' is no linear layer .* in 1 NemotronHAttention: k_proj"):
        lora.check_targets(hybrid, ["q_proj", "gate_proj"])


def test_a_target_that_only_experts_have_is_refused_with_the_reason() -> None:
    config = NemotronHConfig(**{**HYBRID.to_dict(), "n_shared_experts": 0})
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    for layer in model.model.layers:
        if hasattr(layer.mixer, "shared_experts"):
            layer.mixer.shared_experts = torch.nn.Identity()
    with pytest.raises(TargetModuleMissing, match=r"layers\.1\.mixer\.experts\.up_proj is a tensor of all experts"):
        lora.check_targets(model, ["up_proj"])


def test_a_target_in_some_layers_of_a_kind_only_is_refused(hybrid) -> None:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(HYBRID)
    model.model.layers[3].mixer.shared_experts.up_proj = torch.nn.Identity()
    with pytest.raises(TargetModulePartial, match="'up_proj' is in 1 of the 2 layers of the kind NemotronHMoE"):
        lora.check_targets(model, ["q_proj", "up_proj"])
    lora.check_targets(model, ["q_proj", "down_proj"])


def test_all_linear_is_every_linear_layer_but_the_output_and_those_that_peft_refuses(hybrid, tmp_path) -> None:
    names = lora.targets_of(hybrid, ("all-linear",))
    assert names == ["down_proj", "in_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    HYBRID.save_pretrained(tmp_path)
    named = preflight.trained_weights(tmp_path, Recipe(target_modules=tuple(names)))
    assert preflight.trained_weights(tmp_path, Recipe(target_modules=("all-linear",))) == named


def test_what_peft_refuses_is_told(job, tmp_path) -> None:
    folder = tmp_path / "hybrid"
    HYBRID.save_pretrained(folder)
    with pytest.raises(AdapterUnloadable, match=r"PEFT refuses the adapter .*out_proj"):
        preflight.trained_weights(folder, Recipe(target_modules=("q_proj", "out_proj")))


def test_an_adapter_that_cannot_be_attached_again_is_refused(job, monkeypatch) -> None:
    saved = lora.saved_config
    monkeypatch.setattr(lora, "saved_config", lambda *given: {**saved(*given), "r": 5})
    with pytest.raises(AdapterUnloadable, match=r"PEFT refuses the adapter .*size mismatch"):
        preflight.check(job())


def test_a_weight_without_a_place_in_the_model_is_named(job, monkeypatch) -> None:
    saved = lora.saved_config
    monkeypatch.setattr(lora, "saved_config", lambda *given: {**saved(*given), "target_modules": ["q_proj"]})
    with pytest.raises(AdapterUnloadable, match=r"24 weights of the adapter have no place .* '.*lora_A\.weight'"):
        preflight.check(job())


@pytest.mark.parametrize("place", ["work", "adapter"])
def test_a_volume_without_room_is_told(job, tmp_path, monkeypatch, place: str) -> None:
    def usage(free: int) -> SimpleNamespace:
        return SimpleNamespace(free=free)

    (tmp_path / place).mkdir()
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(1000 if folder.name == place else 2**40))
    with pytest.raises(DiskShort, match=rf"{place}: 0\.0 GiB are needed, 0\.0 GiB are free; make room"):
        preflight.check(job())


def test_more_devices_than_the_host_has_are_refused(job, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    preflight.check_devices(2)
    with pytest.raises(DevicesMissing, match=r"recipe\.devices: 3, but this host has 2"):
        preflight.check_devices(3)


def test_other_devices_than_torchrun_has_started_processes_for_are_refused(monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "16")
    preflight.check_devices(1)
    preflight.check_devices(16)
    with pytest.raises(DevicesMissing, match=r"8, but torchrun has started 16 processes"):
        preflight.check_devices(8)


def test_values_that_exclude_one_another_are_refused() -> None:
    with pytest.raises(RecipeUnsupported, match=r"recipe\.sharding: fsdp does not work with adapter: qlora; use"):
        preflight.check_recipe(Recipe(devices=2, sharding="fsdp", adapter="qlora"))
    with pytest.raises(RecipeUnsupported, match=r"recipe\.sharding: fsdp does not work with method: grpo; use"):
        preflight.check_recipe(Recipe(devices=2, sharding="fsdp", method="grpo"))
    preflight.check_recipe(Recipe(sharding="fsdp", adapter="qlora", method="grpo"))


def test_a_job_that_will_not_fit_is_refused_before_weights_are_loaded(job, monkeypatch) -> None:
    monkeypatch.setattr(preflight, "_processor_memory", lambda: 2**20)
    monkeypatch.setattr("services.trainer.model.loading.load", None)
    monkeypatch.setattr(preflight, "check", lambda _: None)
    with pytest.raises(MemoryShort, match=r"needs about \d\.\d GiB per device, 0\.0 GiB are free; use activations"):
        train(job(), lambda _: None)


def test_no_estimate_is_made_where_no_formula_is_known(job, base, monkeypatch) -> None:
    monkeypatch.setattr(preflight, "_processor_memory", lambda: 0)
    (base / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    preflight.check_memory(job(), base)


def test_what_is_found_before_the_work_costs_nothing_and_is_final_where_nothing_helps() -> None:
    found = {
        AdapterUnloadable,
        BosMissing,
        DevicesMissing,
        DiskShort,
        MemoryShort,
        ModelUnsupported,
        PickledWeights,
        RecipeUnsupported,
        RowsTooLong,
        SequenceTooLong,
        TargetModuleMissing,
        TargetModulePartial,
    }
    names = {failure.__name__ for failure in found}
    assert names <= TRAINING.uncharged
    assert names - TRAINING.permanent == {"DevicesMissing", "DiskShort"}
    assert not TRAINING.uncharged & {"RankLost", "RankHung", "OutOfMemory", "AdapterUntrained"}
