"""`aevolve data inspect`: which snapshot is meant, and that a stranger's text cannot steer a terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from schemas.events import DataBatchReady
from schemas.evidence import Basis
from services.console import snapshot as snapshots
from services.console.cli import app
from services.runtime.user_error import UserError

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


@given(st.text(max_size=400))
def test_no_character_that_a_terminal_obeys_is_printed(said):
    shown = snapshots.plain(f"\x1b[2J\x9b{said}\u202e")
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202a\u202b\u202d\u202e\u2066\u2067" for c in shown)
    assert len(shown) <= snapshots.SHOWN + 3
