"""Numbers are read as people and LaTeX write them, and equal exactly themselves."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scored_texts import score

NUMBERS = [
    ("1200", "1,200", 1),
    ("1,200", "1200", 1),
    ("1200", "1 200", 1),
    ("1200", "1\u202f200", 1),
    ("1200", r"\boxed{1{,}200}", 1),
    ("1200", r"\boxed{1\,200}", 1),
    ("1200", "1_200", 0),
    ("1200", "$1,200", 1),
    ("1200", r"\boxed{\$1{,}200.00}", 1),
    ("$1,200", "1200 dollars", 1),
    ("1234567.5", "1,234,567.50", 1),
    ("2000", r"\boxed{1,2000}", 0),
    ("1200", "1,200,3", 0),
    ("-5", "\u22125", 1),
    ("-5", "-$5", 1),
    ("5", "-5", 0),
    ("-3", "5-3", 0),
    ("3", "5-3", 1),
    ("7", "12 - 5 = 7", 1),
    ("1000", "1e3", 1),
    ("1e3", "1,000", 1),
    ("0.0015", "1.5e-3", 1),
    ("1500", r"\boxed{1.5 \times 10^{3}}", 1),
    ("1500", "1.5 × 10^3", 1),  # noqa: RUF001
    ("10", "10^3", 0),
    ("3", "10^3", 0),
    ("0.5", "1/2", 1),
    ("1/2", "0.5", 1),
    ("1/3", "0.333333", 0),
    ("1.5", "1 1/2", 1),
    ("-1.5", r"\boxed{-1\frac{1}{2}}", 1),
    ("1/2", r"\boxed{\dfrac{1}{2}}", 1),
    (r"\frac12", r"$\frac{1}{2}$", 1),
    (r"\frac{-1}{2}", r"-\frac{1}{2}", 1),
    ("1", "1/0", 0),
    ("1/0", "1", None),
    ("50%", "50%", 1),
    ("50%", "50 percent", 1),
    ("50%", "0.5", 1),
    ("50%", "50", 1),
    ("50", "50%", 1),
    ("0.5", r"50\%", 1),
    ("50%", "5", 0),
    ("12", "12 km", 1),
    ("12 km", "12", 1),
    ("12", "12km.", 1),
    ("12", r"\boxed{12 \text{ km}^2}", 1),
    ("90", r"\boxed{90^\circ}", 1),
    ("12", "12 km\u00b2", 1),
    ("12", "an area of 12 km^2", 1),
    ("2", "an area of 12 km^2", 0),
    ("18", "She makes 9 * 2 = $<<9*2=18>>18 every day.\n#### 18", 1),
    ("48", "first 3 and then 48", 1),
    ("3", "first 3 and then 48", 0),
    ("5", "The answer is 5. It took 3 hours.", 1),
    ("3", "The answer is 5. It took 3 hours.", 0),
    ("12", "The answer is 5 + 7 = 12 apples", 1),
    ("5", r"\boxed{x = 5}", 1),
    ("5", r"\boxed{\text{5 apples}}", 1),
    ("12", "The answer is 12:30", 0),
    ("30", "The answer is 12:30", 0),
    ("5", r"\boxed{5x}", 0),
    ("5", r"\boxed{5\pi}", 0),
    ("5", r"\boxed{5, 6}", 0),
    ("5", r"\boxed{x+5}", 0),
    ("2", r"As 4/2 = 2, the answer is \frac{\pi}{2}", 0),
    ("42", "The answer is below.\n\n42", 1),
    ("7", r"\boxed{} The final answer is: 7", 1),
    ("48", "worked steps 1 2 3", 0),
    ("steps\n#### 48", "48", 1),
    (r"so \boxed{48}", "48", 1),
    ("200", "199", 0),
    ("199", "200", 0),
    ("9007199254740993", "9007199254740992", 0),
    ("9007199254740993", "9007199254740993.0", 1),
    ("0.1", "0.10000000149011612", 0),
    ("007", "7", 1),
    ("7", "H2O and v1.7", 0),
    ("1.7", "version 1.7.3", 0),
    ("2024", "on 1/2/2024", 0),
    ("2", "2\u00b3", 0),
    ("23", "2\u00b3", 0),
    ("12", "\u0661\u0662", 0),
    ("0.5", ".5", 1),
    ("5", "it is...5", 1),
    ("5", "nan", 0),
    ("5", "", 0),
    ("", "5", None),
    ("nan", "nan", None),
    ("inf", "inf", None),
    ("NA", "NA", None),
    ("2024-01-02", "2", None),
    ("2\u00b3", "8", None),
]


@pytest.mark.parametrize(("reference", "completion", "right"), NUMBERS)
def test_numeric(reference, completion, right):
    assert score("numeric", completion, reference) == right


@pytest.mark.parametrize(
    ("reference", "completion", "options", "right"),
    [
        ("100", "101", {"tolerance": 0.01}, 1),
        ("100", "101.01", {"tolerance": 0.01}, 0),
        ("-100", "-101", {"tolerance": 0.01}, 1),
        ("0", "0.001", {"tolerance": 0.01}, 0),
        ("0", "0.001", {"absolute": 0.001}, 1),
        ("0.3", "0.4", {"absolute": 0.1}, 1),
        ("12 km", "12 km", {"units": "require"}, 1),
        ("12 km", "it is 12 km away", {"units": "require"}, 1),
        ("12 km", "12 kmh", {"units": "require"}, 0),
        ("12 km", "12", {"units": "require"}, 0),
        ("12 km", "12 m", {"units": "require"}, 0),
        ("12 km", r"\boxed{12\,\text{km}}", {"units": "require"}, 1),
        ("12", "12 km", {"units": "require"}, 1),
        ("$12", "$12", {"units": "require"}, 1),
        ("$12", "€12", {"units": "require"}, 0),
        ("12%", "12", {"units": "require"}, 0),
        ("12%", "12 %", {"units": "require"}, 1),
    ],
)
def test_numeric_follows_its_options(reference, completion, options, right):
    assert score("numeric", completion, reference, **options) == right


FORMATS = ["{}", "The answer is {}.", "#### {}", r"\boxed{{{}}}", "${}$", "{} km", "so x = {}", "${}", "{} dollars\n"]
decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=3)


@given(decimals, st.sampled_from(FORMATS), st.sampled_from(["", ","]))
def test_a_written_decimal_equals_itself_and_never_its_neighbour(value, form, separator):
    written = format(value, f"{separator}f")
    completion = form.format(written)
    assert score("numeric", completion, str(value)) == 1
    assert score("numeric", completion, str(value + Decimal("0.001"))) == 0
    assert score("numeric", completion, str(value - 1)) == 0


@given(st.integers(), st.integers(1, 10**6))
def test_a_fraction_equals_itself_and_never_its_neighbour(above, below):
    assert score("numeric", rf"\boxed{{\frac{{{above}}}{{{below}}}}}", f"{above}/{below}") == 1
    assert score("numeric", f"{above}/{below}", f"{above + 1}/{below}") == 0
