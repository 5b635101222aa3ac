"""Names in a picture stand where they can be read."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from services.console.web.charts import AIR, labels, overlap

AREA = (0, 0, 320, 240)
places = st.tuples(st.integers(60, 260), st.integers(60, 180))


def crowded(found, points):
    """Pairs of names that overlap, and names on a point."""
    on_points = [
        (label.name, at) for label in found for at in points if overlap(label.box, (*at, at[0] + 1, at[1] + 1))
    ]
    return on_points + [(a.name, b.name) for a, b in combinations(found, 2) if overlap(a.box, b.box)]


@given(st.lists(places, min_size=1, max_size=4, unique=True))
def test_a_few_names_never_overlap_and_cover_no_point(points):
    found = labels([(f"r1s{n}", at) for n, at in enumerate(points)], points, AREA)
    assert [label.name for label in found] == [f"r1s{n}" for n in range(len(points))]
    assert crowded(found, points) == []


def test_points_in_one_place_have_their_names_around_it():
    points = [(100, 100)] * 6
    found = labels([(f"r1s{n}", at) for n, at in enumerate(points)], points, AREA)
    assert crowded(found, points) == []


def test_a_name_stays_within_the_picture_and_is_told_even_without_room():
    (beside,) = labels([("r1s0", (315, 100))], [(315, 100)], AREA)
    assert beside.left
    assert len(labels([(f"r1s{n}", (100, 100)) for n in range(40)], [(100, 100)], AREA)) == 40


def test_a_mark_keeps_some_air():
    (beside,) = labels([("r1s0", (100, 100))], [(100, 100), (112, 92)], AREA)
    assert not overlap(beside.box, (112 - AIR, 92 - AIR, 112 + AIR, 92 + AIR))
