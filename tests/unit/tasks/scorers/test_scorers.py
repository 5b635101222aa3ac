"""Every scorer gives any text a score in bounded time, and refuses wrong options and wrong scores."""

import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.plugins import UnknownName
from tasks.scorers.scorer import ScoreInvalid, checked, combine
from tasks.scoring import SCORERS
from tests.typed import there
from tests.unit.scored_texts import PIECES, TEXT, score

BUILTIN: list[tuple[str, dict[str, Any]]] = [
    ("exact", {}),
    ("exact", {"ignore_punctuation": True}),
    ("numeric", {}),
    ("numeric", {"units": "require", "answer": "last_line"}),
    ("choice", {}),
    ("contains", {}),
    ("boxed", {}),
    ("length", {"most": 3}),
    ("regex", {"pattern": "(x)|y"}),
]


@settings(deadline=None)
@given(st.sampled_from(BUILTIN), TEXT | PIECES, TEXT | PIECES, TEXT | st.just(""))
def test_any_text_gets_a_score(scorer, completion, reference, prompt):
    name, options = scorer
    values = SCORERS.get(name)(**options)([prompt], [completion], answer=[reference], choices=[reference])
    assert checked(name, values, 1) == values
    assert name == "length" or values[0] in (0.0, 1.0, None)
    assert not (name not in ("length", "boxed") and not reference.strip()) or values == [None]


LONG = [
    "1" * 100_000,
    "1," * 50_000,
    "1,111" * 20_000 + "^",
    ",111" * 25_000 + "^",
    "1 111" * 20_000 + "^",
    "1/" * 50_000,
    "1e9999 " * 14_000,
    "-" * 100_000,
    " " * 100_000 + "1",
    "\n" * 100_000,
    "{" * 100_000,
    "\\boxed{" * 14_000,
    "\\boxed{}" * 12_000,
    "\\boxed{\n" * 12_000,
    "\\frac{" * 16_000,
    "answer is " * 10_000,
    "final answer" + " " * 100_000,
    "####" * 25_000,
    "(A)" * 33_000,
    "A. \n" * 25_000,
    "$" * 100_000,
    "\x00\x1b[0m\u202e" * 16_000,
    "a" * 100_000,
    "\\" * 100_000,
    "." * 100_000,
    "a " * 50_000,
]


@pytest.mark.parametrize("text", LONG, ids=lambda text: repr(text[:8]))
def test_long_texts_are_scored_in_bounded_time(text):
    start = time.process_time()
    for name, options in BUILTIN:
        for reference in ("12", "B"):
            score(name, text, reference, "a", **options)
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("scorer", "options", "message"),
    [
        ("exact", {"case": True}, r"suites.score.exact: option 'case' is not known; use one of ignore_case, ignore_p"),
        ("exact", {"ignore_case": "no"}, r"suites.score.exact.ignore_case: 'no'; use true or false"),
        ("numeric", {"tolerance": -1}, r"numeric.tolerance: -1; use a number of at least 0"),
        ("numeric", {"tolerance": True}, r"numeric.tolerance: True; use a number"),
        ("numeric", {"tolerance": float("nan")}, r"numeric.tolerance: nan; use a number"),
        ("numeric", {"absolute": "1"}, r"numeric.absolute: '1'; use a number"),
        ("numeric", {"units": "km"}, r"numeric.units: 'km'; use one of ignore, require"),
        (
            "numeric",
            {"answer": "last"},
            r"numeric.answer: 'last'; use one of auto, whole, last_line, hash, boxed, tag:NAME",
        ),
        ("numeric", {"answer": "tag:"}, r"numeric.answer: 'tag:'; use one of"),
        ("numeric", {"answer": "hash:x"}, r"numeric.answer: 'hash:x'; use one of"),
        ("numeric", {"answer": "regex:("}, r"numeric.answer: 'regex:\('; correct the regular expression: missing \)"),
        ("choice", {"answer": 3}, r"choice.answer: 3; use one of"),
        ("regex", {}, r"regex.pattern: missing; write a regular expression"),
        ("regex", {"pattern": "[a"}, r"regex.pattern: '\[a'; correct the regular expression"),
        ("regex", {"pattern": "a", "match": 1}, r"regex.match: 1; use true or false"),
        ("length", {}, r"length.most: missing; use a whole number of at least 1"),
        ("length", {"most": 0}, r"length.most: 0; use a whole number of at least 1"),
        ("boxed", {"answer": "auto"}, r"boxed: option 'answer' is not known; remove it, the scorer has no options"),
        ("contains", {"pattern": "x"}, r"contains: option 'pattern' is not known; use one of ignore_case"),
        ("math", {"tolerance": 1}, r"math: option 'tolerance' is not known; use one of answer"),
    ],
)
def test_a_wrong_option_is_refused_with_field_value_and_remedy(scorer, options, message):
    with pytest.raises(ValueError, match=message):
        SCORERS.get(scorer)(**options)


def test_an_unknown_scorer_is_refused():
    with pytest.raises(UnknownName, match=r"suites\.score: 'bleu' is not known; use one of exact, numeric, choice"):
        SCORERS.get("bleu")


def test_scores_are_combined_by_weight_over_the_scorers_that_apply():
    assert combine([(3.0, [1.0, 1.0, None, None]), (1.0, [0.0, None, 0.5, None])]) == [0.75, 1.0, 0.5, None]
    assert combine([]) == []
    with pytest.raises(ValueError, match="shorter"):
        combine([(1.0, [1.0, 1.0]), (1.0, [1.0])])


@given(st.lists(st.tuples(st.floats(1e-6, 1e6), st.floats(0, 1)), min_size=1))
def test_a_combined_score_stays_in_range(parts):
    (value,) = combine([(weight, [score]) for weight, score in parts])
    assert 0 <= there(value) <= 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0], "mine returned 1 scores for 2 completions"),
        (None, "mine returned NoneType; return a list of 2 numbers"),
        ("10", "mine returned str"),
        (iter([1, 0]), "mine returned list_iterator"),
        ([1.0, "1"], "mine: score 1 is '1'; return a number"),
        ([float("nan"), 1], r"mine: score 0 is nan; return a number in \[0, 1\]"),
        ([0.5, 1.01], "mine: score 1 is 1.01"),
        ([-1, 1], "mine: score 0 is -1.0"),
        ([1, 1j], "mine: score 1 is 1j"),
    ],
)
def test_invalid_scores_are_refused_with_the_scorers_name(values, message):
    with pytest.raises(ScoreInvalid, match=message):
        checked("mine", values, 2)


def test_valid_scores_become_floats():
    values = checked("mine", [True, False, 1, None, 0.5], 5)
    assert values == [1.0, 0.0, 1.0, None, 0.5]
    assert [type(value) for value in values] == [float, float, float, type(None), float]


def test_the_module_loads_no_heavy_library():
    code = "import tasks.scoring, sys; tasks.scoring.SCORERS.get('exact')(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name.split(".")[0] for name in done.stdout.split()} & {
        "torch",
        "sympy",
        "math_verify",
        "transformers",
        "numpy",
    }
