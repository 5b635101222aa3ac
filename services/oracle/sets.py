"""The sealed sets: items that only the holder of the key can draw (design rules 6 and 10).

The generators and the split are public. What is secret is the seed: HMAC-SHA256 (RFC 2104) of the set's name under the
oracle's key. Dev, external and final are the same for a whole campaign; each round's confirmation is drawn afresh.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from pathlib import Path

from schemas.campaign import Campaign, ItemSet
from schemas.scores import Kind
from services.oracle.job import KeyMissing
from tasks.item import Item
from tasks.puzzles.draw import draw

KEY_BYTES = 16
"""Shortest key."""


def nonce(campaign: Campaign, kind: Kind, round_: int) -> str:
    """Distinguishes the sets of a kind: the campaign's name and seed, and for confirm the round."""
    fixed = f"{campaign.name}/{campaign.seed}"
    return f"{fixed}/{round_}" if kind == "confirm" else fixed


def read_key(path: str) -> bytes:
    """The key. Raises `KeyMissing` where there is none, or one of less than `KEY_BYTES`."""
    file = Path(path)
    key = file.read_bytes().strip() if file.is_file() else b""
    if len(key) < KEY_BYTES:
        raise KeyMissing(f"oracle_key_file: {path} holds {len(key)} bytes; write {KEY_BYTES} random ones or more to it")
    return key


def draw_set(kind: Kind, spec: ItemSet, domains: Sequence[str], key: bytes, nonce: str) -> dict[str, list[Item]]:
    """`spec.items` items of each domain, from the split of the kind."""
    return {
        domain: draw(
            domain,
            spec.items,
            difficulty=spec.difficulty,
            wordings=spec.wordings,
            split=kind,
            seed=domain_seed(key, kind, nonce, domain),
        )
        for domain in domains
    }


def domain_seed(key: bytes, kind: Kind, nonce: str, domain: str) -> str:
    """Secret seed of one domain's items in a set; the fingerprints of the set use the same."""
    return f"{seal(key, f'{kind}/{nonce}')}/{domain}"


def seal(key: bytes, text: str) -> str:
    """Keyed hash of a text: shows to the holder of the key that it is the same, and nothing to others."""
    return hmac.digest(key, text.encode(), "sha256").hex()
