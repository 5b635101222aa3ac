"""Sealed sets: fixed for a campaign, fresh for a confirmation, out of reach without the key."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.campaign import DOMAINS, Campaign, ItemSet
from schemas.scores import Kind
from services.oracle.job import KeyMissing
from services.oracle.sets import draw_set, nonce, read_key, seal
from tasks.split import split_of

KEY = b"0123456789abcdef"
SPEC = ItemSet(items=20)
KINDS: tuple[Kind, ...] = ("dev", "confirm", "external", "final")


def campaign(seed: int = 0) -> Campaign:
    item_set = {"items": 5}
    return Campaign.model_validate(
        {
            "name": "demo",
            "seed": seed,
            "constitution": {
                "evaluation": dict.fromkeys(KINDS, item_set),
                "budget": {"external_queries": 2},
                "space": [{"knob": "rank", "values": [8, 16]}],
            },
        }
    )


def cores(kind, key: bytes = KEY, name: str = "demo/0") -> list[str]:
    return [item.core for items in draw_set(kind, SPEC, DOMAINS, key, name).values() for item in items]


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_has_the_items_asked_for_and_only_of_its_split(kind) -> None:
    spec = ItemSet(items=30, difficulty=(0, 1, 0), wordings=(0, 1, 1))
    for domain, items in draw_set(kind, spec, DOMAINS, KEY, "demo/0").items():
        assert len(items) == 30
        assert {split_of(domain, item.core) for item in items} == {kind}
        assert {item.difficulty for item in items} == {2}
        assert set(Counter(item.wording for item in items)) == {1, 2}


def test_the_same_key_and_nonce_give_the_same_set() -> None:
    assert cores("dev") == cores("dev")


@pytest.mark.parametrize("kind", KINDS)
def test_another_key_gives_another_set(kind) -> None:
    assert cores(kind) != cores(kind, key=b"another key, as long")


def test_only_confirm_is_drawn_afresh_each_round() -> None:
    one, two = ([nonce(campaign(), kind, round_) for kind in KINDS] for round_ in (1, 2))
    assert [a != b for a, b in zip(one, two, strict=True)] == [False, True, False, False]
    assert cores("confirm", name=one[1]) != cores("confirm", name=two[1])
    assert nonce(campaign(seed=1), "dev", 1) != nonce(campaign(seed=2), "dev", 1)


@given(st.binary(min_size=16, max_size=32), st.text(), st.text())
def test_seals_of_different_texts_differ(key: bytes, a: str, b: str) -> None:
    assert (seal(key, a) == seal(key, b)) == (a == b)


def test_a_missing_or_short_key_is_refused(tmp_path) -> None:
    with pytest.raises(KeyMissing, match=r"oracle_key_file: .* holds 0 bytes"):
        read_key(str(tmp_path / "none"))
    (tmp_path / "short").write_text("abc\n")
    with pytest.raises(KeyMissing, match="holds 3 bytes"):
        read_key(str(tmp_path / "short"))
