"""docs/reference/failures.md names every class by which a job can fail, and marks the final and the free ones."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from services.runtime.jobs import ledger

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "failures.md").read_text()
SERVICES = ("data", "recipes", "trainer", "oracle", "policy")
KINDS = {kind.queue: kind for name in SERVICES for kind in importlib.import_module(f"services.{name}.app").SERVICE.jobs}
INTERNAL = {
    *("EngineFailed", "FolderRefused", "Missing", "ProgramLeft", "ProgramRaised"),
    *("ReceiptForged", "Refused", "Unanswered"),
}
"""These never leave a job, or are the base of others."""
TABLES = {
    queue: [[cell.strip() for cell in line.strip("|").split("|")] for line in lines.splitlines()]
    for queue, lines in re.findall(r"^\| queue `(\w+)` .*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
}


def names(cell: str) -> set[str]:
    return set(re.findall(r"`([A-Z]\w+)`", cell))


def marked(queue: str, column: int) -> set[str]:
    return {name for row in TABLES[queue] if row[column] == "yes" for name in names(row[0])}


def raised() -> set[str]:
    """Exceptions that the services define, and literal names of `JobFailed`."""
    found = set()
    for name in SERVICES:
        for file in (ROOT / "services" / name).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef) and any("Exception" in ast.unparse(b) for b in node.bases):
                    found.add(node.name)
                elif isinstance(node, ast.Call) and ast.unparse(node.func) == "JobFailed":
                    found |= {
                        one.value
                        for one in node.args[:1]
                        if isinstance(one, ast.Constant) and isinstance(one.value, str)
                    }
    return found


@pytest.mark.parametrize("queue", sorted(TABLES))
def test_final_failures_are_marked(queue):
    assert marked(queue, 3) == KINDS[queue].permanent


def test_free_failures_are_marked():
    free = {queue: set(kind.uncharged) for queue, kind in KINDS.items() if kind.uncharged}
    assert {"train": marked("train", 4)} == free


def test_every_failure_is_explained():
    explained = set(re.findall(r"`([A-Z]\w+)`", "\n".join(re.findall(r"^\| ([^|]*)\|", PAGE, re.MULTILINE))))
    permanent = {name for kind in KINDS.values() for name in kind.permanent | kind.uncharged}
    assert (permanent | raised() | {ledger.REFUSED, ledger.UNKNOWN}) - explained - INTERNAL == set()
