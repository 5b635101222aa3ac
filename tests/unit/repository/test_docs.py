"""What the documents show is what the commands print."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.console.cli import app

ROOT = Path(__file__).parents[3]
SHOWN = re.findall(
    r"```console\n\$ aevolve ([^\n]+)\n(.*?)```", (ROOT / "docs" / "guides" / "auditing.md").read_text(), re.DOTALL
)


PICTURES = [
    (file, name)
    for file in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    for name in re.findall(r"\]\(([^)]+\.png)\)", file.read_text())
]


def documents():
    folders = ("docs", "examples", "deploy", ".github")
    return [*ROOT.glob("*.md"), *(file for folder in folders for file in (ROOT / folder).rglob("*.md"))]


def anchor(heading):
    """The address of a heading, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("file", documents(), ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_of_a_document_leads_to_a_file_and_a_heading(file):
    text = re.sub(r"```.*?```", "", file.read_text(), flags=re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, heading = link.partition("#")
        target = file.parent / path if path else file
        if not target.exists():
            broken.append(link)
            continue
        headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE) if target.suffix == ".md" else []
        if heading and heading not in map(anchor, headings):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize(("file", "name"), PICTURES, ids=[name for _, name in PICTURES])
def test_a_picture_is_there_and_quickly_loaded(file, name):
    assert (file.parent / name).stat().st_size < 150_000


def test_the_walk_through_shows_commands():
    assert len(SHOWN) == 3


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command for command, _ in SHOWN])
def test_the_walk_through_shows_what_is_printed(command, output, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert CliRunner().invoke(app, shlex.split(command)).output == output
