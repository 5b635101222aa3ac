"""What a page names exists: linked pages and headings, files, modules, targets of make, commands."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from services.console.cli import app
from tests.typed import instance

ROOT = Path(__file__).parents[3]
PAGES = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")))
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]
"""A changelog names what was there then."""
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
COMMANDS = set(instance(TyperGroup, get_command(app)).commands)
TOP = "schemas|judgement|puzzles|tasks|eventstore|sizing|services|audit|deploy|benchmarks|tests|docs"
MADE = "deploy/secrets"
"""Made by `deploy/secrets.sh`."""
CODE = re.compile(r"```.*?```", re.DOTALL)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Headings as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_resolves(page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (heading and heading not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_every_named_file_exists(page):
    text = re.sub(r"\]\([^)]*\)", "", page.read_text())
    found = set(re.findall(rf"(?<![\w/.-])((?:{TOP})/[\w./-]*[\w/])(?![\w*<{{-])", text))
    assert {path for path in found if not (ROOT / path).exists() and not path.startswith(MADE)} == set()


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_every_named_module_exists(page):
    for module in re.findall(rf"-m ((?:{TOP})(?:\.\w+)+)", page.read_text()):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_every_dotted_name_exists(page):
    for dotted in re.findall(rf"`((?:{TOP})(?:\.\w+){{2,}})`", page.read_text()):
        module, _, attribute = dotted.rpartition(".")
        if not (ROOT / dotted.replace(".", "/")).with_suffix(".py").exists():
            assert hasattr(import_module(module), attribute), dotted


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_every_target_of_make_and_command_exists(page):
    text = page.read_text()
    assert set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)(?=[ `\n])", code(text))) <= TARGETS
    assert set(re.findall(r"(?<!-n )\baevolve (?!anchor v1)([a-z][a-z-]*)(?=[ `\n])", code(text))) <= COMMANDS


def code(text: str) -> str:
    """Blocks and spans of code: prose may say "make sure"."""
    return "\n".join(re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL))
