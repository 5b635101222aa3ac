"""The hash chain without a database: what is hashed, and what a walk finds wrong."""

import hashlib
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.integrity.chain import EMPTY, Chain, ChainBroken, Head, canonical, next_hash
from eventstore.row import Row

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
ATTRIBUTES = st.fixed_dictionaries(
    {
        "position": st.integers(1, 20),
        "id": st.uuids(),
        "campaign": TEXTS,
        "stream": TEXTS,
        "stream_version": st.integers(1, 20),
        "type": TEXTS,
        "version": st.integers(1, 20),
        "source": TEXTS,
        "causation": st.none() | st.uuids(),
        "traceparent": st.none() | TEXTS,
        "time": st.datetimes(timezones=st.just(UTC)),
        "data": TEXTS,
    }
)
PLAIN = {
    "position": 1,
    "id": UUID("018f0000-0000-7000-8000-000000000000"),
    "campaign": "c",
    "stream": "c/é",
    "stream_version": 1,
    "type": "T",
    "version": 2,
    "source": "",
    "causation": None,
    "traceparent": "-",
    "time": datetime(1970, 1, 2, 0, 0, 0, 1, UTC),
    "data": '{"a":1}',
}
OTHER = UUID(int=7)


def row(**attributes):
    return Row(**{**PLAIN, **attributes}, hash=bytes(32))


def chained(length, **attributes):
    rows, hash_ = [], EMPTY.hash
    for position in range(1, length + 1):
        bare = row(position=position, **attributes)
        hash_ = next_hash(hash_, bare)
        rows.append(bare._replace(hash=hash_))
    return rows


def walk(rows, head=None, anchors=None):
    chain = Chain(anchors)
    assert list(chain.checked(rows)) == rows
    return chain.end(head)


def broken(rows, head=None, anchors=None):
    with pytest.raises(ChainBroken) as caught:
        walk(rows, head, anchors)
    assert str(caught.value).startswith(f"position {caught.value.position}: ")
    return caught.value.position


def test_the_canonical_bytes_are_lengths_and_texts_in_the_order_of_the_columns():
    expected = '1:136:018f0000-0000-7000-8000-0000000000001:c3:c/é1:11:T1:20:-1:-11:864000000017:{"a":1}'
    assert canonical(row()) == expected.encode()
    assert next_hash(bytes(32), row()) == hashlib.sha256(bytes(32) + expected.encode()).digest()


@given(ATTRIBUTES, ATTRIBUTES)
def test_two_events_have_the_same_bytes_only_if_they_are_the_same(one, other):
    assert (canonical(row(**one)) == canonical(row(**other))) == (row(**one) == row(**other))


@given(st.lists(TEXTS, min_size=2, max_size=2), TEXTS)
def test_text_that_moves_between_attributes_changes_the_bytes(texts, moved):
    first, second = texts
    before = canonical(row(campaign=first + moved, stream=second))
    assert (before == canonical(row(campaign=first, stream=moved + second))) == (moved == "")


@given(ATTRIBUTES)
def test_a_row_comes_back_from_its_line_as_it_was(attributes):
    one = row(**attributes)
    assert Row.from_json(one.to_json()) == one


def test_a_whole_log_has_its_last_row_for_its_head():
    rows = chained(5)
    head = Head(5, rows[4].hash)
    assert walk(rows) == walk(rows, head) == walk(rows, head, {3: rows[2].hash, 0: EMPTY.hash}) == head


def test_an_empty_log_is_whole():
    assert walk([]) == walk([], EMPTY) == EMPTY


@pytest.mark.parametrize("attribute", [name for name in PLAIN if name != "position"])
def test_every_attribute_is_covered(attribute):
    rows = chained(3)
    new = {"id": OTHER, "causation": OTHER, "stream_version": 9, "version": 9, "time": datetime(1970, 1, 2, tzinfo=UTC)}
    rows[1] = rows[1]._replace(**{attribute: new.get(attribute, "other")})
    assert broken(rows) == 2


@pytest.mark.parametrize(
    ("order", "position"),
    [((1, 3), 2), ((2, 3), 1), ((1, 2, 2, 3), 3), ((1, 3, 2), 2), ((2, 1, 3), 1), ((1, 2, 1), 3)],
)
def test_a_missing_doubled_or_moved_row_is_found_at_its_place(order, position):
    rows = chained(3)
    assert broken([rows[number - 1] for number in order]) == position


def test_rows_with_exchanged_positions_are_found():
    one, two, three = chained(3)
    moved = [three._replace(position=2), two._replace(position=3)]
    assert broken([one, *moved]) == 2


def test_a_cut_is_found_by_the_head_and_by_an_anchor():
    rows = chained(3)
    assert broken(rows[:2], Head(3, rows[2].hash)) == 3
    assert broken([], Head(3, rows[2].hash)) == 1
    assert broken(rows[:1], anchors={3: rows[2].hash}) == 2


def test_rows_behind_the_head_are_found():
    rows = chained(3)
    assert broken(rows, Head(2, rows[1].hash)) == 3
    assert broken(rows, EMPTY) == 1
    assert broken(rows, Head(3, bytes(32))) == 3


def test_a_log_that_was_written_anew_is_found_by_its_anchor_alone():
    rows, anew = chained(3), chained(3, source="forged")
    assert walk(anew, Head(3, anew[2].hash)).position == 3
    assert broken(anew, anchors={2: rows[1].hash}) == 2
