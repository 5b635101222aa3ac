"""Where a process finds the files and the code that a campaign names, by its settings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.runtime.folders import FolderRefused, guarded, opened, task_file
from services.runtime.settings import Settings
from services.runtime.storage.hashing import hash_source
from services.runtime.user_code import UserCode
from tasks.records import fingerprint
from tasks.suite import SuiteRefused


class SettingsPlaces:
    """The places of one process; it keeps a process per file of user code until it is closed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: dict[str, UserCode] = {}

    def items(self, name: str) -> Path:
        """A file of items, in a folder of `AEVOLVE_ORACLE_ITEMS` or of `AEVOLVE_TASK_PATH`. Raises `SuiteRefused`."""
        folders = [Path(folder) for folder in (self._settings.oracle_items or "").split(os.pathsep) if folder]
        for folder in folders:
            place = (folder / name).resolve()
            if place.exists() and place.is_relative_to(folder.resolve()):
                return place
        try:
            return task_file(name, self._settings)
        except FolderRefused as refused:
            looked = f" (AEVOLVE_ORACLE_ITEMS: {self._settings.oracle_items})" if folders else ""
            raise SuiteRefused(f"{refused}{looked}") from None

    def code(self, name: str) -> Path:
        """A file of code in a folder of `AEVOLVE_TASK_PATH`. Raises `SuiteRefused`."""
        try:
            return task_file(name, self._settings)
        except FolderRefused as refused:
            raise SuiteRefused(str(refused)) from None

    def code_sha256(self, target: str) -> str:
        """Hash of a file of code, or of a package's sources. Raises `SuiteRefused`."""
        if target.endswith(".py"):
            return fingerprint(self.code(target))
        try:
            return hash_source(target)
        except ModuleNotFoundError as error:
            raise SuiteRefused(f"{target}: {error}; install the package that has it") from None

    def call(self, target: str, function: str, arguments: Mapping[str, Any]) -> Any:
        """Call a function of a file or package in a process without secrets.

        Raises `UserCodeFailed`, or `SuiteRefused` for a file that may not be run.
        """
        running = self._running.get(target)
        if running is None or running.ended:
            file = self.code(target) if target.endswith(".py") else None
            readable, listable = opened(file.parent, guarded(self._settings)) if file else ([], [])
            running = self._running[target] = UserCode(str(file or target), readable, listable=listable)
        return running.call(function, arguments)

    def close(self) -> None:
        """End the processes of user code."""
        for running in self._running.values():
            running.close()
        self._running = {}


@contextmanager
def places(settings: Settings | None = None) -> Iterator[SettingsPlaces]:
    """The places of this process, by its environment unless settings are given."""
    here = SettingsPlaces(settings or Settings())
    try:
        yield here
    finally:
        here.close()
