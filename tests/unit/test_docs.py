"""What the documents show is what the commands print."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.console.cli import app

ROOT = Path(__file__).parents[2]
SHOWN = re.findall(r"```console\n\$ aevolve ([^\n]+)\n(.*?)```", (ROOT / "docs" / "auditing.md").read_text(), re.DOTALL)


def test_the_walk_through_shows_commands():
    assert len(SHOWN) == 3


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command for command, _ in SHOWN])
def test_the_walk_through_shows_what_is_printed(command, output, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert CliRunner().invoke(app, shlex.split(command)).output == output
