"""Taking fingerprints: which runs of an item or a document tell it, by what could as well be somebody else's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np

from judgement.fingerprints.index import _FORMAT, BASE, NGRAM, NGRAMS, Fingerprints, Hashes, mix, tag
from judgement.fingerprints.tokens import contents, number, words

TELLING = 12
"""Characters of contents that hardly meet by chance."""

FEWEST_WORDS = 3
"""Words of a copy."""

SHORT = 5
"""Words of a document that is told as a whole, where it is too short for n-grams."""

TEMPLATE = 0.01
"""An n-gram in more than this share of a task's documents, and in more than two, is of its template."""

PER_ITEM = {"alone": 6, "prefix": 3, "answered": 3}
"""Most hashes of each kind that an item with three wordings has."""

_MASK = (1 << 64) - 1


@dataclass
class Prints:
    """Fingerprints that are being taken."""

    runs: dict[str, dict[int, set[int]]] = field(default_factory=dict)
    """Kind and length -> sums of the runs' tokens."""

    def item(self, prompts: Iterable[str], answer: str) -> None:
        """An item, worded in each way that it may be."""
        for prompt in prompts:
            if len(said := words(prompt)) >= FEWEST_WORDS:
                self._run("words", said)
            about = contents(prompt)
            if sum(map(len, about)) >= TELLING:
                self._run("contents", about)
            elif about and len(result := contents(answer)) == 1:
                self._run("prefix", about)
                self._run("answered", about + result)

    def documents(self, texts: Sequence[str]) -> None:
        """The documents of one task; what many of them share is its template and tells none."""
        told = [words(text) for text in texts]
        grams = [{tuple(said[at : at + NGRAM]) for at in range(len(said) - NGRAM + 1)} for said in told]
        often = Counter(gram for document in grams for gram in document)
        most = max(2, TEMPLATE * len(texts))
        for gram, documents in often.items():
            if documents <= most:
                self._run("ngram", gram)
        for said in told:
            if SHORT <= len(said) < NGRAM + NGRAMS - 1:
                self._run("words", said)

    def fingerprints(self, salt: int, items: int = 0, pads: Random | None = None) -> Fingerprints:
        """The file's content. With `pads`, sizes are those of `items` items, whatever the hashes had in common."""
        hashed = {
            "alone": [*self._hashes("words", salt), *self._hashes("contents", salt)],
            "prefix": self._hashes("prefix", salt),
            "answered": self._hashes("answered", salt),
            "ngram": self._hashes("ngram", salt),
        }
        arrays = {kind: np.unique(np.concatenate([np.zeros(0, np.uint64), *found])) for kind, found in hashed.items()}
        if pads:
            arrays |= {kind: _padded(arrays[kind], items * most, pads) for kind, most in PER_ITEM.items()}
        lengths = {
            f"{kind}_lengths": np.array(sorted(self.runs.get(kind, ())), dtype=np.int64)
            for kind in ("words", "contents", "prefix")
        }
        return Fingerprints(arrays | lengths | {"salt": np.array(salt, dtype=np.uint64), "format": np.array(_FORMAT)})

    def _run(self, kind: str, tokens: Sequence[str]) -> None:
        total = 0
        for token in tokens:
            total = (total * BASE + number(token)) & _MASK
        self.runs.setdefault(kind, {}).setdefault(len(tokens), set()).add(total)

    def _hashes(self, kind: str, salt: int) -> list[Hashes]:
        return [
            mix(np.fromiter(sums, dtype=np.uint64) ^ tag(kind, length, salt))
            for length, sums in self.runs.get(kind, {}).items()
        ]


def _padded(hashes: Hashes, size: int, pads: Random) -> Hashes:
    """The hashes among random ones, which look the same, so many that the size says nothing."""
    missing = max(0, size - len(hashes))
    made = np.frombuffer(pads.randbytes(8 * missing), dtype=np.uint64)
    return np.sort(np.concatenate((hashes, made)))
