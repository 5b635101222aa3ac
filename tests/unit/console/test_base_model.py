"""What is known of a base model before it is loaded: its place, its size, its hashes."""

import json
import struct

import pytest

from schemas.campaign import Model
from services.console.embedded.base_model import active_parameters, base_folder, is_model, substrate, take_base
from services.runtime.user_error import UserError


def model(folder, config, **tensors):
    header = {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in tensors.items()}
    raw = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_active_parameters_of_a_dense_model_are_all(tmp_path):
    assert active_parameters(model(tmp_path, {}, embed=[10, 4], head=[4])) == 44


def test_active_parameters_of_a_mixture_count_the_experts_that_are_chosen(tmp_path):
    config = {"n_routed_experts": 8, "num_experts_per_tok": 2}
    made = model(tmp_path, config, **{"embed": [10, 4], "layers.0.experts.0.up": [8, 10]})
    assert active_parameters(made) == 40 + 80 // 4


def test_a_base_without_safetensors_is_told(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="convert the weights to safetensors"):
        active_parameters(tmp_path)


def test_the_substrate_changes_with_a_byte_of_the_base(tmp_path):
    made = model(tmp_path, {}, w=[2])
    before = substrate(made)
    assert before == substrate(made)
    (made / "config.json").write_text('{"changed": 1}')
    assert substrate(made).base_sha256 != before.base_sha256
    assert substrate(made).code_sha256 == before.code_sha256


def test_a_named_base_is_taken_where_it_is_and_the_tiny_one_from_the_cache(tmp_path):
    assert base_folder(Model(base=str(tmp_path)), tmp_path / "cache") == tmp_path
    assert base_folder(Model(base="tiny"), tmp_path / "cache").parent == tmp_path / "cache" / "bases"


def test_a_base_that_was_made_beforehand_is_copied_and_no_other(tmp_path):
    ready, cache = tmp_path / "ready", tmp_path / "cache" / "bases"
    (ready / "key").mkdir(parents=True)
    made = model(ready / "key", {}, w=[2])
    assert take_base(cache / "key", ready)
    assert substrate(cache / "key").base_sha256 == substrate(made).base_sha256
    assert [file.name for file in cache.iterdir()] == ["key"]
    assert not take_base(cache / "another", ready)
    assert not take_base(cache / "another", None)
    assert not is_model(cache / "another")
