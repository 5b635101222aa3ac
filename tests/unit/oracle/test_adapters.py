"""A candidate's folder with a link, FIFO or device is refused at once: the trainer writes it, the oracle reads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import save_file

from services.oracle.adapters import AdapterChanged, adapter
from services.runtime.storage.hashing import hash_folder, irregular
from services.runtime.storage.trained_folders import AdapterUnsafe, form

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "adapter"
    (made / "notes").mkdir(parents=True)
    (made / CONFIG).write_text("{}")
    (made / "notes" / "card.md").write_text("a card")
    save_file({"w": torch.zeros(2)}, made / WEIGHTS)
    return made


def fifo(entry: Path) -> None:
    os.mkfifo(entry)


def link_to_the_bytes(entry: Path) -> None:
    """A link to what the entry was."""
    entry.symlink_to(entry.parent.parent / "kept")


def link_to_a_device(entry: Path) -> None:
    entry.symlink_to("/dev/zero")


def link_to_nothing(entry: Path) -> None:
    entry.symlink_to("/nowhere")


KINDS = (fifo, link_to_the_bytes, link_to_a_device, link_to_nothing)

MEASURE = """
import sys
from pathlib import Path
from services.oracle.adapters import adapter
from services.runtime.storage.trained_folders import form
form(adapter(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
"""


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, "notes/card.md", "more.safetensors"])
@pytest.mark.parametrize("make", KINDS)
def test_an_adapter_with_an_irregular_file_is_refused_at_once(
    folder: Path, make: Callable[[Path], None], name: str
) -> None:
    recorded = hash_folder(folder)
    if (folder / name).exists():
        (folder / name).replace(folder.parent / "kept")
    make(folder / name)
    # in a process, because the reading of a FIFO does not end
    command = [sys.executable, "-c", MEASURE, str(folder), recorded, str(folder.parent)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "AdapterChanged" in ended.stderr
    assert f"{Path(name).name} is a link, FIFO or device" in ended.stderr
    with pytest.raises(AdapterUnsafe, match="is a link, FIFO or device"):
        form(folder)


def test_a_link_in_the_place_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(AdapterChanged, match="link is a link, FIFO or device"):
        adapter(str(tmp_path / "link"), hash_folder(folder), tmp_path)


def test_a_socket_and_a_linked_folder_are_irregular_too(folder: Path) -> None:
    assert irregular(folder) is None
    (folder / "more").symlink_to(folder / "notes")
    assert irregular(folder) == folder / "more"


def test_an_ordinary_adapter_is_taken(folder: Path, tmp_path: Path) -> None:
    assert adapter(str(folder), hash_folder(folder), tmp_path) == folder
    assert form(folder) == "lora"


def test_a_missing_adapter_is_still_called_missing(tmp_path: Path) -> None:
    with pytest.raises(AdapterChanged, match="missing"):
        adapter(str(tmp_path / "none"), "0" * 64, tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        {"peft_type": "XLORA", "adapters": {"0": "/elsewhere"}},
        {"peft_type": "MULTITASK_PROMPT_TUNING", "prompt_tuning_init_state_dict_path": "/elsewhere.bin"},
        {"peft_type": ["LORA"]},
        {"peft_type": "LORA", "megatron_config": {"tensor_model_parallel_size": 1}, "megatron_core": "megatron.evil"},
        {"peft_type": "LORA", "corda_config": {"cache_file": "/elsewhere.pt"}},
        {"peft_type": "LORA", "layer_replication": [[0, 1_000_000]]},
        [],
    ],
)
def test_an_adapter_is_a_lora_of_its_own_folder(folder: Path, config: object) -> None:
    """Other kinds make PEFT read further files, which the recorded hash does not cover."""
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises(AdapterUnsafe):
        form(folder)


def test_an_adapter_as_the_trainer_writes_it_is_taken(folder: Path) -> None:
    lora = LoraConfig(task_type="CAUSAL_LM", r=8, target_modules=["q_proj"], use_dora=True)
    config = lora.to_dict()
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    (folder / CONFIG).write_text(json.dumps(plain))
    assert form(folder) == "lora"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    save_file({"w": torch.zeros(2)}, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("place", ["../other/model.safetensors", "/other/model.safetensors", "missing.safetensors"])
def test_the_index_of_a_checkpoint_names_files_of_its_own_folder(checkpoint: Path, place: str) -> None:
    assert form(checkpoint) == "full"
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": place}}))
    with pytest.raises(AdapterUnsafe, match="which is not there"):
        form(checkpoint)


def test_a_pickle_beside_weights_that_no_library_reads_is_refused(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "other.safetensors")
    torch.save({"w": torch.zeros(2)}, checkpoint / "pytorch_model.bin")
    with pytest.raises(AdapterUnsafe, match="no library reads"):
        form(checkpoint)
