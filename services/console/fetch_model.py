"""`aevolve fetch`: a model of the Hugging Face hub in the user's cache, complete or not at all."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from services.runtime.settings import cache_folder
from services.runtime.storage.hub_models import HUB_ID, hub_folder
from services.runtime.user_error import UserError

FILES = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken")
"""Files of a model that are fetched: weights as safetensors, configuration, tokenizer. Code and pickles are not."""


def fetch_model(name: str, revision: str | None) -> Path:
    """The folder of a model, fetched unless it is there. Raises `UserError`."""
    if not HUB_ID.fullmatch(name):
        raise UserError(f"ID: {name!r} is no id of the hub; give OWNER/NAME, or name a folder in model.base")
    place = hub_folder(name, revision, cache_folder())
    if (place / "config.json").is_file():
        return place
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415 - 0.5 s, for this command alone
    except ModuleNotFoundError as missing:
        raise UserError(f"{missing.name} is not installed: pip install 'aevolve[trainer]'") from missing
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=place.parent) as scratch:
        part = Path(scratch) / "model"
        try:
            snapshot_download(name, revision=revision, local_dir=part, allow_patterns=list(FILES))
        except Exception as error:
            raise UserError(
                f"ID: {name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}; check the id, the revision "
                "and HF_TOKEN. Without a network: copy the model's folder here and name it in model.base, or put it at "
                f"{place}"
            ) from error
        shutil.rmtree(part / ".cache", ignore_errors=True)
        if not (part / "config.json").is_file() or not any(part.glob("*.safetensors")):
            raise UserError(f"ID: {name} has no config.json with weights as safetensors; choose another revision")
        part.rename(place)
    return place
