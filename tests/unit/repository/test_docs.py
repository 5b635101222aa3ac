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


@pytest.mark.parametrize(("file", "name"), PICTURES, ids=[name for _, name in PICTURES])
def test_a_picture_is_there_and_quickly_loaded(file, name):
    assert (file.parent / name).stat().st_size < 150_000


def test_the_walk_through_shows_commands():
    assert len(SHOWN) == 3


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command for command, _ in SHOWN])
def test_the_walk_through_shows_what_is_printed(command, output, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert CliRunner().invoke(app, shlex.split(command)).output == output
