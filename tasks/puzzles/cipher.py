"""Cipher: letters are secretly replaced; the query uses only letters that the examples show, or that a shift implies.

Difficulty 1: a shift by 1 to 3 in the circle of ten letters, words of three. 2: a shift by 4 to 6, words of four.
3: any substitution, two words of five letters each, which together show every letter.
"""

from __future__ import annotations

from random import Random

from tasks.puzzles.family import Examples, Family, Problem, Solution, Wording

LETTERS = "abcdefghij"

SHIFTS = {1: (1, 3), 2: (4, 6)}
LENGTH = {1: 3, 2: 4, 3: 5}


def pose(rng: Random, difficulty: int) -> Problem:
    """Words and a query under one hidden key."""
    length = LENGTH[difficulty]
    query = "".join(rng.choices(LETTERS, k=length))
    if difficulty < 3:
        key, words = shifted(rng.randint(*SHIFTS[difficulty])), ["".join(rng.choices(LETTERS, k=length))]
    else:
        key = dict(zip(LETTERS, rng.sample(LETTERS, len(LETTERS)), strict=True))
        shuffled = "".join(rng.sample(LETTERS, len(LETTERS)))
        words = [shuffled[:length], shuffled[length:]]
    return Problem(tuple((word, encode(word, key)) for word in words), query, f"{query} {encode(query, key)}")


def solve(examples: Examples, query: str) -> Solution:
    """Read the key off the examples, as a shift where one fits all pairs, then replace letter by letter."""
    key = {plain: secret for word, code in examples for plain, secret in zip(word, code, strict=True)}
    (first, secret), *_ = key.items()
    shift = (LETTERS.index(secret) - LETTERS.index(first)) % len(LETTERS)
    fits = shifted(shift)
    if all(fits[plain] == image for plain, image in key.items()):
        return Solution(encode(query, fits), f"+{shift}")
    return Solution(encode(query, key), " ".join(f"{letter}={key[letter]}" for letter in query))


def shifted(shift: int) -> dict[str, str]:
    """The key that moves each letter on in the circle."""
    return {letter: LETTERS[(at + shift) % len(LETTERS)] for at, letter in enumerate(LETTERS)}


def encode(word: str, key: dict[str, str]) -> str:
    """The word with each letter replaced."""
    return "".join(key[letter] for letter in word)


CIPHER = Family(
    "cipher",
    pose,
    solve,
    (
        Wording("{examples} {query}->?"),
        Wording("The secret of {examples} . What is the secret of {query} ?", "{input} is {output}", " and of "),
        Wording(
            "In Alice's Wonderland letters are secretly changed: {examples} . Now change {query} .",
            "{input} to {output}",
            ", ",
        ),
    ),
)
