"""A suite's places without a process for a user's code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.suite import SuiteRefused


class FolderPlaces:
    """Files of one folder; there is no code."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def items(self, name: str) -> Path:
        if not (self.folder / name).exists():
            raise SuiteRefused(f"{name!r} does not exist")
        return self.folder / name

    def code(self, name: str) -> Path:
        raise SuiteRefused(f"{name!r} does not exist")

    def code_sha256(self, target: str) -> str:
        raise SuiteRefused(f"{target!r} does not exist")

    def call(self, target: str, function: str, arguments: Mapping[str, Any]) -> Any:
        raise SuiteRefused(f"{target!r} does not exist")


NOWHERE = FolderPlaces(Path("nowhere"))
"""Neither files nor code."""
