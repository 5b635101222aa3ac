"""The generated reference pages are those that the code gives."""

from pathlib import Path

import pytest

from services.console.reference import pages

FOLDER = Path(__file__).parents[3] / "docs" / "reference"


@pytest.mark.parametrize("name", ["commands.md", "environment.md"])
def test_a_generated_page_is_up_to_date(name):
    assert (FOLDER / name).read_text() == pages()[name], "run `python -m services.console.reference`"
