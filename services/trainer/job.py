"""Argument, result and failures of a training job: plain data, importable without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import Frozen, Name, Sha256, Share
from schemas.evidence import Coverage
from schemas.prompts import Prompt
from schemas.recipe import Recipe
from schemas.suites import AnySuite


class TrainingJob(Frozen):
    """One candidate's fine-tuning, complete: equal jobs give equal adapters, bit for bit, on one processor."""

    candidate: Name
    """Candidate id."""
    recipe: Recipe
    """How to train, and on what."""
    base: str
    """Folder of the base model."""
    snapshot: str
    """Parquet file of the round's data."""
    snapshot_sha256: Sha256 | None = None
    """Recorded hash of its rows; required where the file comes from an object store."""
    seed: int = Field(ge=0)
    """Seed of the data order, the initialisation and the dropout."""
    max_length: int = Field(ge=8)
    """Tokens of prompt and completion together; a longer row is dropped."""
    max_new_tokens: int = Field(96, ge=1)
    """Longest answer that the model generates in training, as in evaluation."""
    prompt: Prompt = Prompt()
    """Form of the question, as in evaluation."""
    suites: tuple[AnySuite, ...] = ()
    """Whose scorers reward answers; those of the puzzles where there is none."""
    judges: dict[Name, Name] = Field(default_factory=dict)
    """Suite of each source that names one; the first suite judges the rows of the others."""
    task_path: str | None = None
    """Folders of users' scorers; None for those of this process's settings."""
    work: str
    """The job's own folder, for what a resumed try needs."""
    out: str
    """Folder that will hold the adapter."""
    copies: str
    """Folder for local copies of objects from an object store."""
    rank_seconds: float = Field(600.0, gt=0.0)
    """Longest time of a step, after which one of the job's processes counts as hung."""


class Trained(Frozen):
    """The adapter of a finished job."""

    candidate: Name
    """Candidate id."""
    uri: str
    """Folder of the adapter (PEFT, safetensors), or of the whole model."""
    form: Literal["adapter", "full"] = "adapter"
    """What the folder holds: an adapter or a whole model."""
    sha256: Sha256
    """Hash over the folder's files."""
    coverage: Coverage
    """The modules that were trained."""
    loss: float
    """Mean loss over the last tenth of the steps: of the completions, in nats per token, or the method's objective."""
    reward: Share | None = None
    """GRPO: mean score of the sampled answers over the last tenth of the steps."""
    tokens: int = Field(ge=0)
    """Tokens trained on, padding excluded; equal for equal jobs, resumed or not."""
    too_long: int = Field(ge=0)
    """Draws dropped because they were longer than `max_length`."""
    too_long_rows: dict[Name, int] = Field(default_factory=dict)
    """Different rows among them, by source."""
    unused: dict[Name, int] = Field(default_factory=dict)
    """Different rows that the method cannot use, by reason, such as `no_pair` or `no_answer`."""
    resumed_from: int = Field(ge=0)
    """Step from which this try resumed; 0 for a fresh one."""
    seconds: float = Field(ge=0.0)
    """Wall time of this try."""
    device_seconds: float = Field(ge=0.0)
    """Processor seconds of this try, or wall seconds of its accelerator."""


class SnapshotMissing(Exception):
    """The snapshot's file does not exist."""


class RowsMissing(Exception):
    """The snapshot has no usable row of a kind that the recipe requires."""


class TargetModuleMissing(Exception):
    """The recipe names a module that the model does not have, and that PEFT would silently ignore."""


class AdapterUntrained(Exception):
    """An adapted layer never received a gradient."""


class QuantizerMissing(Exception):
    """The recipe needs a base in 4 bits, and the library for it is not installed."""


class TargetModulePartial(Exception):
    """A module that the recipe names is in some layers of a kind, and not in the others of that kind."""


class AdapterUnloadable(Exception):
    """The recipe's adapter, once saved, could not be loaded into the model again."""


class ModelUnsupported(Exception):
    """The libraries do not know the base model's architecture."""


class RecipeUnsupported(Exception):
    """The recipe names an unknown method or adapter form, or two of its values exclude one another."""


class SequenceTooLong(Exception):
    """The campaign's sequences are longer than the model's positions."""


class RowsTooLong(Exception):
    """Most rows, or all of a domain, are longer than the campaign's sequences, so the recipe would not be followed."""


class BosMissing(Exception):
    """The model expects a begin token, and its tokenizer does not add it."""


class DevicesMissing(Exception):
    """The host has fewer devices than the recipe requires."""


class MemoryShort(Exception):
    """By estimate the job does not fit the device."""


class DiskShort(Exception):
    """The disk of a folder that the job writes to has too little room."""


class RewardsEqual(Exception):
    """For every prompt, all answers had the same reward, so nothing could be learned."""


class RowsSeen(Exception):
    """The model lets packed rows see one another."""


class LossNotFinite(Exception):
    """The loss, or the norm of its gradient, became infinite or undefined (NaN)."""


class OutputLayerTied(Exception):
    """The recipe adapts the output layer of a model whose output layer is its embedding."""


class OutOfMemory(Exception):
    """The accelerator's memory is too small for the job."""


def short(error: Exception) -> str:
    """A library's message on one line, at most 200 characters."""
    return " ".join(str(error).split())[:200]
