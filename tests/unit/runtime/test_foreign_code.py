"""Code that comes with a model is not loaded, and nobody is asked whether to: not at a terminal either."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from services.runtime.storage.model_folders import ModelDamaged
from services.trainer.job import ModelUnsupported
from services.trainer.model.loading import load
from services.trainer.preflight import _config
from tests.tiny_models import make_model

SERVICES = Path(__file__).parents[3] / "services"


def loads(file: Path) -> Iterator[tuple[int, bool]]:
    """Line of each call of an `Auto` class that loads a part of a model, and whether it refuses foreign code."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr in ("from_pretrained", "from_config") and ast.unparse(node.func.value).startswith("Auto"):
            refuses = [ast.unparse(word.value) for word in node.keywords if word.arg == "trust_remote_code"]
            yield node.lineno, refuses == ["False"]


def test_every_load_of_a_model_refuses_foreign_code() -> None:
    found = {f"{file}:{line}": refuses for file in SERVICES.rglob("*.py") for line, refuses in loads(file)}
    assert len(found) >= 10
    assert [place for place, refuses in found.items() if not refuses] == []


def test_every_load_of_weights_takes_safetensors_alone() -> None:
    """A folder may hold a pickle beside a safetensors file that transformers does not look for."""
    calls = [
        (file, node)
        for file in SERVICES.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("AutoModelFor")
    ]
    loaded = [(file, node) for file, node in calls if ast.unparse(node.func).endswith("from_pretrained")]
    assert len(loaded) >= 5
    assert [
        f"{file}:{node.lineno}"
        for file, node in loaded
        if not any(word.arg == "use_safetensors" and ast.unparse(word.value) == "True" for word in node.keywords)
    ] == []


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A model whose folder brings its own code, which leaves a file where it runs."""
    folder = shutil.copytree(make_model(tmp_path / "made"), tmp_path / "foreign")
    (folder / "own.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n"
        "from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast\n"
        "class OwnConfig(LlamaConfig):\n    model_type = 'own'\n"
        "class OwnModel(LlamaForCausalLM):\n    config_class = OwnConfig\n"
        "class OwnTokenizer(PreTrainedTokenizerFast):\n    pass\n"
    )
    config = json.loads((folder / "config.json").read_text())
    auto = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": auto}))
    described = json.loads((folder / "tokenizer_config.json").read_text())
    described |= {"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": [None, "own.OwnTokenizer"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(described))
    return folder


def test_a_model_that_needs_its_own_code_is_refused_without_a_question(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # whoever asks gets a yes
    with pytest.raises(ModelUnsupported):
        _config(foreign)
    with pytest.raises(ModelDamaged, match="contains custom code"):
        load(foreign, "cpu", torch.float32)
    assert not (tmp_path / "ran").exists()


def test_the_library_would_have_asked_and_run_it(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    AutoConfig.from_pretrained(foreign)
    assert (tmp_path / "ran").exists()
