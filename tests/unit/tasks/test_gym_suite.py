"""Tasks of reasoning-gym as a suite: disjoint sets, the same in every process, judged where no secret is."""

from __future__ import annotations

import json
import sys
from importlib import metadata

import pytest

from schemas.campaign import ItemSet
from schemas.suites import GymSuite
from services.runtime.places import places
from services.runtime.settings import Settings
from tasks import gym_process
from tasks.formats import core_of
from tasks.gym import Gym
from tasks.registry import open_suite
from tasks.split import split_of
from tasks.suite import SuiteRefused
from tests.typed import there

reasoning_gym = pytest.importorskip("reasoning_gym")

WITHOUT_ANSWER = {"boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"}
"""Data sets that judge an answer without having one."""

ANY_ANSWER = {"game_of_life_halting"}
"""Data sets that accept any answer."""

SLOW = {"knight_swap", "sokoban", "arc_agi"}
"""Data sets that take more than a second for an entry."""


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with places(Settings(task_path=str(tmp_path_factory.mktemp("tasks")))) as here:
        yield here


def suite(here, *tasks, **fields) -> Gym:
    return Gym(GymSuite(name="gym", tasks=tasks, **fields), here)


def items(here, n: int, *tasks, kind="dev", seed="s", **fields):
    opened = suite(here, *tasks, **fields)
    return opened.generate(kind, next(iter(opened._tasks)), ItemSet(items=n), seed)


def test_the_items_of_the_sets_are_different_and_belong_to_their_split(here):
    sets = {kind: items(here, 15, "leg_counting", kind=kind) for kind in ("dev", "confirm", "external", "final")}
    for kind, drawn in sets.items():
        assert {split_of("leg_counting", item.core) for item in drawn} == {kind}
        assert {item.core for item in drawn} == {core_of(item.prompt) for item in drawn}
    assert len({item.core for drawn in sets.values() for item in drawn}) == 60


def test_the_same_seed_gives_the_same_items_and_another_seed_others(here):
    first = items(here, 20, "chain_sum")
    assert items(here, 20, "chain_sum") == first
    assert items(here, 5, "chain_sum") == first[:5]
    assert items(here, 20, "chain_sum", seed="other") != first


def test_a_data_set_that_depends_on_hashes_of_texts_is_the_same_in_another_process(here, monkeypatch, tmp_path):
    first = items(here, 5, "isomorphic_strings")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    with places(Settings(task_path=str(tmp_path))) as other:
        assert items(other, 5, "isomorphic_strings") == first


def test_the_target_has_settings_of_its_own(here):
    task = {"task": "chain_sum", "settings": {"max_terms": 2}, "target": {"min_terms": 6, "max_terms": 6}}
    for kind, terms in (("dev", 2), ("confirm", 2), ("external", 6), ("final", 6)):
        questions = [item.prompt.partition(": ")[2] for item in items(here, 5, task, kind=kind)]
        assert {sum(sign in "+-" for sign in text.split()) + 1 for text in questions} == {terms}, questions


def test_an_answer_is_judged_by_its_data_set_wherever_it_stands(here):
    opened = suite(here, "chain_sum")
    item = opened.generate("dev", "chain_sum", ItemSet(items=1), "s")[0]
    entry = item.columns["entry"]
    wrong = str(int(item.answer) + 1)
    outputs = [
        f"steps\n#### {item.answer}",
        f"so \\boxed{{{item.answer}}}",
        f"<answer>{item.answer}</answer> is it",
        f"it is\n{item.answer}",
        wrong,
        "",
    ]
    scores = opened.score([item.prompt] * 6, outputs, entry=[entry] * 6, answer=[item.answer] * 6)
    assert scores[:4] == [1.0] * 4
    assert all(there(score) < 1.0 for score in scores[4:])


def test_a_row_of_another_source_is_not_judged(here):
    opened = suite(here, "chain_sum")
    assert opened.score(["p"], ["4"], answer=["4"]) == [None]
    item = opened.generate("dev", "chain_sum", ItemSet(items=1), "s")[0]
    scores = opened.score(["p", item.prompt], ["4", item.answer], entry=[None, item.columns["entry"]])
    assert scores == [None, 1.0]


def test_an_entry_with_tuples_is_judged_after_json(here):
    for name in ("rearc", "letter_jumble"):  # their metadata hold tuples, and the first compares them
        item = items(here, 1, name)[0]
        column = json.loads(json.dumps(item.columns["entry"]))
        assert suite(here, name).score([item.prompt], [item.answer], entry=[column]) == [1.0]


def test_training_rows_are_of_the_train_split_and_all_tasks_alike(here):
    rows = suite(here, "chain_sum", "gcd", "rush_hour").training(9, "s")  # the third has no answers
    assert [row.domain for row in rows] == ["chain_sum", "gcd"] * 3
    assert all(split_of(row.domain, row.core) == "train" and row.answer for row in rows)


def test_too_small_a_space_is_refused_with_its_remedy(here):
    task = {"task": "coin_flip", "settings": {"min_trials": 1, "max_trials": 1}}
    with pytest.raises(
        SuiteRefused, match=r"suites\.gym\.tasks: coin_flip has \d+ .* 5000 are needed; widen its settings"
    ):
        items(here, 5000, task)


def test_an_unknown_task_is_refused_with_near_names(here):
    with pytest.raises(SuiteRefused, match="'chain_sums' is no data set of reasoning-gym; did you mean chain_sum"):
        suite(here, "chain_sums").pin()


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            {"task": "chain_sum", "settings": {"colour": "red"}},
            'does not take the settings {"colour": "red"}: .*colour',
        ),
        ({"task": "chain_sum", "target": {"min_terms": 9, "max_terms": 2}}, "does not take the settings"),
        ("composite", "does not take the settings {}: Must specify at least one dataset"),
        ("game_of_life_halting", "its own score function accepts any answer; name a scorer"),
    ],
)
def test_settings_that_a_task_does_not_take_are_refused_at_the_start(here, task, message):
    with pytest.raises(SuiteRefused, match=message):
        suite(here, task).pin()


def test_a_task_that_accepts_any_answer_can_be_used_with_a_scorer(here):
    assert suite(here, "game_of_life_halting", score="exact").pin().sets["dev"] == {"game_of_life_halting": 0}


def test_a_task_named_twice_and_a_wrong_pattern_are_refused(here):
    with pytest.raises(SuiteRefused, match=r"suites\.gym\.tasks: gcd is named 2 times"):
        suite(here, "gcd", "gcd")
    with pytest.raises(SuiteRefused, match=r"suites\.gym\.answer: '\(' is no regular expression"):
        suite(here, "gcd", answer="(")


def test_the_pin_depends_on_settings_and_release(here, monkeypatch):
    pin = suite(here, "gcd").pin()
    assert pin.sets == {kind: {"gcd": 0} for kind in ("dev", "confirm", "external", "final")}
    assert pin == suite(here, "gcd").pin()
    assert pin.sha256 != suite(here, {"task": "gcd", "settings": {"max_value": 50}}).pin().sha256
    monkeypatch.setattr("tasks.gym.VERSION", "9")
    assert pin.sha256 != suite(here, "gcd").pin().sha256


@pytest.mark.parametrize(
    ("part", "text", "answer"),
    [
        ("auto", "a\n#### 1\n2", "1\n2"),
        ("auto", "#### \\boxed{3}", "\\boxed{3}"),
        ("auto", "x \\boxed{\\frac{1}{2}} y", "\\frac{1}{2}"),
        ("auto", "x \\boxed{1} \\boxed{2", "2"),
        ("auto", "<answer>1</answer> or <answer>2</answer> end", "2"),
        ("auto", "I think\n7", "7"),
        ("whole", " a\nb ", "a\nb"),
        ("boxed", "no box", ""),
        ("last_line", "#### 1\nlast ", "last"),
        (r"is (\d+)", "it is 3, it is 4!", "4"),
        (r"\d+", "3 and 4", "4"),
        (r"is (\d+)", "nothing", ""),
    ],
)
def test_the_answer_is_cut_out_of_an_output(part, text, answer):
    assert gym_process.answer_of(text, part, "7") == answer


def test_without_a_mark_as_many_lines_as_the_reference_has_are_the_answer():
    assert gym_process.answer_of("Let me see\n1 2\n3 4\n", "auto", "5 6\n7 8") == "1 2\n3 4"


def test_an_answer_that_never_ends_is_wrong_and_the_next_one_is_judged(here, monkeypatch):
    monkeypatch.setattr(gym_process, "CPU_SECONDS", 0.3)
    drawn = gym_process.entries_of(reasoning_gym, "countdown", {}, 1, 1, 0, split_of_first("countdown"), 1, 10)
    _, answer, entry = drawn["entries"][0]
    scores = gym_process.score(reasoning_gym, [entry] * 3, ["9**9**9**9", answer, "1 +"], "whole")
    assert scores[0] == 0.0
    assert scores[1] == 1.0
    assert scores[2] < 1.0


def split_of_first(task: str) -> str:
    entry = reasoning_gym.create_dataset(task, seed=1, size=1)[0]
    return split_of(task, core_of(entry["question"]))


def test_an_answer_is_not_run_as_a_program(here, tmp_path):
    item = items(here, 1, "spiral_matrix")[0]
    opened, entry = suite(here, "spiral_matrix"), [item.columns["entry"]]
    (score,) = opened.score([item.prompt], [f"[{item.answer.replace(' ', ', ')}]"], entry=entry)
    assert there(score) > 0
    assert opened.score([item.prompt], ["entry['answer'].split()"], entry=entry)[0] == 0.0


def test_without_the_package_the_extra_is_named(here, monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.delitem(sys.modules, "tasks.gym")
    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(
        SuiteRefused, match=r"suites\.gym: kind 'gym' needs reasoning-gym, .*pip install 'aevolve\[gym\]'"
    ):
        open_suite(GymSuite(name="gym", tasks=("gcd",)), here)


def test_every_data_set_gives_its_own_answer_full_marks_after_json(here):
    """Also a wrong answer less, where the data set has an answer at all."""
    from reasoning_gym.factory import DATASETS

    names = sorted(set(DATASETS) - SLOW - ANY_ANSWER - {"composite"})
    rows = []
    for name in names:
        drawn = here.call(
            "reasoning_gym",
            "tasks.gym_process:entries_of",
            {
                "task": name,
                "settings": {},
                "seed": 3,
                "size": 30,
                "start": 0,
                "split": "train",
                "most": 1,
                "seconds": 20,
            },
        )
        rows += [(name, answer, entry) for _, answer, entry in drawn["entries"]]
    assert len(rows) == len(names) > 95
    opened, texts, entries = suite(here, *names), [f"I think\n{row[1]}" for row in rows], [row[2] for row in rows]
    right = opened.score([""] * len(rows), texts, entry=entries)
    wrong = opened.score([""] * len(rows), ["The sky is green."] * len(rows), entry=entries)
    assert {row[0] for row, score in zip(rows, right, strict=True) if score != 1.0} == WITHOUT_ANSWER
    assert {row[0] for row, score in zip(rows, wrong, strict=True) if there(score) >= 1.0} == set()
