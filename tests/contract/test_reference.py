"""The page of campaign keys is what the models say, and every key is explained."""

from pathlib import Path

import pytest

from schemas.campaign import Campaign
from schemas.reference import page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "campaign.md"
SCHEMA = Campaign.model_json_schema()
MODELS = {"Campaign": SCHEMA, **SCHEMA["$defs"]}


def test_the_committed_page_is_written_by_the_models():
    assert PAGE.read_text() == page(), "run: python -m schemas.reference > docs/reference/campaign.md"


@pytest.mark.parametrize("name", list(MODELS))
def test_every_key_is_explained(name):
    assert MODELS[name]["description"]
    silent = [key for key, field in MODELS[name]["properties"].items() if not field.get("description")]
    assert not silent, f"give {name}.{silent[0]} a docstring"


@pytest.mark.parametrize("name", list(MODELS)[1:])
def test_every_model_has_its_section(name):
    assert f"## {name}\n" in page()
