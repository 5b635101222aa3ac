"""A suite's questions are recognised in training rows, and rows that share no more than their template pass."""

from __future__ import annotations

import io
from itertools import product

import numpy as np
import pytest

from judgement.fingerprints.extract import Prints
from judgement.fingerprints.index import Fingerprints
from judgement.fingerprints.tokens import numbers, question_tokens
from schemas.rows import Row

NAMES = ("Ann", "Ben", "Eva", "Finn", "Gita", "Lena")
THINGS = ("pears", "coins", "shells", "stamps")
LONG = (
    "A ferry leaves the harbour at 7 in the morning with {a} passengers. At the first island {b} of them get off and "
    "walk to the lighthouse, while the others stay on board and look at the gulls that follow the ship. How many "
    "passengers are still on the ferry when it reaches the second island?"
)


def question(name, thing, a, b):
    return f"{name} has {a} {thing} and buys {b} more at the market. How many {thing} does {name} have now?", str(a + b)


ITEMS = [question(name, thing, a, a + 3) for (name, thing), a in zip(product(NAMES, THINGS), range(2, 26), strict=True)]
CLEAN = [question(name, thing, a, a + 4) for (name, thing), a in zip(product(NAMES, THINGS), range(2, 26), strict=True)]


def row(prompt, answer="", trace="", source="own", **more):
    return Row("maths", 0, 0, prompt, answer, trace, prompt, source, **more)


def prints(*items) -> Fingerprints:
    taken = Prints()
    for prompt, answer in items:
        taken.question(prompt, answer)
    return Fingerprints.from_bytes(taken.fingerprints(7).to_bytes())


@pytest.fixture(scope="module")
def own():
    return prints(*ITEMS, (LONG.format(a=120, b=45), "75"), ("7 + 3", "10"), ("How many legs has a spider?", "8"))


def test_rows_of_the_same_template_pass(own):
    assert [own.contaminated(row(prompt, answer, f"{answer} it is")) for prompt, answer in CLEAN] == [None] * len(CLEAN)


@pytest.mark.parametrize(
    "changed",
    [
        str,
        str.upper,
        lambda text: text.replace(" ", "  \n"),
        lambda text: text.replace(".", " ;").replace("?", "!"),
        lambda text: f"Please answer this: {text} Thank you.",
    ],
)
def test_an_item_is_recognised_in_other_marks_case_and_blanks_and_within_a_longer_row(own, changed):
    assert {own.contaminated(row(changed(prompt), "another answer")) for prompt, _ in ITEMS} == {"question"}


def test_an_item_is_recognised_in_the_other_texts_of_a_row(own):
    prompt, answer = ITEMS[0]
    assert own.contaminated(row("Write a problem with its answer.", "", f"{prompt} {answer}")) == "question"
    assert own.contaminated(row("Which is better?", "", "this", rejected=prompt)) == "question"
    assert own.contaminated(row("", "", f"A page that quotes: {prompt} It is {answer}.")) == "question"


def test_a_rewording_with_the_same_numbers_and_answer_is_near_and_one_with_others_is_not(own):
    reworded = LONG.format(a=120, b=45).replace("the gulls that follow", "gulls which follow")
    assert own.contaminated(row(reworded, "75")) == "near"
    assert own.contaminated(row(reworded)) == "near"
    assert own.contaminated(row(reworded, "74")) is None
    assert own.contaminated(row(LONG.format(a=121, b=45), "76")) is None
    assert own.contaminated(row(LONG.format(a=121, b=45))) is None


def test_operators_make_other_questions_and_a_short_item_must_be_the_whole_question(own):
    assert own.contaminated(row("7 + 3", "10")) == "question"
    assert own.contaminated(row(" 7+3", "10")) == "question"
    assert own.contaminated(row("7 - 3", "4")) is None
    assert own.contaminated(row("What is 27 + 3 + 5 then?", "35")) is None
    assert own.contaminated(row("Work out 7 + 3 times 2 with your neighbour.", "13")) is None


def test_a_question_shares_ngrams_with_a_document_without_being_it():
    taken = Prints()
    taken.documents([f"{prompt} {answer}" for prompt, answer in ITEMS])
    lists = taken.fingerprints(7)
    assert [lists.contaminated(row(prompt, answer)) for prompt, answer in CLEAN] == [None] * len(CLEAN)
    assert lists.contaminated(row(*ITEMS[0])) == "document"


def test_a_short_document_is_recognised_as_a_whole_in_rows_with_a_question():
    taken = Prints()
    taken.documents(["1 + 3 = 4", "2 + 3 = 5"], questions=True)
    lists = taken.fingerprints(7)
    assert lists.contaminated(row("1 + 3 =", "4")) == "question"
    assert lists.contaminated(row("1 - 3 =", "4")) is None


def test_a_file_without_questions_is_as_it_was():
    taken = Prints()
    taken.item(["What is 1 and 2 and 3?"], "6")
    names = set(np.load(io.BytesIO(taken.fingerprints(7).to_bytes())).files)
    assert not {name for name in names if name.startswith(("question", "near"))}


def test_numbers_in_digits_words_and_signs_are_read():
    assert numbers("2³ of 23, 1/2, ½, three 1,200.50") == ["2", "³", "23", "1/2", "½", "three", "1,200.50"]
    assert question_tokens("他有3个") == ["他", "有", "3", "个"]
