"""Formulas are equal as math-verify judges, and each is judged in bounded time."""

import importlib.util
import threading
import time

import pytest
from hypothesis import given, settings

from tasks.scorers import child_process
from tasks.scoring import SCORERS
from tests.unit.scored_texts import PIECES, score

MATH_VERIFY = importlib.util.find_spec("math_verify") is not None
needs_math_verify = pytest.mark.skipif(not MATH_VERIFY, reason="math-verify is not installed")


FORMULAS = [
    (r"\frac{1}{2}", "0.5", 1),
    (r"\frac12", r"$\dfrac{1}{2}$", 1),
    ("x^2+2x+1", r"\boxed{(x+1)^2}", 1),
    ("x^2+2x+1", r"\boxed{(x+2)^2}", 0),
    (r"2\sqrt{2}", r"Thus $\sqrt{8}$.", 1),
    (r"2\sqrt{2}", r"The answer is $\sqrt{8}$ because 4 * 2 = 8.", 1),
    (r"\{1,2\}", r"\boxed{\{2,1\}}", 1),
    ("(1,2)", r"\boxed{(2,1)}", 0),
    ("[1,2)", r"\boxed{[1,2)}", 1),
    ("5", r"\boxed{x=5}", 1),
    ("1,200", "1200", 1),
    (r"50\%", r"\boxed{0.5}", 1),
    (r"50\%", "50", 1),
    ("12 km", r"\boxed{12}", 1),
    ("12", r"\boxed{12 \text{ km}}", 1),
    ("1e3", "#### 1000", 1),
    ("007", "7", 1),
    (r"\$32", r"\boxed{32}", 1),
    ("1/3", "0.333333", 1),
    ("199", "200", 0),
    ("9007199254740993", "9007199254740992", 0),
    (r"\pi", "3.14159", 0),
    (r"\text{east}", r"\boxed{east}", 1),
    (r"\text{east}", r"\boxed{seat}", 0),
    (r"We get \boxed{\frac{3}{4}}.", "0.75", 1),
    (r"\sin^2 x", r"\boxed{1-\cos^2 x}", 1),
    ("7", r"\boxed{} The final answer is: 7", 1),
    ("7", r"\boxed{7", 1),
    ("7", r"\boxed{\frac{7}{", 0),
    ("7", "", 0),
    ("7", "x" * 5000, 0),
    ("", "7", None),
]


@needs_math_verify
@pytest.mark.parametrize(("reference", "completion", "right"), FORMULAS)
def test_math(reference, completion, right):
    assert score("math", completion, reference) == right


@needs_math_verify
def test_math_works_outside_the_main_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(score("math", r"\boxed{(x+1)^2}", "x^2+2x+1")))
    thread.start()
    thread.join()
    assert results == [1.0]


@needs_math_verify
@pytest.mark.parametrize("formula", ["9^{9^{9^{9}}}", "9^{99999999}-9^{99999999}+7", "{" * 300 + "1" + "}" * 300])
def test_math_ends_on_formulas_that_do_not(formula, monkeypatch):
    monkeypatch.setitem(child_process.CPU_SECONDS, "math", 0.5)
    start = time.monotonic()
    assert score("math", rf"\boxed{{{formula}}}", "7") == 0
    assert time.monotonic() - start < 60
    monkeypatch.undo()
    assert score("math", r"\boxed{\sqrt{49}}", "7") == 1


def test_math_without_math_verify_names_the_remedy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'aevolve\[math\]'"):
        SCORERS.get("math")()


@settings(deadline=None, max_examples=15)
@given(PIECES, PIECES)
@needs_math_verify
def test_any_formula_gets_a_score(completion, reference):
    assert score("math", completion, reference) in (0.0, 1.0, None)
