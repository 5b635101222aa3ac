"""A user's files as a suite: every item is in one set, the same one however the file is ordered."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from typing import Any

import pytest

from schemas.suites import SETS, FilesSuite
from tasks.files import Files
from tasks.registry import check_pin, open_suite
from tasks.split import split_of
from tasks.suite import ItemsChanged, SuiteRefused
from tests.unit.folder_places import FolderPlaces

KEYS = ("all", "eval", "dev", "confirm", "target", "final")


def rows(name: str, n: int = 300) -> list[dict[str, Any]]:
    return [{"question": f"{name} {i}?", "answer": i, "domain": "even" if i % 2 else "odd"} for i in range(n)]


def write(folder, name: str, values) -> str:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(value) + "\n" for value in values))
    return f"{name}.jsonl"


def suite(folder, **fields) -> Files:
    return Files(FilesSuite.model_validate({"name": "mine", "score": "exact", **fields}), FolderPlaces(folder))


def prompts(opened: Files) -> dict[str, set[str]]:
    """The prompts of each set, by its key."""
    return {key: {item.prompt for items in opened.pools[kind].values() for item in items} for kind, key in SETS.items()}


def origins(opened: Files) -> dict[str, set[str]]:
    """The files that each set is taken from."""
    return {key: {prompt.split()[0] for prompt in found} for key, found in prompts(opened).items()}


COMBINATIONS = [keys for n in range(1, len(KEYS) + 1) for keys in combinations(KEYS, n)]


def owner(key: str, keys: tuple[str, ...]) -> set[str]:
    """The file that a set has to be taken from."""
    parent = {"confirm": "dev", "final": "target"}.get(key)
    return {next((one for one in (key, parent, "eval", "all") if one in keys), "")} - {""}


@pytest.mark.parametrize("keys", COMBINATIONS, ids=" ".join)
def test_each_set_is_taken_from_one_file_and_no_item_is_in_two_sets(tmp_path, keys):
    opened = suite(tmp_path, **{key: write(tmp_path, key, rows(key)) for key in keys})
    assert origins(opened) == {key: owner(key, keys) for key in SETS.values()}
    sets = prompts(opened)
    assert sum(map(len, sets.values())) == len(set().union(*sets.values()))
    for key in {"eval", "dev", "confirm", "target", "final"} & set(keys):
        assert sum(prompt.startswith(key) for found in sets.values() for prompt in found) in (0, 300)
    training = opened.training(0, "")
    assert {split_of(item.domain, item.core) for item in training} == ({"train"} if "all" in keys else set())
    assert not {item.prompt for item in training} & set().union(*sets.values())


def test_a_file_that_is_divided_has_equal_parts(tmp_path):
    sizes = Counter(
        {key: len(found) for key, found in prompts(suite(tmp_path, eval=write(tmp_path, "e", rows("e", 2000)))).items()}
    )
    assert sum(sizes.values()) == 2000
    assert all(400 < size < 600 for size in sizes.values())
    whole = suite(tmp_path, all=write(tmp_path, "a", rows("a", 2000)))
    assert all(130 < len(found) < 270 for found in prompts(whole).values())
    assert 1100 < len(whole.training(0, "")) < 1300


def test_the_parts_of_a_file_are_independent_of_the_training_split(tmp_path):
    opened = suite(tmp_path, eval=write(tmp_path, "e", rows("e", 2000)))
    for kind in SETS:
        items = [item for pool in opened.pools[kind].values() for item in pool]
        assert 0.5 < sum(split_of(item.domain, item.core) == "train" for item in items) / len(items) < 0.7


@pytest.mark.parametrize("key", ["all", "eval", "dev"])
def test_the_order_of_a_file_decides_the_order_of_items_and_never_their_set(tmp_path, key):
    forth = suite(tmp_path, **{key: write(tmp_path, "forth", rows("q"))})
    back = suite(tmp_path, **{key: write(tmp_path, "back", rows("q")[::-1])})
    assert prompts(forth) == prompts(back)
    assert [item.prompt for item in forth.pool("dev", "odd")] == [item.prompt for item in back.pool("dev", "odd")][::-1]


def test_more_rows_move_no_item_to_another_set(tmp_path):
    fewer, more = (prompts(suite(tmp_path, all=write(tmp_path, f"n{n}", rows("q", n)))) for n in (100, 300))
    assert all(fewer[key] <= more[key] for key in fewer)


def test_rows_that_make_no_item_are_counted_by_reason(tmp_path):
    good = [{"question": "1?", "answer": "1"}, {"question": "2?", "answer": "2", "domain": "other"}]
    bad = [
        {"question": "1?", "answer": "one"},
        {"question": " 1?\n", "answer": "1"},
        {"question": "", "answer": "1"},
        {"question": "3?", "answer": None},
        {"question": "4?", "answer": {"a": 1}},
        [1],
    ]
    name = write(tmp_path, "mixed", good + bad)
    with (tmp_path / name).open("a") as file:
        file.write("{broken\n")
    loaded = suite(tmp_path, eval=name).loaded["eval"]
    assert [(item.domain, item.prompt, item.answer) for item in loaded.items] == [
        ("mine", "1?", "1"),
        ("other", "2?", "2"),
    ]
    counts = {"duplicate": 2, "no_prompt": 1, "no_answer": 1, "not_text": 1, "not_an_object": 1, "not_json": 1}
    assert loaded.refused == counts


def test_an_item_has_answer_worked_text_conversation_and_further_columns(tmp_path):
    row = {
        "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "long a"}],
        "answer": "a",
        "n": 1,
    }
    item = suite(tmp_path, eval=write(tmp_path, "chat", [row])).loaded["eval"].items[0]
    assert (item.prompt, item.answer, item.trace, item.columns) == ("q", "a", "long a", {"n": 1})
    assert item.question == ({"role": "user", "content": "q"},)
    worked = {"question": "q", "answer": "1+1\n#### 2"}
    named = {"answer_pattern": "#### (.*)"}
    item = suite(tmp_path, eval=write(tmp_path, "gsm", [worked]), columns=named).loaded["eval"].items[0]
    assert (item.answer, item.trace) == ("2", "1+1\n#### 2")


def test_the_pin_has_the_sizes_of_sets_and_training_rows(tmp_path):
    opened = suite(tmp_path, all=write(tmp_path, "a", rows("a")))
    pin = opened.pin()
    for kind in SETS:
        assert pin.sets[kind] == {domain: len(opened.pool(kind, domain)) for domain in pin.sets[kind]}
    assert sum(pin.train.values()) == len(opened.training(0, ""))
    assert sum(sum(sizes.values()) for sizes in pin.sets.values()) + sum(pin.train.values()) == 300
    assert suite(tmp_path, dev=write(tmp_path, "d", rows("d"))).pin().sets.keys() == {"dev", "confirm"}


def test_a_changed_file_or_setting_is_noticed(tmp_path):
    name = write(tmp_path, "a", rows("a"))
    rule = suite(tmp_path, all=name).rule
    rule = rule.model_copy(update={"pin": suite(tmp_path, all=name).pin()})
    check_pin(rule, open_suite(rule, FolderPlaces(tmp_path)))
    other = rule.model_copy(update={"columns": rule.columns.model_copy(update={"answer_pattern": r"\d"})})
    with pytest.raises(ItemsChanged):
        check_pin(other, open_suite(other, FolderPlaces(tmp_path)))
    write(tmp_path, "a", rows("a", 299))
    with pytest.raises(
        ItemsChanged, match=r"suites\.mine: its items or settings have hash .*; restore them, or start a new"
    ):
        check_pin(rule, open_suite(rule, FolderPlaces(tmp_path)))


@pytest.mark.parametrize(
    ("content", "fields", "message"),
    [
        ("", {}, r"suites\.mine\.eval: .*f\.jsonl: no record can be read \(it is empty\)"),
        ("{x\n{y\n", {}, r"no record can be read \(not_json 2\)"),
        (
            '{"question": "", "answer": "1"}\n',
            {},
            r"none of its 1 records makes an item \(no_prompt 1\); correct `columns`",
        ),
        ('{"text": "a"}\n', {}, "columns: no question among text; name it"),
        ('{"question": "a"}\n', {"columns": {"answer": "gold"}}, r"columns\.answer: there is no column 'gold'"),
    ],
)
def test_a_file_without_items_is_refused_by_name(tmp_path, content, fields, message):
    (tmp_path / "f.jsonl").write_text(content)
    with pytest.raises(SuiteRefused, match=message):
        suite(tmp_path, eval="f.jsonl", **fields).pin()


def test_an_absent_file_and_a_suite_without_files_are_refused(tmp_path):
    with pytest.raises(SuiteRefused, match=r"'gone\.jsonl' does not exist"):
        suite(tmp_path, eval="gone.jsonl").pin()
    with pytest.raises(SuiteRefused, match=r"suites\.mine: it names no file; give eval, all, or dev and target"):
        suite(tmp_path)
