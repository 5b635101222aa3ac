"""Writes the word problems of this example: train.jsonl, dev.jsonl and target.jsonl, always the same.

Five kinds of problems. Dev has two of them, in one step and with small numbers, as people begin with; the target has
the three others, in two steps and with larger numbers. The training rows have all five, so a campaign can find the mix
that helps the target. Every row has `question`, `steps`, `answer` and `kind`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

NAMES = ("Ana", "Ben", "Chloe", "Dan", "Eva", "Finn", "Gita", "Hugo", "Ines", "Jon", "Kim", "Lena", "Max", "Nora")
THINGS = ("apples", "books", "coins", "pens", "shells", "stamps", "cards", "marbles", "eggs", "cups")

Problem = tuple[str, str, int]
"""Question, worked steps, answer."""


def gain(rng: Random, most: int) -> Problem:
    """One addition."""
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    a, b = rng.randint(2, most), rng.randint(2, most)
    text = f"{name} has {a} {thing} and gets {b} more. How many {thing} does {name} have?"
    return text, f"{a} + {b} = {a + b}", a + b


def loss(rng: Random, most: int) -> Problem:
    """One subtraction."""
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    b = rng.randint(2, most - 1)
    a = rng.randint(b + 1, most)
    return f"{name} has {a} {thing} and loses {b}. How many {thing} are left?", f"{a} - {b} = {a - b}", a - b


def boxes(rng: Random, most: int) -> Problem:
    """A product and a sum."""
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    a, b, c = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, most)
    text = f"{name} buys {a} boxes of {b} {thing} and has {c} {thing} at home. How many {thing} are there in all?"
    return text, f"{a} * {b} = {a * b}\n{a * b} + {c} = {a * b + c}", a * b + c


def both(rng: Random, most: int) -> Problem:
    """A sum and a difference."""
    name, other = rng.sample(NAMES, 2)
    thing = rng.choice(THINGS)
    a, b = rng.randint(3, most), rng.randint(3, most)
    c = rng.randint(2, a + b - 1)
    text = f"{name} has {a} {thing} and {other} has {b}. Together they give away {c}. How many {thing} remain?"
    return text, f"{a} + {b} = {a + b}\n{a + b} - {c} = {a + b - c}", a + b - c


def share(rng: Random, most: int) -> Problem:
    """A difference and a quotient."""
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    friends, each, own = rng.randint(2, 6), rng.randint(2, 9), rng.randint(2, most)
    total = friends * each + own
    text = f"{name} has {total} {thing}, keeps {own} and shares the rest among {friends} friends. What does each get?"
    return text, f"{total} - {own} = {friends * each}\n{friends * each} / {friends} = {each}", each


KINDS: dict[str, Callable[[Random, int], Problem]] = {
    "gain": gain,
    "loss": loss,
    "boxes": boxes,
    "both": both,
    "share": share,
}

DEV, TARGET = ("gain", "loss"), ("boxes", "both", "share")


def problems(kinds: tuple[str, ...], n: int, most: int, rng: Random, used: set[str]) -> list[dict[str, str]]:
    """`n` problems of each kind with numbers up to `most`; none whose question is in `used`."""
    rows: list[dict[str, str]] = []
    for kind in kinds:
        count = 0
        while count < n:
            question, steps, answer = KINDS[kind](rng, most)
            if question not in used:
                used.add(question)
                rows.append({"question": question, "steps": steps, "answer": str(answer), "kind": kind})
                count += 1
    rng.shuffle(rows)
    return rows


def main(folder: Path = Path(__file__).parent) -> None:
    """Write the three files."""
    rng, used = Random(0), set[str]()
    files = {
        "dev": problems(DEV, 600, 20, rng, used),
        "target": problems(TARGET, 140, 40, rng, used),
        "train": problems(DEV, 300, 20, rng, used) + problems(TARGET, 300, 40, rng, used),
    }
    for name, rows in files.items():
        lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main()
