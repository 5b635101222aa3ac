"""The shapes of a causal language model, and the parameters that follow from them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sizing.parts import HEAD, Matrix, Part

Block = tuple[Part, ...]
"""What is sharded, and computed again, as one: in Llama attention and feed-forward, in NemotronH one of the two."""


@dataclass(frozen=True)
class Shapes:
    """A model."""

    vocabulary: int
    """Entries of the embedding, and logits."""
    hidden: int
    """Width of the residual stream."""
    blocks: tuple[Block, ...]
    """From the first to the last."""
    tied: bool = False
    """Whether the output layer is the embedding."""
    beside: int = 0
    """Parameters outside the blocks besides embedding, output layer and last norm: tables of positions, towers for
    other media; below 0 where the embedding is narrower than the residual stream."""
    idle: int = 0
    """Those of them that a text's token does not need."""

    def matrices(self) -> Iterator[Matrix]:
        """Everything that tokens are multiplied with, the output layer included."""
        for block in self.blocks:
            for part in block:
                yield from part.matrices()
        yield Matrix(HEAD, self.hidden, self.vocabulary)

    @property
    def embedding(self) -> int:
        """Parameters of the embedding."""
        return self.vocabulary * self.hidden

    @property
    def outside(self) -> int:
        """Parameters outside the blocks: embedding, output layer, last norm, and the rest."""
        return self.embedding * (1 if self.tied else 2) + self.hidden + self.beside

    @property
    def total(self) -> int:
        """All parameters."""
        return self.outside + sum(parameters(block) for block in self.blocks)

    @property
    def active(self) -> int:
        """Parameters that one token needs: of a mixture's experts the chosen ones, of the embedding one row."""
        spared = sum(max(0, m.total - m.active) for m in self.matrices())
        return self.total - spared - self.idle - (0 if self.tied else self.embedding)

    @property
    def mixture(self) -> bool:
        """Whether it has experts."""
        return any(matrix.copies > 1 for matrix in self.matrices())

    def adapter(self, targets: Collection[str], rank: int) -> int:
        """Parameters of a LoRA adapter on the layers of these names."""
        return sum(matrix.adapter(targets, rank) for matrix in self.matrices())

    def mixing(self, length: int) -> float:
        """Operations per token of a forward pass beside the matrices."""
        return sum(part.mixing(length) for block in self.blocks for part in block)

    def cache(self, length: int, width: int) -> int:
        """Bytes kept of one sequence of a length while it is generated."""
        return sum(part.cache(length, width) for block in self.blocks for part in block)


def parameters(block: Block) -> int:
    """Parameters of a block."""
    return sum(part.loose + sum(m.total for m in part.matrices()) for part in block)
