"""The page shows the data card that the log records and no other file: the data service names its path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.events import DataBatchReady
from schemas.evidence import Stored
from services.console.web import data
from services.runtime.storage.hashing import hash_file
from services.runtime.user_error import UserError

GOLDEN = Path(__file__).parents[3] / "contract" / "golden" / "DataBatchReady.v1.json"


def shown(place: Path | str, sha256: str = "0" * 64) -> str:
    ready = DataBatchReady.model_validate(json.loads(GOLDEN.read_text()))
    return data._card(ready.model_copy(update={"card": Stored(uri=str(place), sha256=sha256)}))


@pytest.fixture
def card(tmp_path: Path) -> Path:
    (tmp_path / "card.md").write_text("# Card")
    return tmp_path / "card.md"


def test_the_recorded_card_is_shown(card: Path) -> None:
    assert shown(card, hash_file(card)) == "# Card"


def test_a_secret_of_the_console_is_not_shown(card: Path) -> None:
    for place in (card, "/proc/self/environ"):
        with pytest.raises(UserError, match="not the recorded one"):
            shown(place)


def test_a_file_as_large_as_the_memory_is_not_read(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "LARGEST_CARD", 3)
    with pytest.raises(UserError, match="not the recorded one"):
        shown(card, hash_file(card))


def test_a_place_that_holds_no_file_has_no_card(tmp_path: Path) -> None:
    for place in ("/dev/zero", "/nowhere", tmp_path):
        assert shown(place) == ""
