"""Taking fingerprints: the runs that identify an item or a document and hardly occur elsewhere by chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np

from judgement.fingerprints.index import _FORMAT, BASE, NGRAM, NGRAMS, Fingerprints, Hashes, tag
from judgement.fingerprints.questions import BANDS, mix, near_sums
from judgement.fingerprints.tokens import contents, number, question_tokens, words

DISTINCTIVE = 12
"""Characters of contents that hardly coincide by chance."""

FEWEST_WORDS = 3
"""Fewest words that count as a copy."""

SHORT = 5
"""Fewest words of a document that is fingerprinted as a whole because it is too short for n-grams."""

TEMPLATE = 0.01
"""An n-gram in more than this share of a task's documents, and in more than two, belongs to the template."""

PER_ITEM = {"alone": 6, "prefix": 3, "answered": 3}
"""Most hashes of each kind that an item with three wordings has."""

_MASK = (1 << 64) - 1


@dataclass
class Prints:
    """Fingerprints under construction."""

    runs: dict[str, dict[int, set[int]]] = field(default_factory=dict)
    """Kind and length -> sums of the runs' tokens."""

    def item(self, prompts: Iterable[str], answer: str) -> None:
        """Add an item with all its wordings."""
        for prompt in prompts:
            if len(prompt_words := words(prompt)) >= FEWEST_WORDS:
                self._run("words", prompt_words)
            run = contents(prompt)
            if sum(map(len, run)) >= DISTINCTIVE:
                self._run("contents", run)
            elif run and len(result := contents(answer)) == 1:
                self._run("prefix", run)
                self._run("answered", run + result)

    def question(self, prompt: str, answer: str) -> None:
        """Add a question of a suite: copies of it, and near-copies with its answer or with an unknown one."""
        tokens = question_tokens(prompt)
        if tokens:
            self._run("question", tokens)
        for stated_answer in dict.fromkeys((answer, "")):
            self.runs.setdefault("near", {}).setdefault(BANDS, set()).update(near_sums(prompt, stated_answer))

    def documents(self, texts: Sequence[str], *, questions: bool = False) -> None:
        """Add the documents of one task; n-grams that many of them share belong to its template and identify none.

        With `questions`, a document is also recognised as a whole, for rows with a question.
        """
        for text in texts if questions else ():
            if tokens := question_tokens(text):
                self._run("question", tokens)
        documents = [words(text) for text in texts]
        grams = [{tuple(doc[at : at + NGRAM]) for at in range(len(doc) - NGRAM + 1)} for doc in documents]
        counts = Counter(gram for in_document in grams for gram in in_document)
        most = max(2, TEMPLATE * len(texts))
        for gram, count in counts.items():
            if count <= most:
                self._run("ngram", gram)
        for doc in documents:
            if SHORT <= len(doc) < NGRAM + NGRAMS - 1:
                self._run("words", doc)

    def fingerprints(self, salt: int, items: int = 0, pads: Random | None = None) -> Fingerprints:
        """The file's content. With `pads`, sizes are those of `items` items, however many of their hashes coincide."""
        hashed = {
            "alone": [*self._hashes("words", salt), *self._hashes("contents", salt)],
            "prefix": self._hashes("prefix", salt),
            "answered": self._hashes("answered", salt),
            "ngram": self._hashes("ngram", salt),
        }
        hashed |= {kind: self._hashes(kind, salt) for kind in ("question", "near") if kind in self.runs}
        arrays = {kind: np.unique(np.concatenate([np.zeros(0, np.uint64), *parts])) for kind, parts in hashed.items()}
        if pads:
            arrays |= {kind: _padded(arrays[kind], items * most, pads) for kind, most in PER_ITEM.items()}
        lengths = {
            f"{kind}_lengths": np.array(sorted(self.runs.get(kind, ())), dtype=np.int64)
            for kind in ("words", "contents", "prefix", *(("question",) if "question" in self.runs else ()))
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
    """The hashes among random ones, which look the same, so that the size reveals nothing."""
    missing = max(0, size - len(hashes))
    random = np.frombuffer(pads.randbytes(8 * missing), dtype=np.uint64)
    return np.sort(np.concatenate((hashes, random)))
