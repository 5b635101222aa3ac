"""A trained candidate as a folder that needs neither this project nor PEFT: the base, the adapter merged into it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MANIFEST = "aevolve.json"
"""Where the folder says what it was made from."""


def export(base: Path, trained: Path, folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write a plain Hugging Face model with its tokenizer; the folder appears complete or not at all.

    `trained` holds an adapter, or already the whole model. Merged weights have the base's number format: in bfloat16 a
    sum is rounded to 8 bits, so that answers may differ where an adapter beside its base would decide narrowly.
    Raises `FileExistsError` where the folder exists.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists; remove it or name another")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        made = Path(scratch) / "model"
        if (trained / "adapter_config.json").is_file():
            merge(base, trained, made)
        else:
            shutil.copytree(trained, made)
        (made / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        made.rename(folder)


def merge(base: Path, adapter: Path, folder: Path) -> None:
    """Write the base with an adapter's updates added to its weights."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype="auto"), adapter)
    model.merge_and_unload(safe_merge=True).save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
