"""The families: every prompt is answerable from what it shows, and every trace earns its answer."""

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.campaign import DOMAINS
from tasks.puzzles import bits, cipher, digits, roman
from tasks.puzzles.draw import FAMILIES
from tasks.puzzles.family import Family, Problem
from tasks.puzzles.vocabulary import vocabulary

LEVELS = (1, 2, 3)
SEEDS = st.integers(0, 2**32)
NAMES = st.sampled_from(DOMAINS)
STEP = re.compile(r"(\d+)([*/+-])(\d+)([+-]\d+)?=(-?\d+)")


def posed(name: str, seed: int, level: int) -> tuple[Family, Problem]:
    family = FAMILIES[name]
    return family, family.pose(Random(seed), level)


def test_the_families_are_the_domains_in_order():
    assert tuple(FAMILIES) == DOMAINS


HAND_MADE = [
    ("bits", [("00000", "00110"), ("11111", "01111")], "10101", "00111"),
    ("bits", [("0000", "0101"), ("1111", "0011")], "1010", "0111"),
    ("bits", [("0011", "0110"), ("1100", "1001")], "0000", "0101"),
    ("cipher", [("abc", "cde")], "hij", "jab"),
    ("cipher", [("abcde", "jihgf"), ("fghij", "edcba")], "bad", "ijg"),
    ("roman", [], "1994", "MCMXCIV"),
    ("roman", [], "MMXXVI", "2026"),
    ("roman", [], "XCIX+I", "C"),
    ("units", [("4m", "12k")], "35m", "105"),
    ("units", [("4m", "12k"), ("5k", "10p")], "35m", "210"),
    ("gravity", [("1", "50")], "3", "450"),
    ("gravity", [("2", "200")], "4", "800"),
    ("equations", [("23@14", "37")], "58@67", "125"),
    ("equations", [("23@14", "9"), ("50#16", "5016")], "81#47", "8147"),
    ("equations", [("23@14", "9")], "81@47", "34"),
]


@pytest.mark.parametrize(("name", "examples", "query", "answer"), HAND_MADE)
def test_a_solver_answers_puzzles_made_by_hand(name, examples, query, answer):
    assert FAMILIES[name].solve(tuple(examples), query).answer == answer


@given(NAMES, SEEDS, st.sampled_from(LEVELS))
def test_the_answer_follows_from_the_hidden_rule(name, seed, level):
    family, problem = posed(name, seed, level)
    assert family.solve(problem.examples, problem.query).answer == from_core(name, problem)


def from_core(name: str, problem: Problem) -> str:
    """The answer by the rule that the core records: another way to it than the solver's."""
    parts = problem.core.split()
    if name == "bits":
        flips, sets, clears = (int("".join("01"[rule == name] for rule in parts[0]), 2) for name in "~10")
        return format((int(parts[1], 2) ^ flips | sets) & ~clears, f"0{len(parts[1])}b")
    if name == "cipher":
        return parts[1]
    if name == "roman":
        total = sum(map(int, parts))
        return str(total) if problem.query == roman.roman(total) else roman.roman(total)
    numbers = [int(part) for part in parts if part.isdecimal()]
    if name == "units":
        product = 1
        for number in numbers:
            product *= number
        return str(product)
    if name == "gravity":
        return str(numbers[0] * numbers[2] ** 2)
    a, b = numbers
    return {"plus": str(a + b), "minus": str(a - b), "join": f"{a}{b}"}[parts[0]]


@given(st.sampled_from(("units", "gravity", "equations", "roman")), SEEDS, st.sampled_from(LEVELS))
def test_every_step_of_arithmetic_in_a_trace_is_true(name, seed, level):
    family, problem = posed(name, seed, level)
    for a, sign, b, carry, result in STEP.findall(family.solve(problem.examples, problem.query).trace):
        value = eval(f"{a}{sign}{b}{carry}")  # digits and signs by the pattern
        assert value == int(result) or (sign == "-" and value + 20 == int(result))


@given(NAMES, SEEDS, st.sampled_from(LEVELS))
def test_a_trace_ends_with_what_the_answer_is_read_off(name, seed, level):
    family, problem = posed(name, seed, level)
    solution = family.solve(problem.examples, problem.query)
    assert read_off(name, solution.trace, problem.query) == solution.answer


def read_off(name: str, trace: str, query: str) -> str:
    """The answer by the trace's own steps."""
    steps = trace.split(" ")
    if name == "cipher" and "+" in trace:
        return cipher.encode(query, cipher.shifted(int(trace[1:])))
    if name == "cipher":
        return "".join(step[-1] for step in steps)
    if name == "bits":
        return bits.manipulate(query, trace)
    if name == "roman":
        places = steps[1:] if "+" in trace else steps
        return "".join(re.findall(r"[A-Z]" if query.isdecimal() or "+" in query else r"\d", "".join(places)))
    if steps[0] == "join":
        return "".join(steps[1:])
    columns = re.findall(r"\d[*+-]\d[+-]\d=(\d)(\d)", trace)
    last = columns[-len(re.findall(r"\d[*+-]\d[+-]\d=", last_product(trace))) :]
    whole = last[-1][0] + "".join(digit for _, digit in reversed(last))
    return str(int(whole))


def last_product(trace: str) -> str:
    """The part of a trace after the last number that stands alone."""
    return re.split(r" \d+ ", trace)[-1]


@given(st.integers(1, 9999), st.integers(2, 9))
def test_times_multiplies(number, factor):
    steps, product = digits.times(number, factor)
    assert product == number * factor
    assert len(steps.split()) == len(str(number))


@given(st.integers(1, 3999))
def test_roman_and_arabic_are_inverse(number):
    assert roman.arabic(roman.roman(number)) == number


def test_roman_numerals_are_the_usual_ones():
    assert [roman.roman(n) for n in (4, 9, 14, 40, 90, 400, 944, 3999)] == [
        "IV", "IX", "XIV", "XL", "XC", "CD", "CMXLIV", "MMMCMXCIX",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("examples", "reason"),
    [((("00", "01"), ("11", "11"), ("10", "00")), "fit no rule"), ((("01", "01"),), "show 0 and 1 in every place")],
)
def test_bits_refuse_examples_that_name_no_rule(examples, reason):
    with pytest.raises(ValueError, match=reason):
        bits.find_rules(examples)


def test_a_cipher_refuses_a_letter_that_was_never_shown():
    with pytest.raises(KeyError):
        cipher.solve((("ab", "dh"),), "c")


@pytest.mark.parametrize("wording", [0, 1, 2])
@given(name=NAMES, seed=SEEDS, level=st.sampled_from(LEVELS))
def test_every_wording_shows_the_query_and_all_examples(wording, name, seed, level):
    family, problem = posed(name, seed, level)
    prompt = family.wordings[wording].ask(problem)
    for part in (problem.query, *(text for pair in problem.examples for text in pair)):
        assert part in prompt


def test_the_vocabulary_holds_the_box_and_no_word_that_a_puzzle_could_spell():
    words = vocabulary()
    assert {"\\boxed{", "}", "Wonderland", "Alice's", "join"} <= set(words)
    assert not [word for word in words if set(word) <= set(cipher.LETTERS) or set(word) <= set("IVXLCDM")]
