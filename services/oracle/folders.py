"""Where the task files of a list lie."""

from __future__ import annotations

from pathlib import Path

PACKAGES = Path(__file__).parents[2]
"""The folder that holds our packages: a checkout, or the place of an installation."""


def task_folder(include: str) -> Path | None:
    """The folder of task files or None; a relative one is sought in the working folder, then beside our packages."""
    return next((place for place in (Path.cwd() / include, PACKAGES / include) if place.is_dir()), None)
