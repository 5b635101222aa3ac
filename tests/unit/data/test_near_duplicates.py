"""Near-duplicates: the index answers as comparing all earlier rows would, but for a band about the threshold."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.rows import Row
from services.data.collect.near_duplicates import Bands, IndexForeign, NearDuplicates, shingles

VOCABULARY = [f"word{at}" for at in range(4_000)]
BAND = 0.12
"""The standard error of a similarity is 0.035: outside three and a half of them an estimate is on the right side."""


def row(text, name, **fields):
    return Row(domain="web", difficulty=0, wording=0, prompt="", answer="", trace=text, core=name, uri=name, **fields)


def similarity(one, other):
    a, b = set(shingles(one)), set(shingles(other))
    return len(a & b) / len(a | b)


def changed(text, share, rng):
    words = text.split()
    for at in rng.sample(range(len(words)), round(share * len(words))):
        words[at] = rng.choice(VOCABULARY)
    return " ".join(words)


@pytest.fixture
def near(tmp_path):
    with NearDuplicates.open(tmp_path / "near.db", 0.8) as index:
        yield index


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), threshold=st.sampled_from([0.5, 0.8, 0.9]))
def test_it_answers_as_brute_force_does_outside_a_band_around_the_threshold(tmp_path_factory, seed, threshold):
    rng = random.Random(seed)
    texts = [" ".join(rng.choices(VOCABULARY, k=rng.randint(150, 300))) for _ in range(6)]
    texts += [changed(rng.choice(texts), share, rng) for share in (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3)]
    with NearDuplicates.open(tmp_path_factory.mktemp("near") / "near.db", threshold) as index:
        kept: list[str] = []
        for at, text in enumerate(texts):
            likest = max((similarity(text, other) for other in kept), default=0.0)
            found = index.earliest_match(row(text, str(at)))
            if likest >= threshold + BAND or likest == 1:
                assert found is not None
            if likest <= threshold - BAND:
                assert found is None
            if found is None:
                index.add(row(text, str(at)))
                kept.append(text)


def test_the_earliest_of_several_alike_is_named(near):
    text = " ".join(VOCABULARY[:200])
    for name in ("first", "second"):
        near.add(row(text, name))
    assert near.earliest_match(row(text, "third")) == "first"


def test_the_same_core_is_a_duplicate_whatever_its_text(near):
    near.add(row("one text about something", "core"))
    assert near.earliest_match(row("quite another text", "core", source="elsewhere")) == "core"


def test_case_and_marks_make_no_other_text(near):
    text = " ".join(VOCABULARY[:50])
    near.add(row(text, "plain"))
    assert near.earliest_match(row(text.upper().replace(" ", ", "), "loud")) == "plain"


def test_questions_with_different_answers_are_not_the_same(near):
    asked = " ".join(VOCABULARY[:60])
    near.add(Row("maths", 1, 0, asked, "4", "", "first"))
    assert near.earliest_match(Row("maths", 1, 0, asked, "5", "", "second")) is None
    assert near.earliest_match(Row("maths", 1, 0, asked, "4", "", "third")) == "first"


TEMPLATE = (
    "{name} keeps {a} shells in a wooden box on the shelf above the bed, and on a walk by the sea with two friends "
    "finds {b} more that lie between the stones. How many shells are there in all when the day is over?"
)


def test_problems_of_one_template_that_differ_in_a_number_are_different(near):
    for a, b, answer, trace in ((3, 4, "7", ""), (4, 3, "7", ""), (3, 5, "", "It is 8."), (5, 3, "", "It is 8.")):
        problem = Row("maths", 0, 0, TEMPLATE.format(name="Ann", a=a, b=b), answer, trace, f"{a} {b} {answer}")
        assert near.earliest_match(problem) is None
        near.add(problem)
    words = Row("maths", 0, 0, TEMPLATE.format(name="Ann", a="three", b="four"), "7", "", "words")
    assert near.earliest_match(words) is None


def test_a_rewording_with_the_same_numbers_and_answer_is_near(near):
    near.add(Row("maths", 0, 0, TEMPLATE.format(name="Ann", a=3, b=4), "7", "", "first"))
    reworded = TEMPLATE.format(name="Ben", a=3, b=4)
    assert near.earliest_match(Row("maths", 0, 0, reworded, "7", "", "second")) == "first"
    assert near.earliest_match(Row("maths", 0, 0, reworded, "8", "", "third")) is None


def test_completions_as_they_stand_are_their_own_answers(near):
    asked = " ".join(VOCABULARY[:60])
    near.add(Row("chat", 0, 0, asked, "", "Paris", "first", form="{trace}"))
    assert near.earliest_match(Row("chat", 0, 0, asked, "", "Lyon", "second", form="{trace}")) is None
    assert near.earliest_match(Row("chat", 0, 0, asked, "", "Paris", "third", form="{trace}")) == "first"


def test_at_threshold_one_exact_duplicates_alone_count(tmp_path):
    text = " ".join(VOCABULARY[:200])
    with NearDuplicates.open(tmp_path / "near.db", 1.0) as index:
        index.add(row(text, "first"))
        assert index.earliest_match(row(text, "second")) is None
        assert index.earliest_match(row(text, "first", source="elsewhere")) == "first"


def test_a_row_that_comes_again_after_a_crash_is_not_its_own_duplicate(tmp_path):
    mine, file = row(" ".join(VOCABULARY[:200]), "mine"), tmp_path / "near.db"
    with NearDuplicates.open(file, 0.8, round_=1) as index:
        index.add(mine)
        index.commit()
        assert index.earliest_match(mine) == "mine", "in one run, a second time is a duplicate"
    with NearDuplicates.open(file, 0.8, round_=1) as index:
        assert index.earliest_match(mine) is None, "the run died before anybody wrote the row down"
        index.add(mine)
        assert index.earliest_match(mine) == "mine"


def test_a_row_that_a_later_round_brings_again_is_a_duplicate(tmp_path):
    mine, file = row(" ".join(VOCABULARY[:200]), "mine"), tmp_path / "near.db"
    with NearDuplicates.open(file, 0.8, round_=1) as index:
        index.add(mine)
        index.save(tmp_path / "saved.db")
    with NearDuplicates.open(tmp_path / "saved.db", 0.8, round_=2) as index:
        assert index.earliest_match(mine) == "mine"
        assert index.earliest_match(row(mine.trace, "elsewhere")) == "mine"


def test_what_was_not_committed_is_forgotten(tmp_path):
    mine, file = row(" ".join(VOCABULARY[:200]), "mine"), tmp_path / "near.db"
    with NearDuplicates.open(file, 0.8) as index:
        index.add(mine)
    with NearDuplicates.open(file, 0.8) as index:
        assert index.earliest_match(row(mine.trace, "other")) is None


def test_an_index_of_another_threshold_is_refused_with_a_remedy(tmp_path):
    NearDuplicates.open(tmp_path / "near.db", 0.8).close()
    with pytest.raises(IndexForeign, match=r"filters\.near_duplicate"):
        NearDuplicates.open(tmp_path / "near.db", 0.7)


@given(st.floats(0.05, 0.99))
def test_pairs_at_any_threshold_meet_with_the_promised_recall(threshold):
    bands = Bands(threshold)
    assert 1 - (1 - threshold**bands.rows) ** bands.count >= 0.95
