"""Fingerprints: hashes by which a text is recognised, and from which it cannot be read.

They are of runs of tokens, in two readings (`judgement.fingerprints.tokens`). A run may be enough *alone*: a copy of
the words, or contents that hardly coincide by chance. Contents that are too few for that are a *prefix*, and count only
with the right answer among the contents after them. Documents, which are longer, are recognised by several of their
*n-grams*. Questions of suites are recognised by `judgement.fingerprints.questions`.

Rows with a question are often made from templates, whose n-grams they share with documents that ask something else. So
a document is recognised in them by nearly all n-grams of the question.

Anybody who holds the file can test a guess on it. What keeps a set sealed is therefore not the hash but the number of
other items that its own are hidden among: see `services.oracle.fingerprints.publish`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from judgement.fingerprints.questions import BANDS, WHOLE, mix, near_sums, token_numbers
from judgement.fingerprints.tokens import question_tokens, readings

NGRAM = 8
"""Words of an n-gram of a document."""

NGRAMS = 3
"""N-grams of documents that a row must share: a single one may be a common phrase."""

AFTER = 96
"""Contents after a prefix in which its answer is searched: worked steps may come between."""

CARRIED = 32
"""Tokens of the source's previous row that are read together with a row: an item may be split over two rows."""

SPLIT = 2
"""Tokens of a split item that must be in the previous row: with one, items of one template match each other."""

U64, U8 = np.uint64, np.uint8
BASE = 0x9E3779B97F4A7C15
Hashes = npt.NDArray[np.uint64]

COVERED = 0.8
"""Share of a question's n-grams that must be a document's, so that the row is a copy of it."""

KINDS = ("words", "contents", "prefix", "answered", "ngram", "question", "near")
_KIND = {kind: 0xD1342543DE82EF95 * (at + 1) & (1 << 64) - 1 for at, kind in enumerate(KINDS)}
_BIT = np.array([1 << bit for bit in range(8)], dtype=U8)
_REASONS = {"words": "copy", "contents": "contents"}
_FORMAT = 1


class Readable(Protocol):
    """The fields of a row that are read."""

    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def prompt(self) -> str: ...  # noqa: D102
    @property
    def trace(self) -> str: ...  # noqa: D102
    @property
    def answer(self) -> str: ...  # noqa: D102


def tag(kind: str, length: int, salt: int) -> np.uint64:
    """A number that separates the hashes of one kind and length from all others."""
    with np.errstate(over="ignore"):
        return np.uint64(mix(np.array([_KIND[kind] ^ salt, length], dtype=U64)).sum())


def rolled(tokens: Hashes, lengths: Sequence[int]) -> Iterator[Hashes]:
    """Sums of all runs of each length by their start; `lengths` ascend."""
    sums, longest = np.zeros(len(tokens) + 1, dtype=U64), 0
    for length in lengths:
        for longer in range(longest + 1, min(length, len(tokens)) + 1):
            sums = sums[:-1] * U64(BASE) + tokens[longer - 1 :]  # modulo 2^64: numpy arrays wrap silently
        longest = length
        yield sums if length <= len(tokens) else sums[:0]


class Member:
    """A sorted set of hashes behind a Bloom filter of two bits: nearly all queries are absent from the set."""

    def __init__(self, hashes: Hashes) -> None:
        self.hashes = hashes
        self.bits = max(16, min(29, (16 * len(hashes)).bit_length() + 1))
        self.map = np.zeros(1 << self.bits - 3, dtype=np.uint8)
        for place in self._places(hashes):
            np.bitwise_or.at(self.map, place >> U64(3), U8(1) << (place & U64(7)).astype(U8))

    def hits(self, queries: Hashes) -> npt.NDArray[np.signedinteger[Any]]:
        """Indices of the queries that are in the set."""
        first, _ = self._places(queries)
        maybe = np.flatnonzero(self._set(first))
        if len(maybe):
            _, second = self._places(queries[maybe])
            maybe = maybe[self._set(second) != 0]
        if not len(maybe):
            return maybe
        nearest = np.minimum(np.searchsorted(self.hashes, queries[maybe]), len(self.hashes) - 1)
        present: npt.NDArray[np.signedinteger[Any]] = maybe[self.hashes[nearest] == queries[maybe]]
        return present

    def _set(self, place: Hashes) -> npt.NDArray[np.uint8]:
        bits: npt.NDArray[np.uint8] = self.map[place >> U64(3)] & _BIT[place & U64(7)]
        return bits

    def _places(self, hashes: Hashes) -> tuple[Hashes, Hashes]:
        return hashes >> U64(64 - self.bits), hashes & U64((1 << self.bits) - 1)


class Fingerprints:
    """A file of fingerprints, and its verdict on rows; each source's rows must come in their order."""

    def __init__(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        if int(arrays["format"]) != _FORMAT:
            raise ValueError(
                f"fingerprints: format {arrays['format']}, this release reads {_FORMAT}; publish them anew"
            )
        self.arrays, self.salt = arrays, int(arrays["salt"])
        self.members = {kind: Member(arrays[kind]) for kind in ("alone", "prefix", "answered", "ngram")}
        self.lengths = {kind: arrays[f"{kind}_lengths"].tolist() for kind in ("words", "contents", "prefix")}
        self.lengths["prefix"] = [length for length in self.lengths["prefix"] if length > 1]
        self.lengths["ngram"] = [NGRAM]
        lengths: list[int] = arrays["question_lengths"].tolist() if "question_lengths" in arrays else []
        self.lengths["question"] = [length for length in lengths if length >= WHOLE]
        self.members |= {kind: Member(arrays[kind]) for kind in ("question", "near") if kind in arrays}
        self.before: dict[str, tuple[Hashes, Hashes]] = {}
        """The last tokens of each source's last row."""
        self._tags: dict[tuple[str, int], np.uint64] = {}

    @classmethod
    def load(cls, path: str | Path) -> Fingerprints:
        """The fingerprints in a file. Raises `ValueError` for another format."""
        return cls.from_bytes(Path(path).read_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Fingerprints:
        """The fingerprints in a file's bytes."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return cls(dict(arrays))

    def to_bytes(self) -> bytes:
        """The file: the same for the same fingerprints."""
        np.savez(file := io.BytesIO(), allow_pickle=False, **self.arrays)
        return file.getvalue()

    def __len__(self) -> int:
        return sum(len(member.hashes) for member in self.members.values())

    def contaminated(self, row: Readable) -> str | None:
        """Why a row must be dropped; None if it shares nothing with the fingerprinted items and documents.

        `copy`, `contents`, `answered` or `document`, with ` split` if it completes its source's previous row;
        `question` or `near` for a suite's question.
        """
        words, contents = readings(f"{row.prompt}\n{row.trace}\n{row.answer}")
        none = np.zeros(0, dtype=U64)
        words_before, contents_before = self.before.get(row.source, (none, none))
        self.before[row.source] = words[-CARRIED:], contents[-CARRIED:]
        return (
            self._standalone("words", words_before, words)
            or self._standalone("contents", contents_before, contents)
            or self._answered(contents_before, contents)
            or (self._asked_document(row.prompt) if row.prompt else self._document(words))
            or self._question(row)
        )

    def _standalone(self, kind: str, before: Hashes, tokens: Hashes) -> str | None:
        for start, end in self._hits(kind, "alone", np.concatenate((before, tokens))):
            if start >= len(before):
                return _REASONS[kind]
            if start <= len(before) - SPLIT and end > len(before):
                return f"{_REASONS[kind]} split"
        return None

    def _answered(self, before: Hashes, tokens: Hashes) -> str | None:
        both, carried = np.concatenate((before, tokens)), len(before)
        if self._is_answered(tokens, 0, 1, tokens[-1:]):  # a single content must begin the row, its answer end it
            return "answered"
        for start, end in self._hits("prefix", "prefix", both):
            inside = start >= carried
            if (inside or start <= carried - SPLIT) and self._is_answered(
                both, start, end, both[max(end, carried) : end + AFTER]
            ):
                return "answered" if inside else "answered split"
        return None

    def _is_answered(self, tokens: Hashes, start: int, end: int, answers: Hashes) -> bool:
        """Whether any of the answers is right for the prefix; False if it is no prefix."""
        if end > len(tokens):
            return False
        (sums,) = rolled(tokens[start:end], [end - start])
        hashes = mix((sums * U64(BASE) + answers) ^ self._tag("answered", end - start + 1))
        return len(self.members["answered"].hits(hashes)) > 0

    def _document(self, tokens: Hashes) -> str | None:
        if not len(self.members["ngram"].hashes):
            return None
        return "document" if len(list(self._hits("ngram", "ngram", tokens))) >= NGRAMS else None

    def _asked_document(self, prompt: str) -> str | None:
        """Whether a question is that of a document: it has nearly all of its n-grams."""
        if not len(self.members["ngram"].hashes):
            return None
        tokens, _ = readings(prompt)
        grams = max(0, len(tokens) - NGRAM + 1)
        hits = len({start for start, _ in self._hits("ngram", "ngram", tokens)})
        return "document" if hits >= NGRAMS and hits >= COVERED * grams else None

    def _question(self, row: Readable) -> str | None:
        """Whether a row holds a suite's question, or asks nearly the same."""
        if "question" not in self.members:
            return None
        answered = f"{row.prompt}\n{row.answer}"
        for text in ("\n".join((row.prompt, row.trace, row.answer, getattr(row, "rejected", ""))), answered):
            if next(self._hits("question", "question", token_numbers(question_tokens(text))), None):
                return "question"
        if not row.prompt:
            return None
        for text in (row.prompt, answered):
            question_numbers = token_numbers(question_tokens(text))
            (sums,) = rolled(question_numbers, [len(question_numbers)])
            short = 0 < len(question_numbers) < WHOLE
            if short and len(self.members["question"].hits(mix(sums ^ self._tag("question", len(question_numbers))))):
                return "question"
        sums = np.array(near_sums(row.prompt, row.answer), dtype=U64)
        return (
            "near"
            if "near" in self.members and len(self.members["near"].hits(mix(sums ^ self._tag("near", BANDS))))
            else None
        )

    def _hits(self, kind: str, member: str, tokens: Hashes) -> Iterator[tuple[int, int]]:
        """Start and end of each run that is in the set."""
        lengths = self.lengths[kind]
        runs = [sums ^ self._tag(kind, length) for length, sums in zip(lengths, rolled(tokens, lengths), strict=True)]
        if not runs:
            return
        ends = np.cumsum([len(run) for run in runs])
        for at in self.members[member].hits(mix(np.concatenate(runs))).tolist():
            which = int(np.searchsorted(ends, at, side="right"))
            start = at - int(ends[which]) + len(runs[which])
            yield start, start + lengths[which]

    def _tag(self, kind: str, length: int) -> np.uint64:
        if (kind, length) not in self._tags:
            self._tags[kind, length] = tag(kind, length, self.salt)
        return self._tags[kind, length]
