"""A user's module as a suite: it must give the same rows for the same arguments, enough of them, and usable ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.campaign import ItemSet
from schemas.suites import PythonSuite
from services.runtime.places import places
from services.runtime.settings import Settings
from tasks.python import Python
from tasks.registry import check_pin
from tasks.suite import ItemsChanged, SuiteRefused, UserCodeFailed

GOOD = """
import random

def rows(split, seed, n, top=100):
    rng = random.Random(f"{split}/{seed}")
    offset = ["train", "dev", "confirm", "target", "final"].index(split) * 1000
    made = []
    for _ in range(n):
        a, b = rng.randrange(top), rng.randrange(top)
        made.append({"prompt": f"{offset} + {a} + {b}?", "answer": offset + a + b,
                     "domain": "even" if a % 2 else "odd"})
    return made

def score(prompts, completions, answer):
    return [float(c.strip() == a) for c, a in zip(completions, answer)]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("code")


@pytest.fixture(scope="module")
def here(folder):
    with places(Settings(task_path=str(folder))) as here:
        yield here


def suite(here, folder, name: str, code: str, **fields) -> Python:
    (folder / f"{name}.py").write_text(code)
    return Python(PythonSuite.model_validate({"name": "mine", "file": f"{name}.py", **fields}), here)


@pytest.fixture
def good(here, folder):
    return suite(here, folder, "good", GOOD, domains=["even", "odd"])


def constant(rows: str) -> str:
    return f"def rows(split, seed, n):\n    return {rows}\n"


def test_every_domain_gets_its_number_of_items(good):
    for domain in ("even", "odd"):
        items = good.generate("external", domain, ItemSet(items=30), "s")
        assert len({item.core for item in items}) == 30
        assert {item.domain for item in items} == {domain}
    assert items == good.generate("external", "odd", ItemSet(items=30), "s")
    assert items != good.generate("external", "odd", ItemSet(items=30), "t")
    assert items[0].prompt.startswith("3000 + ")


def test_the_modules_score_judges(good):
    item = good.generate("dev", "odd", ItemSet(items=1), "s")[0]
    assert good.score([item.prompt] * 2, [item.answer, "7"], answer=[item.answer] * 2, domain=["odd"] * 2) == [1.0, 0.0]


def test_the_pin_names_sets_and_training_rows(good):
    sizes = {"even": 0, "odd": 0}
    pin = good.pin()
    assert pin.sets == dict.fromkeys(("dev", "confirm", "external", "final"), sizes)
    assert pin.train == sizes
    assert len(good.training(10, "s")) == 10
    assert good.pin() == pin


def test_options_are_arguments_of_rows(here, folder):
    few = suite(here, folder, "good", GOOD, domains=["even", "odd"], options={"top": 2})
    with pytest.raises(
        SuiteRefused, match=r"gave 2 different items of the domain odd, 30 are needed; return more, or lower"
    ):
        few.generate("dev", "odd", ItemSet(items=30), "s")


def test_a_split_without_rows_is_a_set_that_the_suite_does_not_have(here, folder):
    code = GOOD.replace("    made = []", '    made = []\n    if split in ("train", "final"):\n        return made')
    pin = suite(here, folder, "partly", code, domains=["even", "odd"]).pin()
    assert list(pin.sets) == ["dev", "confirm", "external"]
    assert pin.train == {}
    assert suite(here, folder, "partly", code, domains=["even", "odd"]).training(5, "s") == []


def test_rows_that_differ_from_call_to_call_are_refused(here, folder):
    code = "import random\n" + constant('[{"prompt": str(random.random()), "answer": "1"} for _ in range(n)]')
    with pytest.raises(
        SuiteRefused, match=r"suites\.mine: rows\('train', 'pin', 8\) gave other rows the second time; draw"
    ):
        suite(here, folder, "random_rows", code).pin()


def test_rows_that_differ_from_process_to_process_are_noticed(here, folder):
    code = "import os\n" + constant('[{"prompt": f"{split} {os.getpid()} {i}", "answer": "1"} for i in range(n)]')
    opened = suite(here, folder, "processes", code)
    rule = opened.rule.model_copy(update={"pin": opened.pin()})
    check_pin(rule, opened)
    with places(Settings(task_path=str(folder))) as other, pytest.raises(ItemsChanged, match="its items or settings"):
        check_pin(rule, Python(rule, other))


def test_a_changed_file_is_noticed(here, folder):
    opened = suite(here, folder, "changing", GOOD, domains=["even", "odd"])
    rule = opened.rule.model_copy(update={"pin": opened.pin()})
    (folder / "changing.py").write_text(GOOD + "\n# better\n")
    with pytest.raises(ItemsChanged, match=r"suites\.mine: .*restore them, or start a new campaign"):
        check_pin(rule, opened)


def test_a_module_that_ignores_the_split_is_refused(here, folder):
    code = constant('[{"prompt": f"{i}?", "answer": i} for i in range(n)]')
    with pytest.raises(SuiteRefused, match=r"gave the same questions; give each split its own"):
        suite(here, folder, "same", code).pin()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("7", r"rows\('train', 'pin', 8\) returned int; return a list of dictionaries, one per row"),
        ("None", "returned NoneType"),
        ("['a', 'b']", "returned a list of other values"),
        ("[{'text': 'a'}]", r"row 0 of rows\('train', 'pin', 8\): columns: no question among text"),
        ("[{'prompt': split, 'answer': '1'}, {'prompt': ' ', 'answer': '1'}]", "row 1 .*: no_prompt; give it a prompt"),
        ("[{'prompt': split, 'answer': {}}]", "row 0 .*: not_text"),
        ("[{'prompt': split, 'answer': '1', 'domain': 'other'}]", "domain 'other' is not one of suites.mine.domains"),
    ],
)
def test_rows_that_make_no_items_are_refused_by_name(here, folder, rows, message):
    with pytest.raises(SuiteRefused, match=message):
        suite(here, folder, f"bad{abs(hash(rows))}", constant(rows)).pin()


def test_numbers_that_are_none_do_not_disturb_the_hash(here, folder):
    code = constant('[{"prompt": f"{split} {i}", "answer": i, "weight": float("nan")} for i in range(n)]')
    item = suite(here, folder, "nan", code).generate("dev", "mine", ItemSet(items=1), "s")[0]
    assert item.columns == {"weight": None}
    assert suite(here, folder, "nan", code).pin() == suite(here, folder, "nan", code).pin()


def test_too_few_rows_are_refused_with_their_number(here, folder):
    code = constant('[{"prompt": f"{split} {i % 5}", "answer": "1"} for i in range(n)]')
    opened = suite(here, folder, "few", code)
    assert len(opened.generate("final", "mine", ItemSet(items=5), "s")) == 5
    with pytest.raises(
        SuiteRefused, match=r"rows\('final', .*, 24\) gave 5 different items .* 6 are needed;.*evaluation\.final"
    ):
        opened.generate("final", "mine", ItemSet(items=6), "s")


def test_an_error_in_the_module_names_its_line(here, folder):
    with pytest.raises(
        UserCodeFailed, match=r"raising\.py:rows: ZeroDivisionError: division by zero \(raising\.py:2\)"
    ):
        suite(here, folder, "raising", constant("1 / 0")).pin()


def test_a_module_without_rows_names_what_it_has(here, folder):
    with pytest.raises(UserCodeFailed, match="there is no function rows; the functions are score"):
        suite(here, folder, "no_rows", "def score(completions):\n    return [1.0 for _ in completions]\n").pin()
