"""What docs/guides/measuring.md shows of a campaign file is a campaign file."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from services.console.campaign_file import load
from tests.unit.console_events import DEMO

PAGE = (Path(__file__).parents[3] / "docs" / "guides" / "measuring.md").read_text()
SHOWN = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_a_target_and_guards_are_shown():
    assert [block.partition(":")[0] for block in SHOWN] == ["target", "guards"]


@pytest.mark.parametrize("block", SHOWN, ids=[block.partition(":")[0] for block in SHOWN])
def test_what_is_shown_can_be_started(block, tmp_path):
    file = tmp_path / "campaign.yaml"
    text = DEMO.read_text().replace("constitution:\n", f"constitution:\n{textwrap.indent(block, '  ')}", 1)
    file.write_text(text)
    law = load(file).constitution
    assert law.lists or law.guards
