"""The substrate is immutable in a campaign (design rule 1): a job whose base model or code has changed does not run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from schemas.campaign import Substrate
from services.runtime.jobs.runner import JobFailed
from services.runtime.storage.hashing import hash_folder, hash_source
from services.runtime.storage.model_folders import ModelMissing, damage_named, model_folder

SHARED = (
    "schemas.profiles",
    "schemas.prompts",
    "schemas.words",
    "services.runtime.places",
    "services.runtime.prompting",
    "services.runtime.storage.artifacts",
    "services.runtime.storage.hashing",
    "services.runtime.storage.model_folders",
    "services.runtime.storage.trained_folders",
    "services.runtime.user_code",
    "services.runtime.user_process",
    "tasks",
)
DATA = (
    "judgement.fingerprints.index",
    "judgement.fingerprints.questions",
    "judgement.fingerprints.tokens",
    "services.data.collect.arithmetic",
    "services.data.collect.collect",
    "services.data.collect.harvest",
    "services.data.collect.manifest",
    "services.data.collect.mix",
    "services.data.collect.near_duplicates",
    "services.data.collect.stages",
    "services.data.collect.verify",
    "services.data.filters",
    "services.data.plugins",
    "services.data.snapshot",
    "services.data.sources",
    "services.data.writer",
)
TRAINING = (
    "services.trainer.batches",
    "services.trainer.checkpoint",
    "services.trainer.distributed.data_parallel",
    "services.trainer.distributed.fsdp",
    "services.trainer.encoding",
    "services.trainer.engine",
    "services.trainer.layout",
    "services.trainer.learner",
    "services.trainer.methods",
    "services.trainer.model.full_weights",
    "services.trainer.model.loading",
    "services.trainer.model.lora",
    "services.trainer.model.trained_weights",
    "services.trainer.optimizer",
    "services.trainer.registry",
    "services.trainer.rows",
)
MEASUREMENT = (
    "services.oracle.adapters",
    "services.oracle.engines",
    "services.oracle.evaluate",
    "services.oracle.harness",
    "services.oracle.receipts",
    "services.oracle.records",
    "services.runtime.sandbox",
    "services.oracle.sets",
    "services.oracle.suites",
    "services.oracle.task_lists",
)
CODE: Mapping[str, tuple[str, ...]] = {
    "shared": SHARED,
    "data": DATA,
    "training": TRAINING,
    "measurement": MEASUREMENT,
}
"""Modules and packages that shape a result, by concern.

A module belongs here if an edit of it can change a row of a snapshot, a weight of an adapter or an answer's verdict,
for the same order. Code that decides what to order (steps, decisions), moves it (queues, processes, boards, transport),
refuses it (preflight) or describes it (data card, stamp) does not belong: decisions are replayed, and the rest cannot
change a value.
`tests/contract/test_substrate.py` compares the list with the imports of the job functions.
"""


def code_sha256() -> str:
    """Hash of the substrate's code as installed here."""
    return hash_source(*(name for names in CODE.values() for name in names))


def base_folder(substrate: Substrate) -> Path:
    """The base model's folder.

    Raises `JobFailed`: `CodeChanged` if the code is not that of the campaign's start, `ModelMissing`, `ModelDamaged`
    or `PickledWeights` if the model does not exist as whole safetensors, `BaseChanged` if it is not that of the start.
    """
    if (code := code_sha256()) != substrate.code_sha256:
        message = (
            f"code_sha256: {code} here, the campaign began with {substrate.code_sha256}; install that release, "
            "or start a new campaign"
        )
        raise JobFailed("CodeChanged", message)
    try:
        folder = model_folder(substrate.base_uri)
        with damage_named(folder):
            sha256 = _hash(folder, max(file.stat().st_mtime_ns for file in folder.rglob("*")))
    except ModelMissing as missing:
        raise JobFailed(type(missing).__name__, str(missing)) from None
    if sha256 != substrate.base_sha256:
        message = f"base_sha256: {folder} is now {sha256}, the campaign began with {substrate.base_sha256}; restore it"
        raise JobFailed("BaseChanged", message)
    return folder


@lru_cache(maxsize=8)
def _hash(folder: Path, changed: int) -> str:
    """The folder's hash, computed again only if a file has changed since."""
    return hash_folder(folder)
