"""Texts are equal, contained or matched as people write them, in bounded time."""

import time

import pytest
from hypothesis import assume, given

from tasks.scorers import child_process
from tasks.scoring import SCORERS
from tests.unit.scored_texts import TEXT, score


@pytest.mark.parametrize(
    ("reference", "completion", "right"),
    [
        ("Paris", "Paris", 1),
        ("Paris", "  paris \n", 1),
        ("Paris", "The answer is Paris.", 1),
        ("Paris", "**Answer:** Paris", 1),
        ("Paris", "Answer:Paris", 1),
        ("Paris", "Answer:\nParis", 1),
        ("Paris", "The answer is **Paris**. It is the capital of France.", 1),
        ("Mr. Smith", "The answer is Mr. Smith", 1),
        ("Paris", "I think of France.\n\nParis\n", 1),
        ("Paris", r"So \boxed{Paris}, as \boxed{} shows", 1),
        ("Paris", "It is known\n#### Paris\n", 1),
        ("Paris", "Paris is the capital", 0),
        ("Paris", "Rome", 0),
        ("Paris", "", 0),
        ("", "Paris", None),
        (" ", "", None),
        ("2³", "23", 0),
        ("cafe\u0301", "caf\u00e9", 1),
        ("\ufb01ne", "fine", 0),
        ("Stra\u00dfe", "Strasse", 0),
        ("one\ntwo", "one\ntwo", 1),
        ("steps\n#### 48", "#### 48", 1),
        (r"Thus \boxed{x^{2}}.", r"\boxed{x^{2}}", 1),
        ("NA", "na", 1),
        ("007", "7", 0),
    ],
)
def test_exact(reference, completion, right):
    assert score("exact", completion, reference) == right


def test_exact_follows_its_options():
    assert score("exact", "paris", "Paris", ignore_case=False) == 0
    assert score("exact", "Hello world!", "hello, world", ignore_punctuation=True) == 1
    assert score("exact", "Hello world!", "hello, world") == 0
    assert score("exact", "35", "3.5", ignore_punctuation=True) == 0
    assert score("exact", "5", "-5", ignore_punctuation=True) == 0
    assert score("exact", "C++", "C", ignore_punctuation=True) == 0


@pytest.mark.parametrize(
    ("completion", "options", "right"),
    [
        ("x = 3, x = 4", {"pattern": r"x = (\d)"}, 1),
        ("x = 4, x = 3", {"pattern": r"x = (\d)"}, 0),
        ("3 4", {"pattern": r"\d"}, 1),
        ("4 3", {"pattern": r"\d"}, 0),
        ("4", {"pattern": r"y(\d)"}, 0),
        ("4", {"pattern": r"(y)?4"}, 1),
        ("anything", {"pattern": r"(?s)^<think>.*</think>", "match": True}, 0),
        ("<think>\n</think> 4", {"pattern": r"(?s)^<think>.*</think>", "match": True}, 1),
        ("", {"pattern": r"^$", "match": True}, 1),
    ],
)
def test_regex(completion, options, right):
    assert score("regex", completion, "4", **options) == right


def test_regex_ends_on_a_pattern_that_backtracks(monkeypatch):
    monkeypatch.setitem(child_process.CPU_SECONDS, "find", 0.3)
    start = time.monotonic()
    assert score("regex", "a" * 5000 + "b", "a", pattern="(a+)+$") == 0
    assert score("numeric", "a" * 5000 + "b", "1", answer="regex:(a+)+$") == 0
    assert score("regex", "a" * 5000 + "b", "a", pattern="(a+)+$", match=True) == 0
    assert time.monotonic() - start < 60


def test_a_format_reward_needs_no_reference():
    assert SCORERS.get("regex")(pattern="a", match=True)(["p", "p"], ["a", "b"], answer=["", ""]) == [1, 0]
    assert SCORERS.get("length")(most=2)(["p"] * 4, ["a b", "a b c", "a b c d", "a " * 9], answer=[""] * 4) == [
        1,
        0.5,
        0,
        0,
    ]


@pytest.mark.parametrize(
    ("reference", "completion", "right"),
    [
        ("Paris", "It is paris, France", 1),
        ("Paris", "Parisian", 0),
        ("new york", "In New York.", 1),
        ("5", "it is 5.", 1),
        ("5", "it is 5.3", 0),
        ("5", "it is 1,005", 0),
        ("5", "it is 1.5", 0),
        ("5", "it is -5", 0),
        ("-5", "it is -5", 1),
        ("5", "A-5 is full", 1),
        ("5", "15 and 5", 1),
        ("C++", "in C++ or", 1),
        ("Paris", "", 0),
        ("", "Paris", None),
    ],
)
def test_contains(reference, completion, right):
    assert score("contains", completion, reference) == right


def test_contains_follows_its_option():
    assert score("contains", "paris", "Paris", ignore_case=False) == 0


@pytest.mark.parametrize(
    ("reference", "completion", "right"),
    [
        ("3.14", r"\boxed{3.15}", 1),
        ("101", r"\boxed{0101}", 0),
        ("XIV", "Final answer: xiv", 1),
        ("7", r"\boxed{}", 0),
        ("", r"\boxed{7}", None),
    ],
)
def test_boxed_is_the_challenges_scorer(reference, completion, right):
    assert score("boxed", completion, reference) == right


@given(TEXT)
def test_any_text_equals_itself(text):
    assume(text.strip())
    assert score("exact", text, text) == 1
