"""A harvest that was not there in time: its round went on with older data, and the next round begins with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.rows import Row
from services.data.collect import collect
from services.data.collect import manifest as manifests
from services.data.job import Snapshot
from services.data.sources.registry import make_source
from services.data.sources.source import Step
from tests.typed import there
from tests.unit.data.test_collected import GOOD, WRONG, made, notes, rows_of, sums, text


@pytest.fixture
def used(tmp_path):
    """Round 1, whose data the loop has; round 2 comes too late in every test."""
    notes(tmp_path, range(6))
    sums(tmp_path, [*GOOD, WRONG])
    return made(tmp_path)


def new_rows(folder: Path, snapshot: Snapshot, before: Snapshot) -> list[tuple[int, int]]:
    """Round and number of rows of each shard that a harvest has besides an earlier one's."""
    earlier, later = (manifests.read(there(one.harvest), folder).rows for one in (before, snapshot))
    assert later[: len(earlier)] == earlier
    return [(shard.round, shard.lines) for shard in later[len(earlier) :]]


def test_a_late_harvest_is_the_next_rounds_and_no_source_is_read_again(tmp_path, used, monkeypatch):
    notes(tmp_path, [6, 7])
    late = made(tmp_path, 2, used)
    with monkeypatch.context() as patched:
        patched.setattr(collect, "make_source", lambda spec, _: pytest.fail(f"{spec.name} is read again"))
        third = made(tmp_path, 3, used)
    assert rows_of(third, "prose") == rows_of(late, "prose")
    assert new_rows(tmp_path, late, used) == [(2, 2)]
    assert new_rows(tmp_path, third, used) == [(3, 2)]
    of_collected = [[gave for gave in made_.yields if gave.source in ("notes", "sums")] for made_ in (late, third)]
    assert of_collected[0] == of_collected[1]


def test_after_it_a_round_reads_what_is_new(tmp_path, used):
    notes(tmp_path, [6])
    made(tmp_path, 2, used)
    third = made(tmp_path, 3, used)
    notes(tmp_path, [7])
    fourth = made(tmp_path, 4, third)
    assert {row.trace for row in rows_of(fourth, "prose")} == {text(number) for number in range(8)}
    assert new_rows(tmp_path, fourth, third) == [(4, 1)]


def test_several_late_ones_in_a_row_are_one_harvest(tmp_path, used):
    notes(tmp_path, [6, 7])
    made(tmp_path, 2, used)
    made(tmp_path, 3, used)
    fourth = made(tmp_path, 4, used)
    assert new_rows(tmp_path, fourth, used) == [(4, 2)]


class Torn:
    """A source that is lost behind its third page, and later is whole."""

    name, lost, read = "notes", True, 0

    def harvest(self, state):
        for number in range(6):
            if str(number) in state:
                continue
            if number == 3 and Torn.lost:
                raise ConnectionError
            Torn.read += 1
            said = text(100 + number)
            row = Row("prose", 0, 0, "", "", said, said, "notes", f"page:{number}")
            yield Step((row,), {str(number): True}, {})


def test_one_that_was_torn_is_gone_on_with_behind_its_last_step(tmp_path, used, monkeypatch):
    def torn(spec, *rest):
        return Torn() if spec.name == "notes" else make_source(spec, *rest)

    monkeypatch.setattr(collect, "make_source", torn)
    with pytest.raises(ConnectionError):
        made(tmp_path, 2, used)
    Torn.lost = False
    third = made(tmp_path, 3, used)
    assert Torn.read == 6
    assert new_rows(tmp_path, third, used) == [(3, 6)]


def test_what_is_still_harvested_is_waited_for(tmp_path, used):
    notes(tmp_path, [6])
    made(tmp_path, 2, used)
    with collect.locked(tmp_path / "work" / "2"), pytest.raises(collect.HarvestBusy):
        made(tmp_path, 3, used)
    assert new_rows(tmp_path, made(tmp_path, 3, used), used) == [(3, 1)]


def test_a_harvest_that_was_used_is_left_where_it_is(tmp_path, used):
    notes(tmp_path, [6])
    second = made(tmp_path, 2, used)
    made(tmp_path, 3, second)
    assert (tmp_path / "work" / "2" / collect.FILE).exists()
