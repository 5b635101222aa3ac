"""What is sent to a target outside, and what is not."""

import re
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load, save_file

from services.oracle.boards.submission_zip import AdapterUnfit, Limits, pack
from tests.adapters import LAYER, make_adapter, make_base

LIMITS = Limits(rank=32, size=10**6)


@pytest.fixture
def base(tmp_path):
    return make_base(tmp_path / "base")


def packed(adapter, base, folder, limits=LIMITS):
    folder.mkdir(exist_ok=True)
    return pack(adapter, base, "q_proj", limits, folder)


def test_a_submission_holds_the_two_files_of_the_adapter_and_no_other(tmp_path, base):
    adapter = make_adapter(tmp_path / "adapter")
    (adapter / "README.md").write_text("not to be sent")
    package = packed(adapter, base, tmp_path / "out")
    with zipfile.ZipFile(package) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["adapter_config.json", "adapter_model.safetensors"]
        for name in archive.namelist():
            assert archive.read(name) == (adapter / name).read_bytes()
    assert package.name == "submission.zip"


def test_equal_adapters_give_equal_bytes_whenever_they_are_packed(tmp_path, base):
    once = packed(make_adapter(tmp_path / "one"), base, tmp_path / "a")
    again = packed(make_adapter(tmp_path / "two"), base, tmp_path / "b")
    other = packed(make_adapter(tmp_path / "three", value=2.0), base, tmp_path / "c")
    assert once.read_bytes() == again.read_bytes() != other.read_bytes()


def test_the_base_enters_with_an_adapter_of_zeros_on_the_module(tmp_path, base):
    package = packed(None, base, tmp_path / "out")
    weights = load(zipfile.ZipFile(package).read("adapter_model.safetensors"))
    shapes = {name: weight.shape for name, weight in weights.items()}
    layer = f"base_model.model.{LAYER}.q_proj"
    assert shapes == {f"{layer}.lora_A.weight": (1, 4), f"{layer}.lora_B.weight": (6, 1)}
    assert not any(weight.any() for weight in weights.values())


def test_the_adapter_of_zeros_is_one_that_peft_loads_and_that_changes_nothing(tmp_path):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from tests.tiny_models import make_model

    base = make_model(tmp_path / "base")
    with zipfile.ZipFile(packed(None, base, tmp_path / "out")) as archive:
        archive.extractall(tmp_path / "adapter")
    model = AutoModelForCausalLM.from_pretrained(base)
    tokens = torch.arange(8)[None]
    before = model(tokens).logits
    adapted = PeftModel.from_pretrained(model, tmp_path / "adapter")
    assert torch.equal(adapted(tokens).logits, before)
    assert all("lora" not in name or not weight.any() for name, weight in adapted.named_parameters())


def test_what_our_trainer_saves_can_be_submitted(tmp_path):
    from transformers import AutoModelForCausalLM

    from schemas.recipe import Recipe
    from services.trainer.model.lora import Lora
    from tests.tiny_models import make_model

    base = make_model(tmp_path / "base")
    model = Lora().attach(AutoModelForCausalLM.from_pretrained(base), Recipe(rank=4))
    Lora().save(model, model.state_dict(), tmp_path / "adapter", base)
    package = packed(tmp_path / "adapter", base, tmp_path / "out")
    assert zipfile.ZipFile(package).namelist() == ["adapter_config.json", "adapter_model.safetensors"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 33}, "adapter_config.json: r: 33; the target takes 32 at most: train with a lower rank"),
        ({"r": 4}, "has the shape [2, 4], r is 4; train the adapter again"),
        ({"r": "two"}, "adapter_config.json: r: 'two'; give the rank, 1 or more"),
        ({"peft_type": "IA3"}, "adapter_config.json: peft_type: 'IA3'; only LORA can be submitted"),
        ({"target_modules": "all-linear"}, "target_modules: 'all-linear'; name at least one module, as a list"),
        ({"target_modules": ["q_proj", "v_proj"]}, "target_modules: 'v_proj' has no weights in"),
        ({"target_modules": ["v_proj"]}, "adapter_model.safetensors: 'q_proj' is not in target_modules ['v_proj']"),
    ],
)
def test_an_adapter_that_no_target_would_take_is_refused_before_it_is_sent(tmp_path, base, change, message):
    with pytest.raises(AdapterUnfit, match=re.escape(message)):
        packed(make_adapter(tmp_path / "adapter", **change), base, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("adapter_config.json", None, "adapter_config.json is missing in"),
        ("adapter_config.json", b"{", "is no JSON"),
        ("adapter_config.json", b"[]", "peft_type: None"),
        ("adapter_model.safetensors", None, "adapter_model.safetensors is missing in"),
        ("adapter_model.safetensors", b"not weights", "is no safetensors file"),
    ],
)
def test_a_file_that_is_missing_or_broken_is_named(tmp_path, base, name, content, message):
    file = make_adapter(tmp_path / "adapter") / name
    file.write_bytes(content) if content is not None else file.unlink()
    with pytest.raises(AdapterUnfit, match=re.escape(message)):
        packed(tmp_path / "adapter", base, tmp_path / "out")


def test_weights_that_were_cut_do_not_load(tmp_path, base):
    file = make_adapter(tmp_path / "adapter") / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(AdapterUnfit, match="is no safetensors file"):
        packed(tmp_path / "adapter", base, tmp_path / "out")


def test_weights_that_are_no_plain_lora_are_refused(tmp_path, base):
    adapter = make_adapter(tmp_path / "adapter")
    odd = {"base_model.model.q_proj.lora_magnitude_vector.weight": np.ones((2, 4), np.float32)}
    save_file(odd, adapter / "adapter_model.safetensors")
    with pytest.raises(AdapterUnfit, match="is neither lora_A nor lora_B"):
        packed(adapter, base, tmp_path / "out")


def test_a_submission_that_is_too_large_is_refused(tmp_path, base):
    with pytest.raises(AdapterUnfit, match=r"submission.zip: \d+ bytes; the target takes 100"):
        packed(make_adapter(tmp_path / "adapter"), base, tmp_path / "out", Limits(size=100))


def test_a_base_without_the_module_is_named(tmp_path, base):
    with pytest.raises(AdapterUnfit, match="no safetensors file has a weight of 'k_proj'"):
        pack(None, base, "k_proj", LIMITS, tmp_path)
