"""How long rows are in the model's own tokens, where its tokenizer lies on this machine.

The trainer drops what is longer than `model.max_length`; the card says beforehand how much that will be.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from schemas.rows import Row

ENDS = 1
"""The end token that the trainer adds to a row."""


class Lengths:
    """Counts the rows that the trainer will drop for their length."""

    def __init__(self, tokenizer: Any, most: int) -> None:
        self.tokenizer, self.most = tokenizer, most

    @classmethod
    def of(cls, base: str | None, most: int) -> Lengths | None:
        """By the tokenizer of a base model; none where it is not here, or the library that reads it."""
        file = Path(base or "", "tokenizer.json")
        if base is None or not file.is_file():
            return None
        try:
            from tokenizers import Tokenizer  # noqa: PLC0415 - comes with the extra `trainer`, which data can do without
        except ModuleNotFoundError:
            return None
        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.no_truncation()
        return cls(tokenizer, most)

    def too_long(self, row: Row) -> bool:
        """Whether the trainer will drop a row with its worked steps; counted as `services.trainer.batches` encodes."""
        prompt = f"{row.prompt}\n" if row.prompt else ""
        read = len(self.tokenizer.encode(prompt).ids)
        return (
            read + len(self.tokenizer.encode(row.completion(traced=True), add_special_tokens=False).ids) + ENDS
            > self.most
        )
