"""The interface of a suite: items for each set, and a score for each answer.

A suite is opened from its part of the campaign file with the `Places` of the process that opens it. It holds a *pool*
of items per set and domain, or it *generates* as many as are asked. Which of them are measured is decided by the holder
of the sealed key alone (`services.oracle.sets`).

Scores follow TRL's convention for reward functions: `score(prompts, completions, **columns)` on lists, values in
[0, 1], None for an answer that the function does not judge. The same function is dev, confirm, target and final metric,
reward of GRPO, verifier of training data and what `aevolve rescore` calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from schemas.campaign import ItemSet
from schemas.scores import Kind
from schemas.suites import SuitePin
from tasks.item import Item

Scores = list[float | None]
Score = Callable[..., Scores]
"""`score(prompts, completions, **columns)`; each column is a list as long as the prompts, `answer` among them."""


class SuiteRefused(ValueError):
    """A suite that cannot be measured as the campaign says; the message names field, value and remedy."""


class ItemsChanged(Exception):
    """The items or the code of a suite are not those that the campaign recorded at its start."""


class Places(Protocol):
    """Where this process finds what a campaign names."""

    def items(self, name: str) -> Path:
        """A file of items. Raises `SuiteRefused`."""

    def code(self, name: str) -> Path:
        """A file of a user's code, in a folder of the operator. Raises `SuiteRefused`."""

    def code_sha256(self, target: str) -> str:
        """Hash of a user's code: of a file `FILE.py`, or of a package's sources. Raises `SuiteRefused`."""

    def call(self, target: str, function: str, arguments: Mapping[str, Any]) -> Any:
        """Call a function of a user's code (`FILE.py` or a package) in a process without secrets.

        Arguments and result are JSON values. Raises `UserCodeFailed`.
        """


class UserCodeFailed(Exception):
    """A user's function raised, did not answer in time, or returned no JSON; the message quotes its last line."""


class Suite(Protocol):
    """An opened suite."""

    name: str
    """Its name in the campaign."""

    def pin(self) -> SuitePin:
        """What it holds now. Raises `SuiteRefused`."""

    def pool(self, kind: Kind, domain: str) -> Sequence[Item] | None:
        """All items of a set and domain, in a fixed order; None where they are generated."""

    def generate(self, kind: Kind, domain: str, spec: ItemSet, seed: str) -> list[Item]:
        """`spec.items` items, the same for the same arguments; for a suite without a pool."""

    def training(self, n: int, seed: str) -> list[Item]:
        """Training rows: at most `n` generated ones, or all that it holds; none for a suite of evaluation items."""

    def score(self, prompts: Sequence[str], completions: Sequence[str], **columns: Sequence[Any]) -> Scores:
        """The suite's own score, for a campaign that names no scorer."""
