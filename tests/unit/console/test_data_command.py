"""`aevolve data inspect`: which snapshot is meant, and that a stranger's text cannot steer a terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from schemas.envelope import Envelope
from schemas.events import DataBatchReady
from schemas.evidence import Basis
from schemas.rows import Row
from services.console import snapshot as snapshots
from services.console.cli import app
from services.console.web import data as page
from services.data.collect import manifest as manifests
from services.data.collect.harvest import Harvest
from services.data.filters.filter import Dropped
from services.data.sources.source import Skipped
from services.runtime.user_error import UserError
from tests.typed import instance

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def made(snapshot: str):
    basis = Basis(position=0, digest="0" * 64, seed=0)
    event = DataBatchReady(round=1, snapshot=snapshot, uri="-", rows={}, tokens={}, yields=(), basis=basis)
    return SimpleNamespace(event=event, correlationid="x", time=NOW)


ONE, OTHER = made("a" * 63 + "1"), made("a" * 63 + "2")


def test_a_snapshot_is_meant_by_the_beginning_of_its_id():
    assert snapshots.find([ONE], "aaa") is ONE
    assert snapshots.find([ONE, OTHER], ONE.event.snapshot) is ONE


@pytest.mark.parametrize(
    ("snapshot", "words"),
    [("b", r"SNAPSHOT: 'b' is not in the log; .*`aevolve events"), ("aa", r"SNAPSHOT: 'aa' begins 2 ids")],
)
def test_an_unknown_or_ambiguous_snapshot_is_named_with_a_remedy(snapshot, words):
    with pytest.raises(UserError, match=words):
        snapshots.find([ONE, OTHER], snapshot)


def test_the_command_ends_with_status_2_for_an_unknown_snapshot(tmp_path):
    (tmp_path / "log.jsonl").write_text("")
    asked = CliRunner().invoke(app, ["data", "inspect", "b", "--file", str(tmp_path / "log.jsonl")])
    assert asked.exit_code == 2


@pytest.fixture
def ready(tmp_path) -> DataBatchReady:
    """A snapshot whose sources dropped seven short rows, some of them with an address, and one with a card's number."""
    harvest = Harvest(tmp_path / "harvest.db", 1)
    for n in range(7):
        text = f"row {n}: write to ada{n}@example.org, {'and so on ' * 40}"
        harvest.drop(
            "crawl", Row("prose", 0, 0, "", "", text, f"{n}", "crawl"), Dropped("length", "short", f"{n} words")
        )
    paid = Row("prose", 0, 0, "", "4111 1111 1111 1111", "", "card", "crawl")
    harvest.drop("crawl", paid, Dropped("pii", "card", "in the answer"))
    stored = manifests.store(harvest, None, str(tmp_path / "artifacts"))
    return instance(DataBatchReady, made("a" * 64).event).model_copy(update={"harvest": stored})


def shown_of(event: DataBatchReady, samples: int) -> str:
    return "\n".join(snapshots.text(cast(Envelope, SimpleNamespace(event=event, correlationid="x")), samples, []))


@pytest.mark.parametrize(("samples", "shown"), [(0, 0), (2, 5), (6, 6)])
def test_dropped_rows_are_shown_by_reason_with_their_number_and_without_personal_data(ready, samples, shown):
    text = shown_of(ready, samples)
    assert "crawl: length/short, 7 rows\n" in text
    assert "crawl: pii/card, 1 rows" in text
    assert text.count("write to [email]") == shown
    assert not any(word in text for word in ("@example", "4111"))
    assert all(len(line) < 300 for line in text.splitlines())


def test_the_page_shows_them_with_their_number_too(ready):
    dropped = page._dropped(ready)
    assert {reason: (one.count, len(one.examples)) for reason, one in dropped.items()} == {
        "crawl: length/short": (7, 5),
        "crawl: pii/card": (1, 1),
    }
    template = Path(page.__file__).parent / "templates" / "samples.html"
    section = template.read_text().partition("{% if dropped %}")[2].partition("{% endif %}")[0]
    environment = jinja2.Environment(autoescape=True)
    environment.filters["number"] = str
    html = environment.from_string(section).render(dropped=dropped)
    assert html.count("<td>7</td>") == 5
    assert "row 4: write to [email]" in html
    assert "row 5" not in html


def test_skipped_records_are_shown_with_their_number_and_their_place(tmp_path):
    harvest = Harvest(tmp_path / "harvest.db", 1)
    for step in range(2):
        first = 10 * step
        examples = [
            Skipped("not_json", f"a.jsonl, line {first + n}", f"ada{n}@example.org \ud800 {{") for n in range(5)
        ]
        harvest.skip("notes", {"not_json": 9, "robots": 1}, examples)
    stored = manifests.store(harvest, None, str(tmp_path / "artifacts"))
    event = made("a" * 64).event.model_copy(update={"harvest": stored})
    text = shown_of(event, 2)
    assert "notes: skipped/not_json, 18 rows\n" in text
    assert "notes: skipped/robots, 2 rows" in text
    assert text.count("a.jsonl, line ") == 5
    assert "    - a.jsonl, line 4 | [email] ? {" in text
    assert page._dropped(event)["notes: skipped/not_json"].count == 18


@given(st.text(max_size=400))
def test_no_character_that_a_terminal_obeys_is_printed(said):
    shown = snapshots.plain(f"\x1b[2J\x9b{said}\u202e")
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202a\u202b\u202d\u202e\u2066\u2067" for c in shown)
    assert len(shown) <= snapshots.SHOWN + 3
