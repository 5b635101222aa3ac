"""A receipt lists the model's output for every item, so that the holder of the key can recompute the score.

One JSON line per item: domain, item id, output, verdict, and the right answer's keyed hash; of a suite's item, also its
score and the parts that it is made of. Prompts and answers stay sealed. The file is named by its own hash: equal
measurements give one file.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import Field

from judgement.statistics import combined, mean_score
from schemas.base import Frozen, Grown, Name, Sha256, Share, canonical_json
from schemas.scores import Receipt, Scores
from services.oracle.job import NothingScored
from services.oracle.sets import seal
from services.runtime.storage import artifacts
from tasks.item import Item
from tasks.puzzles.scorer import correct
from tasks.scoring import Judged

Model = TypeVar("Model", bound=Frozen)


class Line(Grown):
    """One item of a receipt."""

    LATER = ("value", "parts", "scored")

    domain: Name
    """Family, or domain of a suite."""
    item: str
    """Id of the worded item."""
    output: str
    """What the model wrote after the prompt."""
    correct: bool
    """The scorer's verdict: whether the score is 1."""
    answer: Sha256 = Field(repr=False)
    """Keyed hash of the right answer."""
    value: Share | None = None
    """Score of a suite's item."""
    parts: dict[str, Share | None] = Field(default_factory=dict)
    """The score by scorer where a suite has several; None for one that does not judge the answer."""
    scored: bool = True
    """Whether any scorer judges the answer; it does not count otherwise."""

    @property
    def points(self) -> float:
        """Score of an answer that is scored."""
        return float(self.correct) if self.value is None else self.value


class ReceiptForged(Exception):
    """A receipt does not fit its hash, its set or its verdicts."""


def line(item: Item, output: str, verdict: bool, key: bytes) -> Line:
    """The receipt of one item."""
    answer = seal(key, f"{item.id}/{item.answer}")
    return Line(domain=item.domain, item=item.id, output=output, correct=verdict, answer=answer)


def suite_lines(items: Sequence[Item], outputs: Sequence[str], judged: Judged, key: bytes) -> list[Line]:
    """The receipt of items that a suite's scorers have judged."""
    lines = []
    for at, (item, output, value) in enumerate(zip(items, outputs, judged.values, strict=True)):
        more = {
            "value": value,
            "parts": {name: values[at] for name, values in judged.parts.items()},
            "scored": value is not None,
        }
        verdict = value is not None and value >= 1
        plain = line(item, output, verdict, key)
        lines.append(Line(**plain.model_dump(), **more))
    return lines


def count(lines: Iterable[Line]) -> Scores:
    """Scores over the lines: the mean over the domains of the means over their items.

    Items that no scorer judges are left out. Raises `NothingScored` for a domain without any other.
    """
    values: dict[str, list[float]] = defaultdict(list)
    for entry in lines:
        values[entry.domain].extend([entry.points] if entry.scored else [])
    if empty := [domain for domain, points in values.items() if not points]:
        raise NothingScored(
            f"score: no answer of the domain {empty[0]} got a score, only None; correct the suite's scorers or the "
            "reference answers"
        )
    return combined({domain: mean_score(points) for domain, points in values.items()})


def write(lines: Sequence[Frozen], out: str | Path) -> Receipt:
    """Write the receipt to `out/<sha256>.jsonl`."""
    return keep("".join(f"{canonical_json(entry)}\n" for entry in lines).encode(), out, ".jsonl")


def keep(data: bytes, out: str | Path, suffix: str) -> Receipt:
    """Write bytes to a file that is named by their hash; it appears whole."""
    sha256 = hashlib.sha256(data).hexdigest()
    uri = artifacts.join(str(out), f"{sha256}{suffix}")
    artifacts.write_once(uri, lambda: data)
    return Receipt(uri=uri, sha256=sha256)


def read_bytes(receipt: Receipt, path: str) -> bytes:
    """The bytes of a receipt. Raises `FileNotFoundError`, or `ReceiptForged` if their hash is not the recorded one."""
    data = artifacts.read(path)
    if (actual := hashlib.sha256(data).hexdigest()) != receipt.sha256:
        raise ReceiptForged(f"receipt {path}: its hash is {actual}, recorded is {receipt.sha256}; measure again")
    return data


def read(receipt: Receipt, path: str, model: type[Model]) -> list[Model]:
    """The lines of a receipt. Raises `FileNotFoundError`, or `ReceiptForged` for a wrong hash or an invalid line."""
    data = read_bytes(receipt, path)
    try:
        return [model.model_validate_json(text) for text in data.decode().split("\n") if text]
    except ValueError as error:
        words = f"receipt {path}: holds a line that is no {model.__name__.lower()} of a receipt; measure again"
        raise ReceiptForged(words) from error


def rescore(receipt: Receipt, items: Mapping[str, Sequence[Item]], key: bytes, path: str | None = None) -> Scores:
    """The scores of puzzles again, from the receipt's outputs and the set's items; see `compare`."""

    def again(outputs: Sequence[str]) -> list[Line]:
        flat = [item for domain in items.values() for item in domain]
        pairs = zip(flat, outputs, strict=True)
        return [line(item, output, correct(item.prompt, output, item.answer), key) for item, output in pairs]

    return compare(receipt, [item.id for domain in items.values() for item in domain], again, path)


def compare(
    receipt: Receipt, expected: Sequence[str], again: Callable[[Sequence[str]], list[Line]], path: str | None = None
) -> Scores:
    """The scores again: `again` gives the lines of outputs; the file may have been moved to `path`.

    Raises `ReceiptForged` where the file's hash, an item, an answer's keyed hash, a score or a verdict is not what it
    should be.
    """
    path = path or receipt.uri
    lines = read(receipt, path, Line)
    if [entry.item for entry in lines] != list(expected):
        raise ReceiptForged(f"receipt {path}: its items are not those of the set; check the set's key and nonce")
    for entry, right in zip(lines, again([entry.output for entry in lines]), strict=True):
        if entry != right:
            raise ReceiptForged(f"receipt {path}: item {entry.item} {_difference(entry, right)}; measure again")
    return count(lines)


def _difference(entry: Line, right: Line) -> str:
    if entry.correct != right.correct:
        return f"is not {entry.correct}"
    if (entry.value, entry.parts, entry.scored) != (right.value, right.parts, right.scored):
        return f"has the score {entry.value}, its output gets {right.value}"
    return "has another answer than the set's"
