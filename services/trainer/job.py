"""What a training job is given and what it gives back: plain data, so that whoever queues it needs no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import Frozen, Name, Sha256, Share
from schemas.evidence import Coverage
from schemas.profiles import ProfileName
from schemas.recipe import Recipe


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
    """Hash of its rows, as recorded; a file that comes from a store of objects must have it."""
    seed: int = Field(ge=0)
    """Seed of the data order, the initialisation and the dropout."""
    max_length: int = Field(ge=8)
    """Tokens of prompt and completion together; a longer row is dropped."""
    max_new_tokens: int = Field(96, ge=1)
    """Tokens of an answer that the model samples in training, as in evaluation."""
    profile: ProfileName = "plain"
    """How the model is asked, as in evaluation."""
    work: str
    """The job's own folder for what a resumed try needs."""
    out: str
    """Folder that will hold the adapter."""
    copies: str
    """Folder of copies of what lies in a store of objects."""
    rank_seconds: float = Field(600.0, gt=0.0)
    """How long the processes of a job may take for a step before one of them counts as hung."""


class Trained(Frozen):
    """The adapter of a finished job."""

    candidate: Name
    """Candidate id."""
    uri: str
    """Folder of the adapter (PEFT, safetensors), or of the whole model."""
    form: Literal["adapter", "full"] = "adapter"
    """Which of the two."""
    sha256: Sha256
    """Hash over the folder's files."""
    coverage: Coverage
    """Which modules were trained."""
    loss: float
    """Mean loss over the last tenth of the steps: of the completions, in nats per token, or GRPO's objective."""
    reward: Share | None = None
    """GRPO: share of the sampled answers that were right, over the last tenth of the steps."""
    tokens: int = Field(ge=0)
    """Tokens trained on, padding excluded: the same for equal jobs, resumed or not."""
    too_long: int = Field(ge=0)
    """Rows dropped because they were longer than `max_length`."""
    resumed_from: int = Field(ge=0)
    """Step that this try went on from; 0 for a fresh one."""
    seconds: float = Field(ge=0.0)
    """Wall time of this try."""
    device_seconds: float = Field(ge=0.0)
    """Processor seconds of this try, or wall seconds of its accelerator."""


class SnapshotMissing(Exception):
    """The snapshot's file is not there."""


class RowsMissing(Exception):
    """The snapshot has no usable row of a kind that the recipe asks for."""


class TargetModuleMissing(Exception):
    """The recipe names a module that the model does not have. PEFT would silently ignore it."""


class AdapterUntrained(Exception):
    """An adapted layer never received a gradient."""


class QuantizerMissing(Exception):
    """The recipe trains beside a base in 4 bits, and the library for it is not installed."""


class TargetModulePartial(Exception):
    """A module that the recipe names is in some layers of a kind, and not in others of the same kind."""


class AdapterUnloadable(Exception):
    """What would be saved of the recipe's adapter cannot be attached to the model again."""


class ModelUnsupported(Exception):
    """The libraries do not know the base model's architecture."""


class RecipeUnsupported(Exception):
    """Two of the recipe's values do not go together."""


class SequenceTooLong(Exception):
    """The campaign's sequences are longer than the model's positions."""


class RowsTooLong(Exception):
    """Most rows are longer than the campaign's sequences, so that what is trained is not what the recipe says."""


class BosMissing(Exception):
    """The model expects a token at the beginning, and its tokenizer does not give it."""


class DevicesMissing(Exception):
    """The host has fewer devices than the recipe asks for."""


class MemoryShort(Exception):
    """The job will not fit the device, by estimate."""


class DiskShort(Exception):
    """A folder that the job writes to has too little room."""


class RewardsEqual(Exception):
    """All answers to a prompt were rewarded alike, for every prompt: there was nothing to learn from."""


class OutOfMemory(Exception):
    """The accelerator's memory is too small for the job."""
