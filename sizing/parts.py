"""The parts that blocks of a causal language model are made of, as the library `transformers` builds them.

A part knows its weights, what it computes beside them for each token, and what it keeps of a token while it generates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from schemas.recipe import ALL_LINEAR

HEAD = "lm_head"
"""Name of the output layer."""

SINGLE = 4
"""Bytes of a number in single precision."""


@dataclass(frozen=True)
class Matrix:
    """A weight that tokens are multiplied with."""

    name: str
    """Last part of its name in the model, as a recipe's `target_modules` say it."""
    inputs: int
    outputs: int
    bias: bool = False
    copies: int = 1
    """How many there are, as of a mixture's experts."""
    used: int = 1
    """How many of them see a token."""
    linear: bool = True
    """Whether it is a linear layer of its own: all experts are one parameter, which quantizers pass by."""
    aliases: tuple[str, ...] = ()
    """Names that together adapt it where it is no linear layer, as PEFT translates them (Qwen's experts)."""

    @property
    def each(self) -> int:
        """Parameters of one copy."""
        return self.inputs * self.outputs + (self.outputs if self.bias else 0)

    @property
    def total(self) -> int:
        """Parameters of all copies."""
        return self.copies * self.each

    @property
    def active(self) -> int:
        """Parameters that a token is multiplied with."""
        return self.used * self.each

    def adapter(self, targets: Collection[str], rank: int) -> int:
        """Parameters of a LoRA adapter on it (arXiv 2106.09685): rank times inputs and outputs; 0 where it has none.

        What stands for several layers has the ranks of all.
        """
        if self.linear:
            adapted = self.name != HEAD if ALL_LINEAR in targets else self.name in targets
        else:
            adapted = bool(self.aliases) and set(self.aliases) <= set(targets)
        if not adapted:
            return 0
        return self.copies * rank * max(1, len(self.aliases)) * (self.inputs + self.outputs)


@dataclass(frozen=True)
class Attention:
    """Causal attention with grouped queries (arXiv 2305.13245)."""

    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    bias: bool = False
    """Whether queries, keys and values have a bias."""
    out_bias: bool = False
    head_norms: bool = False
    """Whether queries and keys are normed, as in Qwen 3."""

    @property
    def queries(self) -> int:
        """Width of all queries together, and of the output."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Width of all keys together, and of the values."""
        return self.kv_heads * self.head_dim

    def matrices(self) -> Iterator[Matrix]:
        """The four projections."""
        yield Matrix("q_proj", self.hidden, self.queries, self.bias)
        yield Matrix("k_proj", self.hidden, self.keys, self.bias)
        yield Matrix("v_proj", self.hidden, self.keys, self.bias)
        yield Matrix("o_proj", self.queries, self.hidden, self.out_bias)

    @property
    def loose(self) -> int:
        """The norm before it, and those of the heads."""
        return self.hidden + (2 * self.head_dim if self.head_norms else 0)

    def mixing(self, length: int) -> float:
        """Scores and their weighted values: 4 per pair and channel, over half the pairs, the mask hides the rest.

        As Megatron-LM counts it (`attn_layer_flops` in megatron/training/training.py).
        """
        return 2.0 * length * self.queries

    def cache(self, length: int, width: int) -> int:
        """Keys and values of every token."""
        return 2 * self.keys * length * width


@dataclass(frozen=True)
class Mlp:
    """A feed-forward layer that every token passes."""

    hidden: int
    intermediate: int
    gated: bool = True
    """Whether a gate multiplies (SwiGLU, arXiv 2002.05202), or one activation stands alone (squared ReLU)."""
    bias: bool = False

    def matrices(self) -> Iterator[Matrix]:
        """Up, down and, where there is one, the gate."""
        for name in ("gate_proj", "up_proj") if self.gated else ("up_proj",):
            yield Matrix(name, self.hidden, self.intermediate, self.bias)
        yield Matrix("down_proj", self.intermediate, self.hidden, self.bias)

    @property
    def loose(self) -> int:
        """The norm before it."""
        return self.hidden

    def mixing(self, length: int) -> float:
        """Nothing that counts."""
        return 0.0

    def cache(self, length: int, width: int) -> int:
        """Nothing."""
        return 0


@dataclass(frozen=True)
class Experts:
    """A mixture of experts: a router chooses some for each token, beside one that all tokens pass."""

    hidden: int
    intermediate: int
    experts: int
    chosen: int
    gated: bool = True
    shared: int = 0
    """Width inside the expert of all tokens; 0 where there is none."""
    shared_gate: bool = False
    """Whether a linear layer weighs that expert, as in Qwen 2."""
    adapted: bool = False
    """Whether PEFT gives the experts an adapter where the names of a feed-forward layer are targets."""
    latent: int | None = None
    """Width to which tokens are projected before their experts (LatentMoE), else that of the residual stream."""

    @property
    def width(self) -> int:
        """What an expert reads and writes."""
        return self.latent or self.hidden

    def matrices(self) -> Iterator[Matrix]:
        """Router, experts, the projections around them, and the shared expert."""
        yield Matrix("gate", self.hidden, self.experts, linear=False)
        up = "gate_up_proj" if self.gated else "up_proj"
        inside = self.intermediate * (2 if self.gated else 1)
        into, out = (("gate_proj", "up_proj"), ("down_proj",)) if self.adapted else ((), ())
        many, few = self.experts, self.chosen
        yield Matrix(up, self.width, inside, copies=many, used=few, linear=False, aliases=into)
        yield Matrix("down_proj", self.intermediate, self.width, copies=many, used=few, linear=False, aliases=out)
        if self.latent:
            yield Matrix("fc1_latent_proj", self.hidden, self.latent)
            yield Matrix("fc2_latent_proj", self.latent, self.hidden)
        if self.shared:
            yield from Mlp(self.hidden, self.shared, self.gated).matrices()
        if self.shared_gate:
            yield Matrix("shared_expert_gate", self.hidden, 1)

    @property
    def loose(self) -> int:
        """The norm before it."""
        return self.hidden

    def mixing(self, length: int) -> float:
        """Nothing that counts."""
        return 0.0

    def cache(self, length: int, width: int) -> int:
        """Nothing."""
        return 0


@dataclass(frozen=True)
class Mamba:
    """A Mamba-2 layer (arXiv 2405.21060)."""

    hidden: int
    heads: int
    head_dim: int
    state: int
    groups: int
    kernel: int = 4
    conv_bias: bool = True
    bias: bool = False

    @property
    def inner(self) -> int:
        """Width of all heads together."""
        return self.heads * self.head_dim

    @property
    def convolved(self) -> int:
        """Channels that the convolution reads: values, and what is written to and read from the state."""
        return self.inner + 2 * self.groups * self.state

    @property
    def projected(self) -> int:
        """Outputs of the first projection: the gate, the convolved channels, a time step per head."""
        return self.inner + self.convolved + self.heads

    def matrices(self) -> Iterator[Matrix]:
        """The projections in and out."""
        yield Matrix("in_proj", self.hidden, self.projected, self.bias)
        yield Matrix("out_proj", self.inner, self.hidden, self.bias)

    @property
    def loose(self) -> int:
        """The norms before and within it, the convolution, and three scalars per head."""
        convolution = self.convolved * (self.kernel + (1 if self.conv_bias else 0))
        return self.hidden + self.inner + convolution + 3 * self.heads

    def mixing(self, length: int) -> float:
        """The scan, as Megatron-LM counts it (`mamba_layer_flops` in megatron/training/training.py)."""
        return 7.0 * self.inner * self.state

    def cache(self, length: int, width: int) -> int:
        """A state in single precision and the last inputs of the convolution, whatever the length."""
        return self.inner * self.state * SINGLE + self.convolved * self.kernel * width


@dataclass
class Counted:
    """A block of a model that no formula knows: `sizing.counted` visits its modules and adds the figures of each."""

    hidden: int
    layers: list[Matrix] = field(default_factory=list)
    """All its matrices."""
    loose: int = 0
    queries: int = 0
    """Width of the queries of all its attentions together."""
    keys: int = 0
    """Numbers that its attentions cache of a token."""
    heads: int = 0
    state: int = 0
    """Numbers of its recurrences' states."""
    window: int = 0
    """Inputs that its convolutions keep."""
    norms: int = 0
    """Width of all its norms together."""
    inside: int = 0
    """Numbers per token that lie between its linear layers."""
    routed: int = 0
    """The same of the experts that see a token."""
    inputs: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    """Widths of the inputs of its linear layers, each with the layers that read it."""
    outputs: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    """The same of the output projections of its attentions."""

    def matrices(self) -> Iterator[Matrix]:
        """As its modules have them."""
        yield from self.layers

    def mixing(self, length: int) -> float:
        """Scores and weighted values of its attentions, and its scans."""
        return 2.0 * length * self.queries + 7.0 * self.state

    def cache(self, length: int, width: int) -> int:
        """Keys and values of every token, states in single precision, inputs of convolutions."""
        return self.keys * length * width + self.state * SINGLE + self.window * width


Part = Attention | Mlp | Experts | Mamba | Counted
"""What a block runs one after the other, each behind a norm of its own. All have

hidden      width of the residual stream
matrices    weights that tokens are multiplied with
loose       other parameters: norms, convolutions, scalars per head
mixing      floating-point operations per token of a forward pass beside the matrices, in sequences of a length
cache       bytes kept of one sequence of a length while it is generated, in numbers of a width
"""
