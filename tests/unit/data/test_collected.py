"""A campaign that collects: every row accounted for, nothing twice, the same inputs the same snapshot."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.campaign import Campaign
from schemas.policy import Policy
from schemas.recipe import Recipe
from schemas.rows import Row
from services.data.collect import manifest as manifests
from services.data.collect.mix import quotas
from services.data.job import Collecting, Snapshot, SnapshotJob
from services.data.snapshot import make
from services.runtime.storage.hashing import hash_file, hash_parquet
from services.trainer.rows import read
from tests.typed import there

SAID = """
the harbour lay quiet while old boats turned with every slow tide and children counted gulls on wet stones until evening
brought lamps along each narrow street where bakers and tailors closed their doors to talk about weather prices letters
from cousins abroad
"""
WORDS = SAID.split()


def text(number: int) -> str:
    """A text of its own, in plain English words."""
    chosen = [WORDS[(number * 7 + i * (number % 5 + 3)) % len(WORDS)] for i in range(60)]
    return f"On day {number} {' '.join(chosen)}, said visitor number {number * 31}."


def campaign(folder: Path, **data) -> Campaign:
    sources = [
        {"kind": "files", "name": "notes", "domain": "prose", "paths": [f"{folder}/notes.jsonl"], "licence": "CC0-1.0"},
        {
            "kind": "files",
            "name": "sums",
            "domain": "sums",
            "paths": [f"{folder}/sums.jsonl"],
            "prompt": "q",
            "answer": "a",
            "trace": "t",
            "licence": "CC-BY-4.0 | <b>",
        },
    ]
    filters = {"quality": [], "decontaminate": False}
    return Campaign.model_validate(
        {
            "name": "collects",
            "constitution": {
                "domains": ["roman"],
                "evaluation": {kind: {"items": 5} for kind in ("dev", "confirm", "external", "final")},
                "budget": {"external_queries": 2},
                "space": [{"knob": "rank", "values": [8, 16]}],
                "data": {"sources": sources, "filters": filters, "rows": 100, **data},
            },
        }
    )


def notes(folder: Path, numbers) -> None:
    with (folder / "notes.jsonl").open("a") as file:
        file.writelines(json.dumps({"text": text(number)}) + "\n" for number in numbers)


def sums(folder: Path, rows) -> None:
    with (folder / "sums.jsonl").open("a") as file:
        file.writelines(json.dumps({"q": q, "a": a, "t": t}) + "\n" for q, a, t in rows)


GOOD = [
    ("Ann has 3 pears and buys 14 at the old market. How many pears has she now?", "17", "3+14=17"),
    ("A train of 12 waggons loses 5 of them on its way north. How many are left?", "7", "12-5=7"),
]
WRONG = ("Four boxes hold 6 lemons each, so how many lemons are there in all of them?", "24", "4*6=25 so 24")


def job(folder: Path, round_: int = 1, last: Snapshot | None = None, **data) -> SnapshotJob:
    policy = Policy(
        version=0, round=round_, standing=Recipe(), standing_from="base", axes=(), mode="recipe stabilisation"
    )
    at = Collecting(
        work=str(folder / "work" / str(round_)),
        out=str(folder / "harvests"),
        copies=str(folder / "copies"),
        last=last.harvest if last else None,
    )
    out = str(folder / "snapshots")
    return SnapshotJob(policy=policy, campaign=campaign(folder, **data), round=round_, out=out, collecting=at)


def made(folder: Path, *args, **data) -> Snapshot:
    return make(job(folder, *args, **data), lambda _: None)


def rows_of(snapshot: Snapshot, domain: str) -> list[Row]:
    return [row for cell in read(snapshot.uri).values() for row in cell if row.domain == domain]


@pytest.fixture
def folder(tmp_path):
    notes(tmp_path, range(6))
    notes(tmp_path, [2])
    sums(tmp_path, [*GOOD, WRONG])
    return tmp_path


def test_rows_are_kept_with_their_source_and_every_other_is_accounted_for(folder):
    snapshot = made(folder)
    kept = {gave.source: gave for gave in snapshot.yields}
    assert [row.source for row in rows_of(snapshot, "prose")] == ["notes"] * 6
    assert (kept["notes"].made, kept["notes"].kept, kept["notes"].dropped) == (7, 6, {"duplicate/exact": 1})
    assert (kept["sums"].made, kept["sums"].kept, kept["sums"].dropped) == (3, 2, {"verifier/wrong_step": 1})
    assert all(gave.made == gave.kept + sum(gave.dropped.values()) for gave in snapshot.yields)
    assert {row.licence for row in rows_of(snapshot, "prose")} == {"CC0-1.0"}
    assert (snapshot.rows["prose"], snapshot.rows["sums"]) == (6, 2)
    assert hash_parquet(Path(snapshot.uri)) == snapshot.snapshot


def test_the_card_and_the_next_round_keep_what_was_skipped_with_its_place(folder):
    with (folder / "sums.jsonl").open("a") as file:
        file.write("{no json\n")
    first = made(folder)
    assert first.card
    assert "sums.jsonl, line 4 | {no json |" in Path(first.card.uri).read_text().replace("\\", "")
    second = made(folder, 2, first)
    assert second.harvest
    assert (
        manifests.read(there(second.harvest), folder).skips == manifests.read(there(first.harvest), folder).skips != ()
    )


def test_the_card_tells_what_became_of_every_row_and_quotes_nothing_raw(folder):
    snapshot = made(folder)
    assert snapshot.card
    card = Path(snapshot.card.uri).read_text()
    assert hash_file(Path(snapshot.card.uri)) == snapshot.card.sha256
    assert "| notes | files | prose | 7 | 0 | 7 | 1 | 0 | 6 |" in card
    assert "| sums | verifier/wrong\\_step | 1 |" in card
    assert "CC-BY-4.0 \\| \\<b\\>" in card
    assert "| puzzles | generated | roman |" in card
    assert "is unknown" in card


def test_the_same_inputs_give_the_same_snapshot_on_another_day(folder, monkeypatch):
    first = made(folder)
    for name in [name for name in sys.modules if name.startswith("services.data.sources.")]:
        monkeypatch.setattr(f"{name}.now", lambda: "2031-01-01T00:00:00+00:00", raising=False)
    elsewhere = {"work": str(folder / "other/1"), "out": str(folder / "other/harvests")}
    asked = job(folder)
    assert asked.collecting
    again = make(asked.model_copy(update={"collecting": asked.collecting.model_copy(update=elsewhere)}), lambda _: None)
    assert manifests.read(there(again.harvest), folder).rows != manifests.read(there(first.harvest), folder).rows
    assert again.snapshot == first.snapshot


def test_a_second_round_keeps_what_there_is_and_adds_what_is_new(folder):
    first = made(folder)
    notes(folder, [6, 7])
    second = made(folder, 2, first)
    assert {row.trace for row in rows_of(second, "prose")} == {text(number) for number in range(8)}
    [gave] = [gave for gave in second.yields if gave.source == "notes"]
    assert (gave.made, gave.kept) == (9, 8)
    before, after = (manifests.read(there(made_.harvest), folder) for made_ in (first, second))
    assert after.rows[: len(before.rows)] == before.rows
    assert after.rows[-1].lines == 2


def test_a_round_that_brings_nothing_new_has_the_rows_of_the_last(folder):
    first = made(folder)
    second = made(folder, 2, first)
    assert {row.core for row in rows_of(second, "prose")} == {row.core for row in rows_of(first, "prose")}
    assert manifests.read(there(second.harvest), folder).rows == manifests.read(there(first.harvest), folder).rows


def test_variants_name_their_parent_and_are_judged(folder):
    snapshot = made(folder, variants=3)
    asked = rows_of(snapshot, "sums")
    parents = {row.core for row in asked if not row.parent}
    assert len(asked) == 2 + 2 * 3
    assert Counter(row.parent for row in asked if row.parent) == dict.fromkeys(parents, 3)
    assert len({row.prompt for row in asked}) == 8


def test_no_source_has_more_rows_than_its_cap_and_no_snapshot_more_than_its_limit(folder):
    snapshot = made(folder, rows=4)
    assert snapshot.rows["prose"] + snapshot.rows["sums"] == 4
    [gave] = [gave for gave in snapshot.yields if gave.source == "notes"]
    assert (gave.kept, gave.dropped["balance/share"]) == (2, 4)


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 50), min_size=1),
    st.dictionaries(st.sampled_from("abcd"), st.floats(0.01, 1)),
    st.integers(1, 100),
)
def test_quotas_fill_the_snapshot_and_no_domain_beyond_what_it_has(usable, shares, rows):
    given_ = quotas(usable, shares, rows)
    assert all(given_[domain] <= usable[domain] for domain in given_)
    wanted = sum(usable[domain] for domain in usable if domain in shares)
    assert min(rows, wanted) - len(shares) <= sum(given_.values()) <= rows
