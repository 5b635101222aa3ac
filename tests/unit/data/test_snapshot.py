"""Snapshots: every kind a recipe may ask for, clean rows, one name for one content."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.campaign import DOMAINS, Campaign
from schemas.policy import AxisBelief, Policy
from schemas.recipe import Recipe
from services.data import snapshot
from services.data.core import CELL_ROWS, LEVEL_ROWS, plan
from services.data.job import CellPlan, DomainEmpty, SnapshotJob, SnapshotPlan
from services.data.snapshot import build, make
from services.trainer.rows import probabilities, read
from tasks.item import Item
from tasks.puzzles.scorer import correct
from tasks.split import split_of

SPACE: list[dict[str, Any]] = [
    {"knob": "difficulty", "values": [(1.0, 0.0, 0.0), (0.35, 0.5, 0.15)]},
    {"knob": "wordings", "values": [(1.0, 0.0, 0.0), (1.0, 1.0, 0.0)]},
    {"knob": "upsample.cipher", "values": [1.0, 4.0]},
    {"knob": "rank", "values": [8, 16]},
]
CAMPAIGN = Campaign.model_validate(
    {
        "name": "demo",
        "constitution": {
            "evaluation": {kind: {"items": 5} for kind in ("dev", "confirm", "external", "final")},
            "budget": {"external_queries": 2},
            "space": SPACE,
        },
    }
)
SMALL = SnapshotPlan(
    seed="0/1", cells=tuple(CellPlan(domain=d, difficulty=1, wording=w, rows=30) for d in DOMAINS for w in (0, 1))
)


def policy(probability: float = 0.5, **standing) -> Policy:
    axes = CAMPAIGN.constitution.space
    return Policy(
        version=0,
        round=1,
        standing=Recipe(**standing),
        standing_from="base",
        axes=tuple(
            AxisBelief(knob=a.knob, values=a.values, probabilities=(1 - probability, probability)) for a in axes
        ),
        mode="recipe stabilisation",
    )


@given(st.sampled_from(SPACE[0]["values"]), st.sampled_from(SPACE[1]["values"]), st.floats(0, 1))
def test_every_cell_that_a_recipe_can_ask_for_is_planned(difficulty, wordings, probability: float) -> None:
    cells = {(c.domain, c.difficulty, c.wording): c.rows for c in plan(policy(probability), CAMPAIGN, 1).cells}
    wanted = probabilities(Recipe(difficulty=difficulty, wordings=wordings), DOMAINS)
    assert set(wanted) <= set(cells)
    assert all(rows >= CELL_ROWS for rows in cells.values())


@given(st.floats(0, 1))
def test_a_level_never_asks_for_more_than_its_items(probability: float) -> None:
    rows = Counter[tuple[str, int]]()
    for cell in plan(policy(probability), CAMPAIGN, 1).cells:
        rows[cell.domain, cell.difficulty] += cell.rows
    assert max(rows.values()) <= LEVEL_ROWS + 2


def test_a_kind_that_no_value_asks_for_is_left_out() -> None:
    assert {cell.wording for cell in plan(policy(), CAMPAIGN, 1).cells} == {0, 1}


def test_without_axes_the_standing_recipe_alone_decides() -> None:
    cells = plan(policy(difficulty=(0, 1, 0)).model_copy(update={"axes": ()}), CAMPAIGN, 1).cells
    assert {(cell.domain, cell.difficulty, cell.wording) for cell in cells} == {(d, 2, 0) for d in DOMAINS}


def test_rows_follow_the_standing_recipe_and_the_beliefs() -> None:
    def rows(given: Policy) -> Counter[tuple[str, int, int]]:
        return Counter({(c.domain, c.difficulty, c.wording): c.rows for c in plan(given, CAMPAIGN, 1).cells})

    narrow, diverse = rows(policy(0.0)), rows(policy(1.0))
    hard = ("bits", 2, 1)
    assert diverse[hard] > narrow[hard] == CELL_ROWS
    assert rows(policy(0.0, difficulty=(0.0, 1.0, 0.0)))["bits", 2, 0] > narrow["bits", 2, 0]
    assert rows(policy(0.0, mix={"bits": 0.1}))["bits", 1, 0] < narrow["bits", 1, 0]
    assert diverse["cipher", 2, 0] > diverse["bits", 2, 0]


def test_a_snapshot_is_named_by_its_rows(tmp_path) -> None:
    first, again = build(SMALL, tmp_path / "a"), build(SMALL, tmp_path / "b")
    assert first.snapshot == again.snapshot == Path(first.uri).stem
    assert Path(first.uri).read_bytes() == Path(again.uri).read_bytes()
    assert build(SMALL.model_copy(update={"seed": "0/2"}), tmp_path / "a").snapshot != first.snapshot


def test_rows_are_distinct_verified_and_of_the_train_split(tmp_path) -> None:
    made = build(SMALL, tmp_path)
    rows = [row for cell in read(made.uri).values() for row in cell]
    assert len({(row.domain, row.prompt) for row in rows}) == len(rows) == sum(made.rows.values())
    assert all(correct(row.prompt, row.completion(traced=True), row.answer) for row in rows)
    assert all(correct(row.prompt, row.completion(traced=False), row.answer) for row in rows)


def test_cores_are_of_the_train_split(tmp_path) -> None:
    rows = [row for cell in read(build(SMALL, tmp_path).uri).values() for row in cell]
    assert {split_of(row.domain, row.core) for row in rows} == {"train"}


def test_a_snapshot_that_exists_is_not_written_again(tmp_path) -> None:
    path = Path(build(SMALL, tmp_path).uri)
    path.write_text("kept")
    assert Path(build(SMALL, tmp_path).uri).read_text() == "kept"


def fake(monkeypatch, *items: Item) -> SnapshotPlan:
    monkeypatch.setattr(snapshot, "draw", lambda *_, **__: list(items))
    return SnapshotPlan(seed="x", cells=(CellPlan(domain="roman", difficulty=1, wording=0, rows=len(items)),))


def item(core: str, trace: str = "step") -> Item:
    return Item("roman", 1, 0, f"ask {core}", core, trace, core)


def test_duplicates_and_wrong_traces_are_dropped_and_counted(tmp_path, monkeypatch) -> None:
    wrong = Item("roman", 1, 0, "ask z", "", "step", "z")
    made = build(fake(monkeypatch, item("a"), item("b"), item("a"), wrong), tmp_path)
    [gave] = made.yields
    assert (gave.made, gave.kept, gave.dropped) == (4, 2, {"duplicate": 1, "unverified": 1})
    assert made.rows == {"roman": 2}
    assert made.tokens == {"roman": 2 * len("askastep\\boxed{a}")}


def test_a_domain_without_rows_is_an_error(tmp_path, monkeypatch) -> None:
    wrong = Item("roman", 1, 0, "ask z", "", "step", "z")
    with pytest.raises(DomainEmpty, match=r"domain roman: all 1 rows were dropped \({'unverified': 1}\)"):
        build(fake(monkeypatch, wrong), tmp_path)


def test_a_round_is_made_from_its_policy(tmp_path) -> None:
    seen: list[dict[str, Any]] = []
    made = make(SnapshotJob(policy=policy(), campaign=CAMPAIGN, round=2, out=str(tmp_path)), seen.append)
    assert set(made.rows) == set(DOMAINS)
    assert seen[-1] == {"step": len(DOMAINS), "rows": sum(made.rows.values())}
    assert made.snapshot == build(plan(policy(), CAMPAIGN, 2), tmp_path).snapshot
