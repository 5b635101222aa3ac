"""A trained candidate as a plain Hugging Face model, which needs neither this project nor PEFT."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MANIFEST = "aevolve.json"
"""File of the folder that names the model's origin."""


def export(base: Path, trained: Path, folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write a plain Hugging Face model with its tokenizer; the folder appears complete or not at all.

    `trained` holds an adapter or the whole model. Merged weights have the base's number format: bfloat16 rounds a sum
    to 8 bits, so close decisions may differ from those of an adapter beside its base.
    Raises `FileExistsError` where the folder exists.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists; remove it or name another")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        model = Path(scratch) / "model"
        if (trained / "adapter_config.json").is_file():
            merge(base, trained, model)
        else:
            shutil.copytree(trained, model)
        (model / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        model.rename(folder)


def merge(base: Path, adapter: Path, folder: Path) -> None:
    """Write the base with an adapter's updates added to its weights."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base, dtype="auto", trust_remote_code=False, use_safetensors=True), adapter
    )
    model.merge_and_unload(safe_merge=True).save_pretrained(folder)
    AutoTokenizer.from_pretrained(base, trust_remote_code=False).save_pretrained(folder)
