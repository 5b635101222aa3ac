"""Nothing wrong is taught: answers by the scorer, steps by arithmetic; variants say what their parent says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rows import Row
from services.data.collect.arithmetic import wrong_steps
from services.data.collect.stages import TEMPLATES, variants
from services.data.collect.verify import verified
from tasks.puzzles.draw import FAMILIES, draw


def row(**changes) -> Row:
    given = {"prompt": "How many?", "answer": "7", "trace": "", "core": "how many?", "domain": "sums"}
    return Row(**{"difficulty": 0, "wording": 0, **given, **changes})


@pytest.mark.parametrize(
    "trace",
    [
        "3+4=7",
        "12 - 5 = 7, then 7*2=14.",
        "1,200*3=3,600",
        "10/3=3.33",
        "5-7=-2",
        "1/2+1/2=1",
        "x-2+3=5 for another x",  # what lies before the number is part of it
        "(1+2)*3=9",
        "a1+2=4",
        "2+2=4x",
        "5/0=3",  # nobody can say
        "on 2024-05-06 it was 3",
        "no sums at all",
    ],
)
def test_steps_that_hold_or_cannot_be_computed_pass(trace):
    assert list(wrong_steps(trace)) == []


@pytest.mark.parametrize("step", ["3+4=8", "12 - 5 = 6", "1,200*3=3,700", "7-3-2=1", "10/3=3.5", "2*3+4=14"])
def test_a_step_that_does_not_hold_is_found(step):
    assert list(wrong_steps(f"First 1+1=2, so {step}, and so on.")) == [step]


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.sampled_from("+-*"), st.integers(-5, 5))
def test_a_sum_passes_exactly_where_it_is_right(a, b, operator, off):
    right = {"+": a + b, "-": a - b, "*": a * b}[operator]
    said = right + off * max(1, abs(right) // 20)  # a difference beyond the tolerance
    assert bool(list(wrong_steps(f"{a}{operator}{b}={said}"))) == (off != 0)


@given(st.text(alphabet="0123456789+-*/=., x(", max_size=300))
def test_no_text_breaks_the_check(trace):
    list(wrong_steps(trace))


@pytest.mark.parametrize("domain", FAMILIES)
def test_the_solvers_own_notation_is_never_wrong(domain):
    for item in draw(domain, 100, difficulty=[1, 1, 1], wordings=[1, 1, 1], split="train", seed=1):
        assert list(wrong_steps(item.trace, item.trace)) == []


def test_a_wrong_answer_is_dropped_and_a_text_without_one_is_not_asked_for_it():
    assert verified(row(answer="7", trace="3+4=7")) is None
    assert verified(row(prompt="", answer="", trace="prose")) is None
    dropped = verified(row(answer=""))
    assert dropped is None
    for wrong in (row(trace="3+4=8"), row(answer=" ")):
        assert (dropped := verified(wrong))
        assert dropped.key in ("verifier/wrong_step", "verifier/unverified")


def test_variants_ask_otherwise_what_their_parent_asks():
    parent = row(prompt="Is {this} a {prompt}?", trace="3+4=7", source="files", licence="CC0-1.0")
    made = list(variants(parent, 16))
    assert len({variant.prompt for variant in made}) == len({variant.core for variant in made}) == len(TEMPLATES) == 16
    assert all(parent.prompt in variant.prompt for variant in made)
    assert {(v.parent, v.answer, v.trace, v.licence, v.source) for v in made} == {
        (parent.core, "7", "3+4=7", "CC0-1.0", "files")
    }
    assert all(verified(variant) is None for variant in made)


def test_a_plain_text_has_no_variants():
    assert list(variants(row(prompt="", answer="", trace="prose"), 3)) == []
