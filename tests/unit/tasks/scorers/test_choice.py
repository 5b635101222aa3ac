"""A choice is read from its letter or its text, and never from an article or a list of all."""

import json

import pytest

from tests.unit.scored_texts import score

CHOICES = ["Paris", "Rome", "A dog", "Oslo"]
LETTERS = [
    ("B", "B", 1),
    ("B", "b", 1),
    ("B", "(B)", 1),
    ("B", "(b)", 1),
    ("B", "B.", 1),
    ("B", "B)", 1),
    ("B", "**B**", 1),
    ("B", "[B]", 1),
    ("B", "Answer: B", 1),
    ("B", "A: B", 1),
    ("B", "Answer: (B) Rome", 1),
    ("B", "The answer is B", 1),
    ("B", "The answer is B because it is old.", 1),
    ("B", "The answer is option B.", 1),
    ("B", "The correct option is (B)", 1),
    ("B", "**Answer:** B", 1),
    ("B", r"\boxed{B}", 1),
    ("B", r"\boxed{\text{(B)}}", 1),
    ("B", r"$\boxed{\textbf{(B)}\ 12}$", 1),
    ("B", "#### B", 1),
    ("B", "B. Rome", 1),
    ("B", "B\n\nIt is old.", 1),
    ("B", "It is old.\n\nB", 1),
    ("B", "I choose (B), as it is old.", 1),
    ("B", "B\n\nQuestion: next\nAnswer", 1),
    ("(B)", "B", 1),
    ("B.", "B", 1),
    ("B) Rome", "B", 1),
    ("b", "B", 1),
    ("A", "The answer is A.", 1),
    ("A", "The answer is A because", 1),
    ("A", "A", 1),
    ("A", "A dog is an animal", 0),
    ("A", "The answer is a dog", 0),
    ("A", "The answer is A dog", 0),
    ("A", "A: dogs are animals", 0),
    ("I", "I think it is fine", 0),
    ("C", "The answer is C++", 0),
    ("B", "The answer is not B", 0),
    ("B", "C", 0),
    ("B", "Be careful", 0),
    ("B", "A. Paris\nB. Rome\nC. Berlin", 0),
    ("C", "A. Paris\nB. Rome\nC. Berlin", 0),
    ("B", "(A) or (B)", 0),
    ("B", "The answer is B. I hope that this answer is clear.", 1),
    ("B", "", 0),
    ("", "B", None),
    ("K", "K", None),
    ("Rome", "Rome", None),
]


@pytest.mark.parametrize(("reference", "completion", "right"), LETTERS)
def test_choice(reference, completion, right):
    assert score("choice", completion, reference) == right


@pytest.mark.parametrize(
    ("reference", "completion", "choices", "right"),
    [
        ("Rome", "B", CHOICES, 1),
        ("rome", "The answer is Rome.", CHOICES, 1),
        ("B", "Rome", CHOICES, 1),
        ("B", "Rome", json.dumps(CHOICES), 1),
        ("C", "A dog", CHOICES, 1),
        ("A", "A dog", CHOICES, 0),
        ("B", "Paris", CHOICES, 0),
        ("2", "B", {"text": CHOICES, "label": ["1", "2", "3", "4"]}, 1),
        ("2", "The answer is 2.", {"text": CHOICES, "label": ["1", "2", "3", "4"]}, 1),
        ("2", "A", {"text": CHOICES, "label": ["1", "2", "3", "4"]}, 0),
        ("2", "B", CHOICES, None),
        ("B", "B", "not JSON", 1),
        ("B", "B", None, 1),
    ],
)
def test_choice_takes_the_text_of_an_option(reference, completion, choices, right):
    assert score("choice", completion, reference, columns={"choices": choices}) == right
