"""Fingerprints of suites: every item of a pool is known, and generated sets lie in company."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from judgement.fingerprints.index import Fingerprints
from schemas.rows import Row
from schemas.suites import FilesSuite, PuzzlesSuite, PythonSuite, ScorerRule
from services.oracle.fingerprints.publish import KINDS, publish
from services.oracle.fingerprints.work import FingerprintJob
from services.oracle.sets import sealed_set
from services.oracle.suites import open_suites
from services.runtime.places import places
from tasks.suite import ItemsChanged
from tests.unit.oracle.test_suites import KEY, OTHER, campaign, pinned, settings

THINGS = ("apples", "pears", "plums", "nuts", "figs")


def question(n: int) -> str:
    return f"Anna has {n} {THINGS[n % 5]} and gives {n // 3} of them to Ben. How many are left?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("prints")
    rows = [{"prompt": question(n), "answer": str(n - n // 3)} for n in range(20, 140)]
    (made / "eval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (made / "own.py").write_text(
        "import pathlib\n"
        "def rows(split, seed, n):\n"
        "    return [{'prompt': f'{split} {seed} {at}', 'answer': '1'} for at in range(n)]\n"
    )
    return made


def published(rule, folder: Path, key: bytes = KEY):
    (folder / "key").write_bytes(key)
    plan = campaign(rule)
    where = {"key_file": str(folder / "key"), "out": str(folder / "out")}
    job = FingerprintJob(campaign=plan, oracle_items=str(folder), task_path=str(folder), **where)
    return publish(job, lambda _: None)


def row(prompt: str, answer: str = "") -> Row:
    return Row("sums", 0, 0, prompt, answer, "", "core", "files")


def test_each_item_of_every_set_is_known_whether_it_is_drawn_or_not(folder) -> None:
    rule = pinned(FilesSuite(name="sums", eval="eval.jsonl", score=(ScorerRule(kind="numeric"),)), folder)
    mine, theirs = published(rule, folder), published(rule, folder, key=OTHER)
    assert mine.items == theirs.items == 120
    for file in (mine, theirs):
        prints = Fingerprints.load(file.receipt.uri)
        assert all(prints.contaminated(row(question(n), str(n - n // 3))) for n in range(20, 140))
        assert not any(prints.contaminated(row(question(n), str(n - n // 3))) for n in range(150, 300))
    one, other = (Fingerprints.load(file.receipt.uri).arrays for file in (mine, theirs))
    assert {name: len(array) for name, array in one.items() if array.ndim} == {
        name: len(array) for name, array in other.items() if array.ndim
    }


def test_sets_that_a_module_generates_are_known_among_those_of_seven_other_keys(folder) -> None:
    rule = pinned(PythonSuite(name="own", file="own.py"), folder)
    file = published(rule, folder)
    prints, plan = Fingerprints.load(file.receipt.uri), campaign(rule)
    assert file.items == 8 * 4 * (3 + plan.constitution.rounds + 2)
    with places(settings(folder)) as found:
        suites = open_suites((rule,), found)
        for kind in KINDS:
            for part in suites.draw(sealed_set(plan, kind, 1 if kind == "confirm" else 0), ("own",), KEY):
                assert len(part.items) == 4
                assert all(prints.contaminated(row(item.prompt, item.answer)) for item in part.items)


def test_puzzles_of_a_suite_are_known_as_they_are_drawn(folder) -> None:
    rule = pinned(PuzzlesSuite(name="puzzles", domains=("units",)), folder)
    prints, plan = Fingerprints.load(published(rule, folder).receipt.uri), campaign(rule)
    with places(settings(folder)) as found:
        (part,) = open_suites((rule,), found).draw(sealed_set(plan, "dev", 0), ("units",), KEY)
    assert all(prints.contaminated(row(item.prompt, item.answer)) for item in part.items)


def test_fingerprints_of_changed_items_are_not_published(folder, tmp_path) -> None:
    rule = pinned(FilesSuite(name="sums", eval="eval.jsonl", score=(ScorerRule(kind="numeric"),)), folder)
    (tmp_path / "eval.jsonl").write_text(json.dumps({"prompt": "1 + 1", "answer": "2"}) + "\n")
    with pytest.raises(ItemsChanged):
        published(rule, tmp_path)
