"""What the pages for whoever runs the system name is there: tests, targets of make, commands."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from services.console.cli import app

ROOT = Path(__file__).parents[3]
PAGES = (
    "README.md",
    "docs/guides/deploy.md",
    "docs/guides/operating.md",
    "docs/reference/security.md",
    "deploy/kubernetes/README.md",
)
COMMANDS = set(get_command(app).commands)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def named(pattern: str, page: str) -> set[str]:
    return set(re.findall(pattern, (ROOT / page).read_text()))


@pytest.mark.parametrize("page", PAGES)
def test_the_files_are_there(page) -> None:
    files = named(r"\b((?:tests|docs|deploy/kubernetes)/[\w./-]*\w)", page)
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_targets_are_there(page) -> None:
    assert named(r"\bmake ((?:test|check|bench)-[a-z]+)", page) <= TARGETS


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_are_there(page) -> None:
    commands = named(r"(?<!-n )\baevolve ([a-z][a-z-]*)(?=[ `\n])", page)
    assert commands
    assert commands <= COMMANDS
