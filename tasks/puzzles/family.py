"""A family is a way to pose problems, a solver that needs only what the prompt shows, and three ways to word them.

The solver never sees the hidden rule: it derives it from the examples, so a prompt that it can answer is answerable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

Examples = tuple[tuple[str, str], ...]
"""Pairs of an input and its output."""


@dataclass(frozen=True)
class Problem:
    """What a prompt shows, and the core that decides its split."""

    examples: Examples
    query: str
    core: str
    """Hidden rule and query: all that could be learned by heart. Examples and wording are not part of it."""


@dataclass(frozen=True)
class Solution:
    """The answer and the worked steps to it."""

    answer: str
    trace: str


@dataclass(frozen=True)
class Wording:
    """One way to ask."""

    question: str
    """Format of the prompt, with `{query}` and, where the family has examples, `{examples}`."""
    example: str = "{input}->{output}"
    """Format of one example, with `{input}` and `{output}`."""
    joint: str = " "
    """Separator of two examples."""

    def ask(self, problem: Problem) -> str:
        """The prompt of a problem."""
        shown = (self.example.format(input=source, output=result) for source, result in problem.examples)
        return self.question.format(examples=self.joint.join(shown), query=problem.query)


@dataclass(frozen=True)
class Family:
    """One family of puzzles."""

    name: str
    """Domain, one of `schemas.campaign.DOMAINS`."""
    pose: Callable[[Random, int], Problem]
    """A random problem of a difficulty, 1 to 3."""
    solve: Callable[[Examples, str], Solution]
    """The solution, from the examples and the query alone."""
    wordings: tuple[Wording, Wording, Wording]
    """Wording 0 is terse, 2 opens in Wonderland."""
    words: tuple[str, ...] = ()
    """Words that only traces use."""
