"""Scores moved from one stamp to another by the base's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgement.stamp_correction import FLIPS, corrected
from judgement.statistics import scores

COUNTS = st.tuples(st.integers(20, 400), st.floats(0, 1)).map(lambda drawn: (round(drawn[0] * drawn[1]), drawn[0]))


def of(count):
    return scores({"bits": count})


@given(COUNTS, COUNTS, COUNTS)
def test_a_moved_score_is_a_share_that_is_less_certain_and_worth_fewer_items(score, there, here):
    given_, moved = of(score), corrected(of(score), of(there), of(here))
    assert 0 <= moved.score <= 1
    assert moved.se > given_.se
    assert 1 <= moved.n <= given_.n


@given(COUNTS, COUNTS)
def test_where_the_base_scores_alike_under_both_stamps_only_certainty_is_lost(score, base):
    moved = corrected(of(score), of(base), of(base))
    assert moved.score == of(score).score
    assert moved.se**2 == pytest.approx(of(score).se ** 2 + FLIPS / base[1])


@given(COUNTS, st.integers(100, 400), st.integers(0, 40), st.sampled_from([-1, 1]))
def test_where_the_base_scores_otherwise_the_shift_is_the_share_of_verdicts_in_doubt(score, n, flips, sign):
    there, here = of((n // 2, n)), of((n // 2 + sign * flips, n))
    moved, doubt = corrected(of(score), there, here), max(FLIPS, flips / n) / n
    assert moved.se**2 == pytest.approx(of(score).se ** 2 + doubt)
    assert moved.n == max(1, round(score[1] * of(score).se ** 2 / (of(score).se ** 2 + doubt)))
    assert moved.score == pytest.approx(min(1.0, max(0.0, of(score).score + sign * flips / n)))


def test_the_base_itself_moves_onto_its_own_score():
    there, here = of((30, 100)), of((42, 100))
    assert corrected(there, there, here).score == pytest.approx(here.score)


def test_a_domain_that_the_base_lacks_is_an_error():
    with pytest.raises(KeyError, match="bits"):
        corrected(of((1, 10)), scores({"roman": (1, 10)}), of((1, 10)))
