"""Texts to measure on, made on the spot: varied, mostly clean, and with everything in them that a stage looks for.

Sentences come from a Markov chain of the second order over the manual pages that Python carries; a page is some dozens
of them in paragraphs. A twentieth of the pages is another page with a few words changed, and as many again hold
personal data, are in German, repeat themselves, are lists, or swear. The same seed gives the same pages under one
Python.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pydoc_data.topics import topics
from random import Random

from schemas.rows import Row

POOL = 20_000
"""Sentences that pages are put together from."""

PROSE = re.compile(r"[A-Z][A-Za-z' ,]{30,}[a-z]\.(?=\s)")
GERMAN = (
    "Der Ausschuss traf sich am Dienstag, um die neue Bibliothek zu besprechen.",
    "Viele Leute der Stadt hatten darum gebeten, und das Geld war da.",
    "Am Nachmittag wurden die Zeichnungen gezeigt, und es gab Fragen zum Licht.",
)
PERSONAL = (
    "Write to jane.doe{n}@mail{n}.example.org for more.",
    "The office can be called at (650) 253-{n:04d} in the morning.",
    "It was sent from 8.8.{a}.{b} last night.",
)


def rows(seed: int, count: int | None = None) -> Iterator[Row]:
    """`count` pages as rows, or endlessly many."""
    rng, last = Random(seed), "None yet."
    number = 0
    while count is None or number < count:
        last = _page(rng, last)
        yield Row("web", 0, 0, "", "", last, f"{seed}/{number}", "bench", f"bench:{seed}/{number}")
        number += 1


def sentences() -> tuple[str, ...]:
    """The pool."""
    return _pool()


@cache
def _pool() -> tuple[str, ...]:
    rng, after = Random("pool"), defaultdict[tuple[str, str], list[str]](list)
    starts = []
    for text in topics.values():
        for sentence in PROSE.findall(" ".join(text.split())):
            words = sentence.split()
            starts.append((words[0], words[1]))
            for one, two, three in zip(words, words[1:], words[2:], strict=False):
                after[one, two].append(three)
    return tuple(" ".join(_walk(rng, after, rng.choice(starts))) for _ in range(POOL))


def _walk(rng: Random, after: dict[tuple[str, str], list[str]], pair: tuple[str, str]) -> Iterator[str]:
    yield from pair
    for _ in range(40):
        if not (following := after.get(pair)):
            return
        pair = (pair[1], rng.choice(following))
        yield pair[1]


def _page(rng: Random, last: str) -> str:
    kind = rng.random()
    if kind < 0.05:
        return _altered(rng, last)
    if kind < 0.06:
        return " ".join(rng.choices(GERMAN, k=12))
    if kind < 0.07:
        return " ".join([rng.choice(_pool())] * 12)
    if kind < 0.08:
        return "\n".join(rng.sample(rng.choice(_pool()).split() * 9, 18))
    page = "\n\n".join(" ".join(rng.choices(_pool(), k=rng.randint(3, 8))) for _ in range(rng.randint(2, 9)))
    if kind < 0.12:
        page += " " + rng.choice(PERSONAL).format(n=rng.randrange(10_000), a=rng.randrange(256), b=rng.randrange(256))
    return page + " What a fuckin mess." if kind > 0.99 else page


def _altered(rng: Random, page: str) -> str:
    words = page.split(" ")
    for _ in range(max(1, len(words) // 200)):
        words[rng.randrange(len(words))] = "altered"
    return " ".join(words)
