"""Targets outside the oracle, as a campaign file describes them."""

import re

import pytest
import yaml

from services.console.campaign_file import load
from services.runtime.user_error import UserError
from tests.unit.console_events import DEMO

BOARD = {"kind": "board", "url": "https://board.example/aevolve", "items": 250, "poll_seconds": 5}
DOCUMENT = DEMO.parents[2] / "docs" / "guides" / "boards.md"
KAGGLE = {"kind": "kaggle", "competition": "some-challenge", "items": 250, "poll_seconds": 5}


def file(tmp_path, target, before="", after=""):
    path = tmp_path / "campaign.yaml"
    text = DEMO.read_text().replace(before, after, 1)
    path.write_text(text.replace("constitution:\n", f"constitution:\n  target: {target}\n", 1))
    return path


@pytest.mark.parametrize("target", ["sealed", BOARD, KAGGLE], ids=["sealed", "board", "kaggle"])
def test_a_campaign_file_names_its_target(tmp_path, target):
    read = load(file(tmp_path, target)).constitution.target
    assert (read if isinstance(read, str) else read.kind) == (target if target == "sealed" else target["kind"])


def test_the_targets_that_the_documents_show_are_taken(tmp_path):
    shown = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    kinds = [load(file(tmp_path, yaml.safe_load(text)["constitution"]["target"])).constitution.target for text in shown]
    assert [target if isinstance(target, str) else target.kind for target in kinds] == ["board", "kaggle"]


def test_a_campaign_that_names_no_target_hashes_as_before_there_was_a_choice(tmp_path):
    assert load(DEMO).constitution_sha256 == load(file(tmp_path, "sealed")).constitution_sha256
    assert load(DEMO).constitution_sha256 != load(file(tmp_path, BOARD)).constitution_sha256


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("seled", "constitution.target: 'seled'; give `sealed`, or a mapping whose `kind` is"),
        ({**BOARD, "kind": "bord"}, "constitution.target: 'bord'; give `sealed`, or a mapping whose `kind` is"),
        ({"kind": "board", "items": 5}, "constitution.target.url: missing; Where the board is"),
        ({**BOARD, "itemz": 5}, "constitution.target.itemz: unknown key; did you mean 'items'?"),
        ({**BOARD, "items": 0}, "constitution.target.items: 0; it should be greater than or equal to 1"),
        ({**BOARD, "se": 0.1}, "constitution.target: items, se: give one of them"),
        ({**BOARD, "lowest": 2}, "constitution.target: lowest: 2 is not below highest 1"),
        ({**BOARD, "url": "https://me:secret@board.example"}, "a token goes into the file that AEVOLVE_BOARD_TOKEN"),
        ({**BOARD, "url": "board.example"}, "constitution.target.url: 'board.example'; give http(s)://host"),
        ({**BOARD, "poll_seconds": 4000}, "target.poll_seconds: 4000 is not below budget.board_seconds"),
        ({**KAGGLE, "max_rank": 16}, "rank: 32 is above target.max_rank 16; leave it out of recipe and space"),
        ({**KAGGLE, "competition": "Some Challenge"}, "constitution.target.competition: 'Some Challenge'"),
    ],
)
def test_a_mistake_in_a_target_is_told_with_field_value_and_remedy(tmp_path, target, message):
    with pytest.raises(UserError, match=re.escape(message)):
        load(file(tmp_path, target))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("external_queries: 9", "external_queries: 0", "budget.external_queries: 0 asks the target about no candidate"),
        (
            "recipe:\n",
            "recipe:\n  adapter: full\n",
            "recipe.adapter: full saves no adapter, and a board",
        ),
        ("seed: 0", "seed: 0\nnull_twin: true", "null_twin: only sealed sets can be distributed as dev"),
    ],
)
def test_a_campaign_that_contradicts_its_target_is_refused(tmp_path, before, after, message):
    assert before in DEMO.read_text()
    with pytest.raises(UserError, match=re.escape(message)):
        load(file(tmp_path, BOARD, before, after))
