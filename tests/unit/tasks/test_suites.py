"""Suites are opened by their kind and judged by the scorers that a campaign names."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from schemas.campaign import Campaign, ItemSet
from schemas.suites import KINDS as SCHEMA_KINDS
from schemas.suites import AnySuite, PuzzlesSuite, ScorerRule
from services.runtime.places import places
from services.runtime.settings import Settings
from tasks.item import Item
from tasks.registry import EXTRAS, KINDS, PROCESSES, check_code, open_all, open_suite
from tasks.scorers.scorer import ScoreInvalid
from tasks.scoring import Scoring, columns_of
from tasks.suite import ItemsChanged, SuiteRefused, UserCodeFailed
from tests.typed import instance

ITEMS = [Item("sums", 0, 0, "1 + 1?", "2", "", "a", {"level": 1}), Item("sums", 0, 0, "2 + 2?", "4", "", "b")]

SCORERS = """
def half(prompts, completions, *, level, **columns):
    return [0.5 if one is not None else None for one in level]

def strict(completions, answer, bonus):
    return [bonus * (c == a) for c, a in zip(completions, answer)]

def short(completions):
    return [1.0]

def outside(completions):
    return [2.0 for _ in completions]

def nan(completions):
    return [float("nan") for _ in completions]

def text(completions):
    return ["1" for _ in completions]

def raises(completions):
    raise ValueError("no")
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scorers")
    (folder / "mine.py").write_text(SCORERS)
    with places(Settings(task_path=str(folder))) as here:
        yield here


def rules(*values) -> tuple[ScorerRule, ...]:
    return tuple(ScorerRule.model_validate(value) for value in values)


def scoring(here, *values) -> Scoring:
    return Scoring.of(open_suite(puzzles(), here), rules(*values), here)


def puzzles(**fields) -> PuzzlesSuite:
    given = {"kind": "puzzles", "name": "riddles", "domains": ["bits"], **fields}
    return instance(PuzzlesSuite, TypeAdapter[AnySuite](AnySuite).validate_python(given))


def test_every_kind_of_the_schema_has_a_module():
    assert tuple(KINDS.builtin) == SCHEMA_KINDS
    for target in (*KINDS.builtin.values(), *(f"{name}:" for name in PROCESSES.values())):
        assert Path(target.partition(":")[0].replace(".", "/") + ".py").is_file()
    assert EXTRAS.keys() == PROCESSES.keys()


def test_puzzles_are_a_suite_that_generates(here):
    suite = open_suite(puzzles(domains=["bits", "roman"]), here)
    items = suite.generate("dev", "roman", ItemSet(items=5), "s")
    assert {item.domain for item in items} == {"roman"}
    assert suite.pool("dev", "roman") is None
    assert [item.domain for item in suite.training(5, "s")] == ["bits", "roman", "bits", "roman", "bits"]
    judged = Scoring.of(suite, (), here).items(
        items, [f"\\boxed{{{item.answer}}}" for item in items[:4]] + ["\\boxed{no}"]
    )
    assert judged.values == [1.0] * 4 + [0.0]
    with pytest.raises(SuiteRefused, match=r"suites\.riddles\.domains: 'bit' is no family; use bits"):
        open_suite(puzzles(domains=["bit"]), here)


def test_scorers_are_added_by_weight_and_each_part_is_kept(here):
    judged = scoring(here, {"kind": "exact", "weight": 3}, "mine.py:half").items(ITEMS, ["2", "5"])
    assert judged.parts == {"exact": [1.0, 0.0], "mine.py:half": [0.5, None]}
    assert judged.values == [0.875, 0.0]


def test_two_scorers_of_one_kind_are_two_parts(here):
    judged = scoring(here, "exact", {"kind": "exact", "ignore_case": True}).items(ITEMS, ["2", "4"])
    assert list(judged.parts) == ["exact", "exact 2"]


def test_a_scorer_of_a_user_gets_columns_and_options(here):
    assert scoring(here, {"kind": "mine.py:strict", "bonus": 0.25}).items(ITEMS, ["2", "5"]).values == [0.25, 0.0]


def test_columns_with_the_names_of_other_arguments_are_left_out():
    item = Item("d", 0, 0, "p", "a", "", "c", {"prompts": 1, "completions": 2, "self": 3, "answer": "x", "more": 4})
    assert columns_of([item]) == {"more": [4], "answer": ["a"], "domain": ["d"]}


@pytest.mark.parametrize(
    ("function", "failure", "message"),
    [
        ("short", ScoreInvalid, "mine.py:short returned 1 scores for 2 completions"),
        ("outside", ScoreInvalid, r"mine\.py:outside: score 0 is 2\.0"),
        ("nan", ScoreInvalid, r"mine\.py:nan: score 0 is nan"),
        ("text", ScoreInvalid, r"mine\.py:text: score 0 is '1'"),
        ("raises", UserCodeFailed, r"mine\.py:raises: ValueError: no \(mine\.py:\d+\)"),
        ("absent", UserCodeFailed, "there is no function absent; the functions are half, strict"),
        (
            "strict",
            UserCodeFailed,
            r"mine\.py:strict: its signature is strict\(.*bonus.*\), .* cannot be called .*'bonus'.* by name as strict",
        ),
    ],
)
def test_a_scorer_that_does_not_judge_is_named(here, function, failure, message):
    with pytest.raises(failure, match=message):
        scoring(here, f"mine.py:{function}").items(ITEMS, ["2", "4"])


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("exakt", r"suites\.score: 'exakt' is not known; use one of exact, .* or give FILE\.py:function"),
        ({"kind": "exact", "colour": "red"}, r"suites\.riddles\.score: exact: .*option 'colour' is not known"),
        ({"kind": "regex"}, r"suites\.riddles\.score: regex: .*pattern"),
    ],
)
def test_a_scorer_that_is_not_known_is_refused(here, rule, message):
    with pytest.raises(SuiteRefused, match=message):
        scoring(here, rule)


def test_a_changed_scorer_is_noticed(here):
    code = here.code("mine.py")
    (pinned,) = rules({"kind": "mine.py:half", "sha256": here.code_sha256("mine.py")})
    rule = puzzles().model_copy(update={"score": (pinned,)})
    check_code(rule, here)
    code.write_text(SCORERS + "\n# other\n")
    with pytest.raises(ItemsChanged, match=r"suites\.riddles\.score: mine\.py:half has hash"):
        check_code(rule, here)
    code.write_text(SCORERS)


def test_the_suites_of_a_campaign_are_opened_together(here):
    names = {"first": "bits", "second": "roman"}
    campaign = Campaign.model_validate(
        {
            "name": "both",
            "constitution": {
                "suites": [puzzles(name=n, domains=[d]).model_dump(exclude_none=True) for n, d in names.items()],
                "domains": list(names.values()),
                "evaluation": {kind: {"items": 2} for kind in ("dev", "confirm", "external", "final")},
                "budget": {"external_queries": 2},
                "space": [{"knob": "rank", "values": [8, 16]}],
                "data": {"sources": [{"kind": "files", "name": "t", "domain": "bits", "paths": ["t"]}]},
            },
        }
    )
    opened = open_all(campaign.constitution, here)
    assert list(opened) == list(names)
    for (suite, judge), domain in zip(opened.values(), names.values(), strict=True):
        items = suite.generate("dev", domain, ItemSet(items=2), "s")
        assert judge.items(items, [f"\\boxed{{{item.answer}}}" for item in items]).values == [1.0, 1.0]
