"""The scorer gives the challenge's result on every edge, and nothing for saying nothing."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks.puzzles.scorer import NOT_FOUND, correct, extract, verify

PLAIN = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1).filter(
    lambda s: "\\boxed{" not in s and "}" not in s
)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{42}", "42"),
        (r"\boxed{1} then \boxed{2}", "2"),
        (r"\boxed{7} and then \boxed{}", "7"),
        (r"\boxed{ } and \boxed{}", ""),
        (r"\boxed{} The final answer is: 7", "7"),
        (r"it is 12 \boxed{}", "12"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{a}b}", "a}b"),
        (r"\boxed{a}b} \boxed{c}", "c"),
        (r"\boxed{}}", "}"),
        (r"\boxed{12", "12"),
        (r"\boxed{1}, as { shows", "1"),
        (r"\boxed{XIV} is {right}", "XIV} is {right"),
        ("The final answer is: 5 km", "5 km"),
        ("final ANSWER is: x", "x"),
        ("Final answer：XII", "XII"),  # noqa: RUF001  # the challenge takes the wide colon
        ("Final answer: a\nFinal answer: b", "b"),
        ("Final answer: a\nThe final answer is: c", "c"),
        ("it is 3.50 or -4.25 m", "-4.25"),
        ("1,234", "234"),
        ("no digits\nlast line \n\n", "last line"),
        ("at ١٢", "at ١٢"),
        ("", NOT_FOUND),
        (" \n ", NOT_FOUND),
    ],
)
def test_extract_takes_the_challenges_answer(text, answer):
    assert extract(text) == answer


@pytest.mark.parametrize(
    ("stored", "predicted", "right"),
    [
        ("3.14", "3.15", True),
        ("3.14", "3.18", False),
        ("0", "0.000009", False),  # binary strings are compared as text
        ("0.0", "0.000009", True),
        ("0.0", "0.00002", False),
        ("100", "0100", False),
        ("101", "101", True),
        ("101", "101.0", False),
        ("00101", "101", False),
        ("200", "0200", True),
        ("2e2", "200", True),
        ("5", "5 km", False),
        ("XIV", " xiv ", True),
        ("XIV", "XV", False),
        ("nan", "nan", True),
        ("nan", "5", False),
        ("5", "nan", False),
        ("inf", "infinity", False),
        ("1e999", "2e999", False),
        ("2000", "2_000", False),
        ("12", "١٢", False),
        ("", "", False),
        ("x", "", False),
        (NOT_FOUND, NOT_FOUND, False),
        ("a}b", "A}B", True),
    ],
)
def test_verify_compares_as_the_challenge_does(stored, predicted, right):
    assert verify(stored, predicted) is right


@given(PLAIN)
def test_what_is_boxed_is_extracted(answer):
    assert extract(f"work 1 2 3 \\boxed{{{answer}}}") == answer.strip()


@given(st.text())
def test_an_empty_answer_never_scores(stored):
    assert not verify(stored, "")
    assert not verify(stored, extract(""))
    assert not verify(stored, extract("\\boxed{}"))


@given(st.text(min_size=1), st.text())
def test_an_echo_of_the_prompt_never_scores(prompt, answer):
    for output in ("", prompt, prompt + prompt, f" {prompt}\n", prompt[: len(prompt) // 2]):
        assert not correct(prompt, output, answer)
        assert not correct(prompt, output, prompt)


def test_a_prompt_that_holds_the_answer_does_not_give_it_away():
    prompt = "2 -> 4, 3 -> 6, 5 -> 10, 1 ->"
    assert extract(prompt) == "1"
    assert not correct(prompt, prompt, "1.0")
    assert correct(prompt, prompt + " \\boxed{2}", "2")
    assert correct(prompt, "\\boxed{2}", "2")


@pytest.mark.parametrize(
    ("prompt", "output", "stored"),
    [
        ("12", "\\boxed{3125}", "3125"),
        ("12", "The final answer is: 3125", "3125"),
        ("12", "12\n\\boxed{12 km}", "12 km"),
        ("a b", "a b is \\boxed{a b c}", "a b c"),
        ("a b", "\\boxed{\\boxed{x} a b c}", "x} a b c"),
        ("boxed", "boxed \\boxed{1}", "1"),
        ("so \\", "so \\boxed{x y}", "x y"),
        ("d{x", "\\boxed{x y}", "x y"),
        ("}", "\\boxed{x y} and } more", "x y"),
        ("2 + 3", "\\boxed{2 + 3 = 5}", "2 + 3 = 5"),
        ("Box it: \\boxed{}. Why?", "Box it: \\boxed{}. Why?\n\\boxed{because}", "because"),
        ("7", "\\boxed{7}", "7"),
    ],
)
def test_an_answer_may_contain_the_prompt(prompt, output, stored):
    assert correct(prompt, output, stored)


@given(PLAIN, PLAIN, st.sampled_from(["", "so ", "{} "]))
def test_an_answer_in_a_box_counts_whatever_the_prompt_is(prompt, answer, before):
    assume(answer.strip() != NOT_FOUND)
    assert correct(prompt, f"{before}\\boxed{{{answer}}}", answer)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6))
def test_a_number_matches_itself_and_not_its_double(value):
    assume(abs(value) > 1e-3)
    assume(f"{value:.6f}".strip("01") != "")
    assert verify(f"{value:.6f}", f"{value:.6f}")
    assert not verify(f"{value:.6f}", f"{2 * value:.6f}")


@given(st.text("01", min_size=1), st.text("01", min_size=1))
def test_binary_strings_match_only_themselves(stored, predicted):
    assert verify(stored, predicted) is (stored == predicted)
