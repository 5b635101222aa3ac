"""A receipt lists the model's output for every item, so that the holder of the key can recompute the score.

One JSON line per item: domain, item id, output, verdict, and the right answer's keyed hash. Prompts and answers stay
sealed. The file is named by its own hash: equal measurements give one file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import Field

from judgement.statistics import scores
from schemas.base import Frozen, Name, Sha256, canonical_json
from schemas.scores import Receipt, Scores
from services.oracle.sets import seal
from services.runtime.storage import artifacts
from tasks.item import Item
from tasks.puzzles.scorer import correct

Model = TypeVar("Model", bound=Frozen)


class Line(Frozen):
    """One item of a receipt."""

    domain: Name
    """Family."""
    item: str
    """Id of the worded item."""
    output: str
    """What the model wrote after the prompt."""
    correct: bool
    """The scorer's verdict."""
    answer: Sha256 = Field(repr=False)
    """Keyed hash of the right answer."""


class ReceiptForged(Exception):
    """A receipt does not fit its hash, its set or its verdicts."""


def line(item: Item, output: str, verdict: bool, key: bytes) -> Line:
    """The receipt of one item."""
    answer = seal(key, f"{item.id}/{item.answer}")
    return Line(domain=item.domain, item=item.id, output=output, correct=verdict, answer=answer)


def count(lines: Iterable[Line]) -> Scores:
    """Scores over the lines' verdicts."""
    counts: dict[str, tuple[int, int]] = {}
    for entry in lines:
        right, n = counts.get(entry.domain, (0, 0))
        counts[entry.domain] = (right + entry.correct, n + 1)
    return scores(counts)


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
        return [model.model_validate_json(text) for text in data.decode().splitlines()]
    except ValueError as error:
        words = f"receipt {path}: holds a line that is no {model.__name__.lower()} of a receipt; measure again"
        raise ReceiptForged(words) from error


def rescore(receipt: Receipt, items: Mapping[str, Sequence[Item]], key: bytes, path: str | None = None) -> Scores:
    """The scores again, from the receipt's outputs and the set's items; the file may have been moved to `path`.

    Raises `ReceiptForged` where the file's hash, an item, an answer's keyed hash or a verdict is not what it should be.
    """
    path = path or receipt.uri
    lines = read(receipt, path, Line)
    expected = [item for domain in items.values() for item in domain]
    if [entry.item for entry in lines] != [item.id for item in expected]:
        raise ReceiptForged(f"receipt {path}: its items are not those of the set; check the set's key and nonce")
    for entry, item in zip(lines, expected, strict=True):
        if entry != (again := line(item, entry.output, correct(item.prompt, entry.output, item.answer), key)):
            wrong = f"is not {entry.correct}" if entry.correct != again.correct else "has another answer than the set's"
            raise ReceiptForged(f"receipt {path}: item {entry.item} {wrong}; measure again")
    return count(lines)
