"""The substrate is immutable in a campaign (design rule 1): a job whose base model or code has changed does not run."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from schemas.campaign import Substrate
from services.runtime.jobs.runner import JobFailed
from services.runtime.storage.hashing import hash_folder, hash_source
from services.runtime.storage.model_folders import ModelMissing, model_folder

CODE = (
    "puzzles",
    "judgement.scorer",
    "schemas.profiles",
    "services.runtime.prompting",
    "services.data",
    "services.trainer",
    "services.oracle",
)
"""What makes data, trains and measures: no candidate may touch it."""


def code_sha256() -> str:
    """Hash of the substrate's code as it lies here now."""
    return hash_source(*CODE)


def base_folder(substrate: Substrate) -> Path:
    """The base model's folder.

    Raises `JobFailed`: `CodeChanged` where this is not the code of the start, `ModelMissing` or `PickledWeights` where
    the model is not there as safetensors, `BaseChanged` where it is not the one of the start.
    """
    if (code := code_sha256()) != substrate.code_sha256:
        began = substrate.code_sha256
        message = f"code_sha256: {code} here, the campaign began with {began}; install that release, or start anew"
        raise JobFailed("CodeChanged", message)
    try:
        folder = model_folder(substrate.base_uri)
    except ModelMissing as missing:
        raise JobFailed(type(missing).__name__, str(missing)) from None
    found = _hash(folder, max(file.stat().st_mtime_ns for file in folder.rglob("*")))
    if found != substrate.base_sha256:
        began = substrate.base_sha256
        message = f"base_sha256: {folder} is now {found}, the campaign began with {began}; restore it"
        raise JobFailed("BaseChanged", message)
    return folder


@lru_cache(maxsize=8)
def _hash(folder: Path, changed: int) -> str:
    """The folder's hash, computed again only where a file has changed since."""
    return hash_folder(folder)
