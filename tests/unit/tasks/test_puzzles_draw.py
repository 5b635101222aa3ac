"""Draws are reproducible, distinct and never stray from their split."""

import subprocess
import sys
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.campaign import DOMAINS
from tasks.puzzles.draw import FAMILIES, draw
from tasks.split import Split, split_of

SPLITS: tuple[Split, ...] = ("train", "dev", "confirm", "external", "final")
EVEN = (1, 1, 1)


def drawn(domain, n=50, *, split="dev", seed=0, difficulty=EVEN, wordings=EVEN):
    return draw(domain, n, difficulty=difficulty, wordings=wordings, split=split, seed=seed)


@pytest.mark.parametrize("domain", DOMAINS)
def test_equal_arguments_give_equal_items(domain):
    assert drawn(domain, seed="a") == drawn(domain, seed="a") != drawn(domain, seed="b")


def test_a_draw_is_the_same_in_another_process():
    code = (
        "from tasks.puzzles.draw import draw; "
        "print([i.id for i in draw('bits', 5, difficulty=(1, 1, 1), wordings=(1, 0, 0), split='dev', seed=3)])"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert other.strip() == str([item.id for item in drawn("bits", 5, seed=3, wordings=(1, 0, 0))])


@settings(max_examples=30)
@given(st.sampled_from(DOMAINS), st.sampled_from(SPLITS), st.integers(0, 1000))
def test_items_stay_in_their_split_and_their_cores_are_distinct(domain, split, seed):
    items = drawn(domain, 40, split=split, seed=seed)
    assert {split_of(domain, item.core) for item in items} == {split}
    assert len({item.core for item in items}) == len(items)


@given(st.sampled_from(DOMAINS), st.text())
def test_every_core_has_exactly_one_split(domain, core):
    assert split_of(domain, core) in SPLITS
    assert split_of(domain, core) == split_of(domain, core)


def test_six_tenths_are_for_training_and_one_for_each_sealed_set():
    counts = Counter(split_of("bits", str(n)) for n in range(20_000))
    assert counts["train"] / 20_000 == pytest.approx(0.6, abs=0.02)
    assert all(counts[split] / 20_000 == pytest.approx(0.1, abs=0.01) for split in SPLITS[1:])


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("domain", DOMAINS)
def test_every_level_has_thousands_of_cores(domain, level):
    rng = Random(0)
    assert len({FAMILIES[domain].pose(rng, level).core for _ in range(20_000)}) >= 2000


def test_the_weights_choose_difficulty_and_wording():
    items = drawn("units", 400, difficulty=(1, 3, 0), wordings=(0, 0, 2))
    assert Counter(item.difficulty for item in items)[2] == pytest.approx(300, abs=40)
    assert {item.difficulty for item in items} == {1, 2}
    assert {item.wording for item in items} == {2}


def test_a_space_that_is_used_up_repeats_its_cores():
    items = drawn("roman", 400, difficulty=(1, 0, 0))
    assert len(items) == 400
    assert 200 < len({item.core for item in items}) < 300


@pytest.mark.parametrize("domain", DOMAINS)
def test_wording_is_no_part_of_the_core(domain):
    family = FAMILIES[domain]
    problem = family.pose(Random(0), 1)
    assert len({wording.ask(problem) for wording in family.wordings}) == 3


def test_an_unknown_domain_is_an_error():
    with pytest.raises(KeyError):
        drawn("chess")
