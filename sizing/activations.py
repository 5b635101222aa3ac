"""Activation memory in bytes per token: every tensor that autograd saves in a forward pass, part by part.

Follows the modules of `transformers` and PEFT, with the method of Korthikanti et al. (arXiv 2205.05198, section 4),
whose 34 bytes per channel belong to another implementation. A test counts what autograd saves on a processor. Attention
is fused (FlashAttention, arXiv 2205.14135), and so is Mamba's scan (`mamba-ssm`), which recomputes its inside; without
that package a Mamba layer keeps hundreds of times as much.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

from schemas.recipe import ALL_LINEAR, Recipe
from sizing.parts import SINGLE, Attention, Counted, Experts, Mamba, Mlp, Part
from sizing.shapes import Block, Shapes
from sizing.traits import Traits

HALF = 2
"""Bytes of a number in bfloat16."""

LOGITS = 12
"""Bytes per logit at the peak of the loss: three copies in single precision, or two and two in bfloat16."""


@dataclass(frozen=True)
class PassFormat:
    """The number formats of a pass, and the weights that need gradients."""

    stream: int
    """Bytes of a number of the residual stream, and of the outputs of norms."""
    compute: int
    """Bytes of a number of a matrix product."""
    full: bool
    """Whether every weight is trained."""
    targets: frozenset[str] = frozenset()
    """Layers with an adapter."""
    rank: int = 0

    def inputs(self, width: int, *names: str) -> int:
        """Bytes that the named layers keep of their common input of a width.

        A trained layer keeps it, converted once per layer where the stream is wider than the computation. A frozen
        layer keeps nothing; its adapter, in single precision, keeps its own copy and the output of its first half.
        """
        if self.full:
            return self.compute * width * (1 if self.stream == self.compute else len(names))
        adapted = len(names) if ALL_LINEAR in self.targets else sum(name in self.targets for name in names)
        copies = min(adapted, 1) if self.compute == SINGLE else adapted
        return SINGLE * (width * copies + self.rank * adapted)

    def norm(self, width: int) -> int:
        """Bytes that a norm keeps: its input in single precision, and the normed input where the scale is trained."""
        return SINGLE * width + (self.stream * width if self.full else 0)


def pass_format(recipe: Recipe, traits: Traits, *, half: bool) -> PassFormat:
    """The format of a recipe's passes: bfloat16 on an accelerator; a full training's stream in single precision."""
    compute = HALF if half else SINGLE
    if traits.every_weight:
        return PassFormat(SINGLE, compute, full=True)
    return PassFormat(compute, compute, full=False, targets=frozenset(recipe.target_modules), rank=recipe.rank)


@singledispatch
def part_bytes(part: Part, how: PassFormat) -> int:
    """Bytes per token that a part keeps."""
    raise NotImplementedError(type(part).__name__)


@part_bytes.register
def _(part: Attention, how: PassFormat) -> int:
    """Queries, keys, values, their weighted sum, and a number per head (FlashAttention)."""
    core = how.compute * 2 * (part.queries + part.keys) + SINGLE * part.heads
    norms = how.norm(part.queries) + how.norm(part.keys) if part.head_norms else 0
    projections = how.inputs(part.hidden, "q_proj", "k_proj", "v_proj") + _output(how, part.queries)
    return how.norm(part.hidden) + norms + core + projections


def _output(how: PassFormat, width: int) -> int:
    """Input of the output projection: attention has kept it already, unless an adapter converts it."""
    return 0 if how.full or how.compute == SINGLE else how.inputs(width, "o_proj")


@part_bytes.register
def _(part: Mlp, how: PassFormat) -> int:
    names = ("gate_proj", "up_proj") if part.gated else ("up_proj",)
    return how.norm(part.hidden) + how.inputs(part.hidden, *names) + _inside(part.intermediate, how, gated=part.gated)


def _inside(width: int, how: PassFormat, *, gated: bool) -> int:
    """Gate, its activation and the other factor, or the one activation; then the input of the down projection."""
    return how.compute * width * (3 if gated else 1) + how.inputs(width, "down_proj")


@part_bytes.register
def _(part: Experts, how: PassFormat) -> int:
    """Each chosen expert keeps what a feed-forward layer would; its output is kept for the router's gradient.

    Autocast leaves the experts' product as it is, so where all weights are trained they compute in single precision.
    """
    inside = part.intermediate * (3 if part.gated else 1) + part.width
    if how.full or part.adapted:
        inside += part.width + part.intermediate
    routed = part.chosen * how.stream * inside
    router = SINGLE * (2 * part.experts + 4 * part.chosen) + (SINGLE * part.hidden if how.full else 0)
    around = (
        how.inputs(part.hidden, "fc1_latent_proj") + how.inputs(part.latent, "fc2_latent_proj") if part.latent else 0
    )
    return how.norm(part.hidden) + routed + router + around + _shared(part, how)


def _shared(part: Experts, how: PassFormat) -> int:
    if not part.shared:
        return 0
    names = ("gate_proj", "up_proj") if part.gated else ("up_proj",)
    return how.inputs(part.hidden, *names) + _inside(part.shared, how, gated=part.gated)


@part_bytes.register
def _(part: Mamba, how: PassFormat) -> int:
    """Input and output of the fused scan; its inside is recomputed."""
    scan = how.compute * (part.projected + part.inner) + SINGLE * part.groups
    return how.norm(part.hidden) + how.inputs(part.hidden, "in_proj") + scan + how.inputs(part.inner, "out_proj")


@part_bytes.register
def _(part: Counted, how: PassFormat) -> int:
    """As the parts above, with the widths that were counted."""
    core = how.compute * (2 * part.queries + part.keys + part.inside) + SINGLE * part.heads
    inputs = sum(how.inputs(width, *names) for width, names in part.inputs)
    if not (how.full or how.compute == SINGLE):  # attention has kept the input of its output projection already
        inputs += sum(how.inputs(width, *names) for width, names in part.outputs)
    return how.norm(part.norms) + core + inputs + how.stream * part.routed


def block_bytes(block: Block, how: PassFormat) -> int:
    """Bytes per token that a block keeps."""
    return sum(part_bytes(part, how) for part in block)


def weight_bytes(block: Block, how: PassFormat) -> int:
    """Bytes that a block keeps however many tokens there are: copies of weights.

    Autocast converts each linear layer's weights and keeps them for the backward pass; PEFT adds an adapter of experts
    to all of them at once.
    """
    matrices = [matrix for part in block for matrix in part.matrices()]
    if how.full:
        return 0 if how.stream == how.compute else how.compute * sum(m.total for m in matrices if m.linear)
    return how.compute * sum(m.total for m in matrices if not m.linear and m.adapter(how.targets, 1))


def body_bytes(shapes: Shapes, how: PassFormat, tokens: int, *, recomputed: bool) -> int:
    """Bytes that all blocks keep of a pass over some tokens.

    Recomputed activations: each block keeps its input, and one block everything (Chen et al., arXiv 1604.06174).
    """
    sizes = [block_bytes(block, how) * tokens + weight_bytes(block, how) for block in shapes.blocks]
    last = how.norm(shapes.hidden) * tokens
    if recomputed:
        return how.stream * shapes.hidden * tokens * len(sizes) + max(sizes, default=0) + last
    return sum(sizes) + last
