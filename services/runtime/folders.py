"""Which folders task files may come from: they can call Python, so a campaign names them and brings none along."""

from __future__ import annotations

import os
from pathlib import Path

from services.runtime.settings import Settings

PACKAGES = Path(__file__).parents[2]
"""The folder that holds our packages: a checkout, or the place of an installation."""

SHIPPED = PACKAGES / "deploy" / "campaigns"
"""Task files of this release."""

EXAMPLES = PACKAGES / "examples"
"""Campaigns of this release with their files."""


class FolderRefused(Exception):
    """The folder of task files is missing, or lies where others than the operator may write."""


def task_folder(include: str, settings: Settings) -> Path:
    """The folder of task files; a relative one is sought in the folders of `AEVOLVE_TASK_PATH`, then in our own.

    Where the variable is unset, the working folder takes its place. Raises `FolderRefused`.
    """
    allowed = [Path(place) for place in (settings.task_path or str(Path.cwd())).split(os.pathsep) if place]
    for root in (*allowed, PACKAGES):
        place = (root / include).resolve()
        if place.is_dir() and _inside(place, [*allowed, SHIPPED]):
            if _inside(place, [Path(settings.artifacts), settings.work, settings.cache]):
                raise FolderRefused(f"{include!r} lies where jobs write; task files can call Python: move them")
            return place
    raise FolderRefused(
        f"{include!r} is no folder in {', '.join(map(str, allowed))}; correct it, or add its parent to "
        f"AEVOLVE_TASK_PATH (folders separated by {os.pathsep!r}) where the oracle runs"
    )


def task_file(name: str, settings: Settings) -> Path:
    """A file or folder that a campaign names; sought as `task_folder` does. Raises `FolderRefused`."""
    allowed = [Path(place) for place in (settings.task_path or str(Path.cwd())).split(os.pathsep) if place]
    for root in (*allowed, PACKAGES):
        place = (root / name).resolve()
        if place.exists() and _inside(place, [*allowed, SHIPPED, EXAMPLES]):
            if _inside(place, [Path(settings.artifacts), settings.work, settings.cache]):
                raise FolderRefused(f"{name!r} lies where jobs write; move it")
            return place
    folders = ", ".join(map(str, dict.fromkeys(allowed)))
    raise FolderRefused(
        f"{name!r} does not exist in {folders}; correct the name, or add its folder to "
        f"AEVOLVE_TASK_PATH (folders separated by {os.pathsep!r})"
    )


def guarded(settings: Settings) -> list[Path]:
    """What user code may not read even if it lies in the operator's folder: keys, passwords, sealed items, artifacts.

    A run keeps its secrets beside its artifacts, so the folders that hold these are among them.
    """
    files = (
        settings.oracle_key_file,
        settings.anchor_key_file,
        settings.password_file,
        settings.engine_key_file,
        settings.board_token_file,
        settings.advisor_key_file,
        settings.kafka_key_file,
        settings.work,
        Path(settings.artifacts),
    )
    places = [place.resolve() for place in files if place]
    items = [Path(folder).resolve() for folder in (settings.oracle_items or "").split(os.pathsep) if folder]
    return [*places, *(place.parent for place in places), *items, settings.cache.resolve()]


def opened(folder: Path, secrets: list[Path]) -> tuple[list[Path], list[Path]]:
    """What a process may read so that it reads a folder but none of the secrets in it, and the folders it may list."""
    within = [place for place in secrets if place.is_relative_to(folder) and place != folder]
    if not within:
        return [folder], []
    readable, listable = list[Path](), [folder]
    for entry in sorted(folder.iterdir()):
        if entry not in within:
            inner, names = opened(entry, within) if entry.is_dir() else ([entry], [])
            readable += inner
            listable += names
    return readable, listable


def _inside(place: Path, folders: list[Path]) -> bool:
    return any(place.is_relative_to(folder.resolve()) for folder in folders)
