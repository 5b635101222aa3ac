"""A text that is too short teaches nothing, one that is too long crowds out the others."""

from __future__ import annotations

from schemas.rows import Row
from services.data.filters.filter import Dropped, text_of


class Length:
    """The number of words, separated by white space. A row with an answer may be as short as it likes."""

    name = "length"

    def __init__(self, fewest: int, most: int) -> None:
        self.fewest, self.most = fewest, most

    def judge(self, row: Row) -> Row | Dropped:
        """Drop a row with too few or too many words."""
        words = len(text_of(row).split())
        if words > self.most:
            return Dropped(self.name, "long", f"{words} words")
        if words < self.fewest and not row.answer:
            return Dropped(self.name, "short", f"{words} words")
        return row
