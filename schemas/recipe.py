"""A recipe is everything a candidate may vary; a change names one knob, so that its effect can be attributed.

Knobs are addressed by a dotted path (`lr`, `upsample.cipher`), the same path in the search space of a constitution, in
a candidate's changes and in a dead end.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from schemas.base import Frozen, Grown, Name

ALL_LINEAR = "all-linear"
"""Value of `target_modules` for every linear layer but the output layer."""

Weight = Annotated[float, Field(ge=0.0)]
Value = float | int | str | tuple[float, ...] | tuple[str, ...]
"""What a knob can hold. Weights over difficulties or wordings are tuples."""


class Recipe(Grown):
    """How one candidate is trained from the base checkpoint, and on what."""

    LATER = (
        "method",
        "adapter",
        "packing",
        "activations",
        "devices",
        "sharding",
        "group",
        "temperature",
        "kl",
        "epochs",
        "lora_variant",
        "beta",
    )

    lr: float = Field(3e-3, ge=1e-6, le=3e-2)
    """Peak learning rate."""
    rank: int = Field(16, ge=1, le=256)
    """LoRA rank."""
    alpha: float = Field(32.0, ge=1.0, le=512.0)
    """LoRA scale; the update is multiplied by alpha / rank."""
    dropout: float = Field(0.0, ge=0.0, le=0.5)
    """Dropout on the LoRA input."""
    target_modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    """Linear layers that get an adapter, by the last part of their name; each must exist and be trained. `all-linear`
    alone is every linear layer but the output layer."""
    steps: int = Field(120, ge=1, le=100_000)
    """Optimizer steps; at most as many where `epochs` is given."""
    batch: int = Field(32, ge=1, le=4096)
    """Sequences per optimizer step."""
    warmup: float = Field(0.05, ge=0.0, le=0.5)
    """Share of the steps in which the learning rate rises linearly from zero."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """Shape of the learning rate after the warm-up."""
    weight_decay: float = Field(0.0, ge=0.0, le=1.0)
    """AdamW's decoupled weight decay."""
    mix: dict[Name, Weight] = Field(default_factory=dict)
    """Relative weight per domain; a domain left out weighs 1."""
    upsample: dict[Name, Annotated[float, Field(ge=1.0, le=16.0)]] = Field(default_factory=dict)
    """Repetition k per domain on top of the mix: share p becomes kp / (1 + (k - 1)p) (arXiv 2606.20657)."""
    difficulty: tuple[Weight, ...] = (1.0, 0.0, 0.0)
    """Weights of the difficulty levels 1, 2, 3 in the training data."""
    wordings: tuple[Weight, ...] = (1.0, 0.0, 0.0)
    """Weights of the wordings 0, 1, 2 in the training data; 0 is the terse one that dev uses."""
    traces: float = Field(0.0, ge=0.0, le=1.0)
    """Share of the rows whose completion is the worked trace; the rest is the bare answer."""
    curriculum: Literal["shuffled", "easy_first", "hard_first"] = "shuffled"
    """Order of the rows by difficulty."""
    checkpoint: Literal["last", "best", "average"] = "last"
    """Which weights are kept: the last, the best on held-back training rows, or the mean of the last quarter."""

    method: Name = "sft"
    """How weights learn: `sft` (supervised fine-tuning on completions), `grpo` (reinforcement from verifiable rewards,
    arXiv 2402.03300), `dpo` (preference pairs, arXiv 2305.18290), or a method that an installed package adds."""
    adapter: Name = "lora"
    """What is trained: `lora` (a LoRA adapter), `qlora` (the same beside a base in 4 bits, arXiv 2305.14314), `full`
    (every weight), or a form that an installed package adds."""
    packing: Literal["buckets", "packed"] = "buckets"
    """Rows of similar length padded together, or rows joined to full sequences without seeing one another."""
    activations: Literal["kept", "recomputed"] = "kept"
    """Whether activations are kept for the backward pass, or computed again to save memory."""
    devices: int = Field(1, ge=1, le=4096)
    """Processes that train together, each with a device of its own."""
    sharding: Literal["replicated", "fsdp"] = "replicated"
    """Whether each process holds the whole model, or a part of every layer (FSDP2)."""
    group: int = Field(8, ge=2, le=256)
    """GRPO: answers per prompt, whose rewards are compared."""
    temperature: float = Field(1.0, gt=0.0, le=2.0)
    """GRPO: of the sampled answers."""
    kl: float = Field(0.0, ge=0.0, le=1.0)
    """GRPO: weight of the divergence from the base."""
    epochs: float = Field(0.0, ge=0.0, le=1000.0)
    """Passes over the snapshot's rows of the recipe's domains, in place of `steps`, which bounds them. 0: `steps`."""
    lora_variant: Literal["standard", "rslora", "dora", "rsdora"] = "standard"
    """LoRA as it is; scaled by alpha / sqrt(rank) (`rslora`, arXiv 2312.03732); with a learned magnitude (`dora`, arXiv
    2402.09353); or both."""
    beta: float = Field(0.1, gt=0.0, le=10.0)
    """DPO: how strongly the model is kept near the base (arXiv 2305.18290)."""

    @field_validator("target_modules")
    @classmethod
    def _all_linear_is_alone(cls, modules: tuple[str, ...]) -> tuple[str, ...]:
        if ALL_LINEAR in modules and len(modules) > 1:
            raise ValueError(f"{ALL_LINEAR} already contains the other modules; name it alone, or the modules")
        return modules

    @field_validator("difficulty", "wordings")
    @classmethod
    def _some_weight(cls, weights: tuple[float, ...]) -> tuple[float, ...]:
        if not sum(weights) > 0:
            raise ValueError("at least one weight must be above zero")
        return weights

    def get(self, knob: str) -> Value:
        """The value at a knob's path; a domain without its own weight or repetition holds 1."""
        head, _, domain = knob.partition(".")
        field_value = getattr(self, head)
        value: Value = field_value.get(domain, 1.0) if domain else field_value
        return value

    def shares(self, domains: tuple[str, ...]) -> dict[str, float]:
        """Share of each domain in the training rows; they sum to 1. Raises `ValueError` where every weight is 0."""
        weights = {d: self.mix.get(d, 1.0) * self.upsample.get(d, 1.0) for d in domains}
        if not (total := sum(weights.values())) > 0:
            raise ValueError(f"mix: every one of {', '.join(domains)} weighs 0; give one of them a weight above 0")
        return {domain: weight / total for domain, weight in weights.items()}

    def steps_for(self, rows: Mapping[str, int]) -> int:
        """Optimizer steps on a snapshot with so many rows per domain: `epochs` over the used ones, at most `steps`."""
        if not self.epochs:
            return self.steps
        used = sum(n for domain, n in rows.items() if self.mix.get(domain, 1.0) > 0)
        of_step = max(1, self.batch // self.group) if self.method == "grpo" else self.batch
        return max(1, min(self.steps, ceil(self.epochs * used / of_step)))

    def replace(self, knob: str, value: Any) -> Recipe:
        """A validated copy with one knob changed. Raises `pydantic.ValidationError` outside the bounds."""
        head, _, domain = knob.partition(".")
        field_value = {**getattr(self, head), domain: value} if domain else value
        return Recipe.model_validate({**self.model_dump(), head: field_value})


class Change(Frozen):
    """One named difference between a candidate and the standing recipe."""

    knob: str
    """Path of the knob."""
    before: Value
    """Its value in the standing recipe."""
    after: Value
    """Its value in the candidate."""

    @property
    def name(self) -> str:
        """The change in a few characters, the same for equal changes: the name of the intervention."""
        return f"{self.knob}={show(self.after)}"


def show(value: Value) -> str:
    """A knob's value as people write it."""
    if isinstance(value, tuple):
        return "/".join(show(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def differences(standing: Recipe, candidate: Recipe, knobs: tuple[str, ...]) -> tuple[Change, ...]:
    """The changes that lead from the standing recipe to the candidate, along the given knobs."""
    pairs = ((knob, standing.get(knob), candidate.get(knob)) for knob in knobs)
    return tuple(Change(knob=k, before=b, after=a) for k, b, a in pairs if b != a)
