"""What a forward pass keeps for the backward pass, in bytes per token: every tensor that autograd saves, part by part.

Follows the modules of `transformers` and PEFT as they are, in the way of Korthikanti et al. (arXiv 2205.05198, section
4), whose 34 bytes per channel are those of another implementation. A test counts what autograd really saves on a
processor. Attention is fused (FlashAttention, arXiv 2205.14135), and Mamba's scan is the fused one of `mamba-ssm`,
which computes its inside again; without that package a Mamba layer keeps hundreds of times as much.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

from schemas.recipe import Recipe
from sizing.parts import SINGLE, Attention, Experts, Mamba, Mlp, Part
from sizing.shapes import Block, Shapes

HALF = 2
"""Bytes of a number in bfloat16."""

LOGITS = 12
"""Bytes per logit at the peak of the loss: three copies in single precision, or two and two in bfloat16."""


@dataclass(frozen=True)
class Kept:
    """In which numbers a pass computes, and of which weights it needs gradients."""

    stream: int
    """Bytes of a number of the residual stream, and of what norms give."""
    compute: int
    """Bytes of a number that a matrix gives."""
    full: bool
    """Whether every weight is trained."""
    targets: frozenset[str] = frozenset()
    """Layers with an adapter."""
    rank: int = 0

    def inputs(self, width: int, *names: str) -> int:
        """What layers with a common input of a width keep of it.

        Trained in place they keep it, converted for each where the stream is wider than the computation. A frozen layer
        keeps nothing; its adapter, in single precision, keeps a copy of its own, and what its first half gave.
        """
        if self.full:
            return self.compute * width * (1 if self.stream == self.compute else len(names))
        adapted = sum(name in self.targets for name in names)
        copies = min(adapted, 1) if self.compute == SINGLE else adapted
        return SINGLE * (width * copies + self.rank * adapted)

    def norm(self, width: int) -> int:
        """What a norm keeps: its input in single precision, and what it scales where the scale is trained."""
        return SINGLE * width + (self.stream * width if self.full else 0)


def kept(recipe: Recipe, *, half: bool) -> Kept:
    """How a recipe's passes compute: on an accelerator in bfloat16, with all weights trained in single precision."""
    compute = HALF if half else SINGLE
    if recipe.adapter == "full":
        return Kept(SINGLE, compute, full=True)
    return Kept(compute, compute, full=False, targets=frozenset(recipe.target_modules), rank=recipe.rank)


@singledispatch
def part_bytes(part: Part, how: Kept) -> int:
    """Bytes per token that a part keeps."""
    raise NotImplementedError(type(part).__name__)


@part_bytes.register
def _(part: Attention, how: Kept) -> int:
    """Queries, keys, values, their weighted sum, and a number per head (FlashAttention)."""
    core = how.compute * 2 * (part.queries + part.keys) + SINGLE * part.heads
    norms = how.norm(part.queries) + how.norm(part.keys) if part.head_norms else 0
    projections = how.inputs(part.hidden, "q_proj", "k_proj", "v_proj") + _output(how, part.queries)
    return how.norm(part.hidden) + norms + core + projections


def _output(how: Kept, width: int) -> int:
    """The output projection's input is what attention has kept already, unless an adapter converts it."""
    return 0 if how.full or how.compute == SINGLE else how.inputs(width, "o_proj")


@part_bytes.register
def _(part: Mlp, how: Kept) -> int:
    names = ("gate_proj", "up_proj") if part.gated else ("up_proj",)
    return how.norm(part.hidden) + how.inputs(part.hidden, *names) + _inside(part.intermediate, how, gated=part.gated)


def _inside(width: int, how: Kept, *, gated: bool) -> int:
    """Gate, its activation and the other factor; or the one activation. Then what goes down."""
    return how.compute * width * (3 if gated else 1) + how.inputs(width, "down_proj")


@part_bytes.register
def _(part: Experts, how: Kept) -> int:
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


def _shared(part: Experts, how: Kept) -> int:
    if not part.shared:
        return 0
    names = ("gate_proj", "up_proj") if part.gated else ("up_proj",)
    return how.inputs(part.hidden, *names) + _inside(part.shared, how, gated=part.gated)


@part_bytes.register
def _(part: Mamba, how: Kept) -> int:
    """What goes into and comes out of the fused scan; its inside is computed again."""
    scan = how.compute * (part.projected + part.inner) + SINGLE * part.groups
    return how.norm(part.hidden) + how.inputs(part.hidden, "in_proj") + scan + how.inputs(part.inner, "out_proj")


def block_bytes(block: Block, how: Kept) -> int:
    """Bytes per token that a block keeps."""
    return sum(part_bytes(part, how) for part in block)


def weight_bytes(block: Block, how: Kept) -> int:
    """Bytes that a block keeps whatever the tokens: copies of weights.

    Autocast converts each linear layer's weights and keeps them for the backward pass; PEFT adds an adapter of experts
    to all of them at once.
    """
    matrices = [matrix for part in block for matrix in part.matrices()]
    if how.full:
        return 0 if how.stream == how.compute else how.compute * sum(m.total for m in matrices if m.linear)
    return how.compute * sum(m.total for m in matrices if not m.linear and m.adapter(how.targets, 1))


def body_bytes(shapes: Shapes, how: Kept, tokens: int, *, recomputed: bool) -> int:
    """Bytes that all blocks keep of a pass over some tokens: everything; or each its input, and one of them everything.

    Computing again from the blocks' inputs: Chen et al., arXiv 1604.06174.
    """
    sizes = [block_bytes(block, how) * tokens + weight_bytes(block, how) for block in shapes.blocks]
    last = how.norm(shapes.hidden) * tokens
    if recomputed:
        return how.stream * shapes.hidden * tokens * len(sizes) + max(sizes, default=0) + last
    return sum(sizes) + last
