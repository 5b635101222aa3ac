"""Where names stand in a picture: beside their points, on the first side where nothing else stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

LETTER, LINE = 6.5, 12
"""Pixels of a letter in width, of a line in height."""
AIR = 5
"""Pixels around the middle of a mark that are its own."""
SIDES = tuple((side, rise) for rise in (-5, 13, -17, 25, -29, 37) for side in (8, -8))
"""To the right and to the left of a point, above, below, and then further away."""

Place = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class Label:
    """A name in a picture."""

    name: str
    x: float
    y: float
    left: bool
    """Whether it ends at x, where else it begins."""

    @property
    def box(self) -> Box:
        """The pixels that it covers."""
        width = LETTER * len(self.name)
        start = self.x - width if self.left else self.x
        return (start, self.y - LINE + 2, start + width, self.y + 2)


def labels(named: Sequence[tuple[str, Place]], marks: Iterable[Place], area: Box) -> list[Label]:
    """A place for each name, clear of the marks and of one another; where there is no such, the first."""
    taken = [(x - AIR, y - AIR, x + AIR, y + AIR) for x, y in marks]
    found = []
    for name, point in named:
        sides = list(_sides(name, point))
        free = (side for side in sides if _within(side.box, area) and not any(_meet(side.box, box) for box in taken))
        found.append(next(free, sides[0]))
        taken.append(found[-1].box)
    return found


def _sides(name: str, point: Place) -> Iterator[Label]:
    x, y = point
    yield from (Label(name, round(x + side, 1), round(y + rise, 1), side < 0) for side, rise in SIDES)


def _within(box: Box, area: Box) -> bool:
    return area[0] <= box[0] and area[1] <= box[1] and box[2] <= area[2] and box[3] <= area[3]


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
