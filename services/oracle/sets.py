"""The sealed sets: items that only the holder of the key can draw (design rules 6 and 10).

The generators and the split are public. What is secret is the seed: HMAC-SHA256 (RFC 2104) of the set's name under the
oracle's key. Dev, external and final are the same for a whole campaign; each round's confirmation is drawn afresh.

A suite that holds a pool of items is put into a secret order once per campaign, set and domain. Dev, external and final
are its first items; each round's confirmation is the next slice, so no item is asked in two rounds.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from schemas.campaign import Campaign, ItemSet
from schemas.scores import Kind
from schemas.suites import SETS, AnySuite, HarnessSuite
from services.oracle.job import KeyMissing, SealedSet, SetTooSmall
from tasks.item import Item
from tasks.puzzles.draw import draw
from tasks.suite import Suite

KEY_BYTES = 16
"""Shortest key."""


def nonce(campaign: Campaign, kind: Kind, round_: int) -> str:
    """Distinguishes the sets of a kind: the campaign's name and seed, and for confirm the round."""
    fixed = f"{campaign.name}/{campaign.seed}"
    return f"{fixed}/{round_}" if kind == "confirm" else fixed


def sealed_set(campaign: Campaign, kind: Kind, round_: int) -> SealedSet:
    """The set of a kind that is measured in a round."""
    spec = campaign.item_set(kind)
    return SealedSet(
        kind=kind,
        spec=spec,
        nonce=nonce(campaign, kind, round_),
        pool=f"{campaign.name}/{campaign.seed}",
        start=spec.items * round_ if kind == "confirm" else 0,
    )


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


@dataclass(frozen=True)
class Part:
    """The items of one suite and domain in a set."""

    suite: str
    """Name of the suite, whose scorers judge the answers."""
    domain: str
    """Domain."""
    items: Sequence[Item]
    """Items, in the order in which they are asked."""


def draw_parts(
    rules: Sequence[AnySuite], opened: Mapping[str, Suite], item_set: SealedSet, domains: Sequence[str], key: bytes
) -> list[Part]:
    """The items of a set from the campaign's suites, ordered by `domains`, then by name. Raises `SetTooSmall`."""
    parts = [
        Part(rule.name, domain, _items(opened[rule.name], item_set, domain, key))
        for rule in rules
        if not isinstance(rule, HarnessSuite)
        for domain in set_domains(rule, opened[rule.name], item_set.kind)
    ]
    if not parts:
        name = SETS[item_set.kind]
        raise SetTooSmall(f"suites: no suite has items of the set {name}; give one a file of {name} items")
    places = {domain: place for place, domain in enumerate(domains)}
    return sorted(parts, key=lambda part: (places.get(part.domain, len(places)), part.domain, part.suite))


def set_domains(rule: AnySuite, suite: Suite, kind: Kind) -> list[str]:
    """The domains of a suite's set, as recorded at the start."""
    return sorted((rule.pin or suite.pin()).sets.get(kind, {}))


def _items(suite: Suite, item_set: SealedSet, domain: str, key: bytes) -> list[Item]:
    kind, spec = item_set.kind, item_set.spec
    pool = suite.pool(kind, domain)
    if pool is None:
        seed = domain_seed(key, kind, f"{item_set.nonce}/{suite.name}", domain)
        return suite.generate(kind, domain, spec, seed)
    end = item_set.start + spec.items
    if len(pool) < end:
        raise SetTooSmall(
            f"evaluation.{SETS[kind]}.items: {spec.items} needs items {item_set.start + 1} to {end} of the domain "
            f"{domain}, and suites.{suite.name} has {len(pool)}; lower it, or add items, in a new campaign"
        )
    return pool_order(pool, key, f"{suite.name}/{kind}/{item_set.pool}/{domain}")[item_set.start : end]


def pool_order(pool: Sequence[Item], key: bytes, name: str) -> list[Item]:
    """The items of a pool in the secret order of this name."""
    order = list(pool)
    Random(seal(key, f"pool/{name}")).shuffle(order)
    return order


def domain_seed(key: bytes, kind: Kind, nonce: str, domain: str) -> str:
    """Secret seed of one domain's items in a set; the fingerprints of the set use the same."""
    return f"{seal(key, f'{kind}/{nonce}')}/{domain}"


def seal(key: bytes, text: str) -> str:
    """Keyed hash of a text: shows to the holder of the key that it is the same, and nothing to others."""
    return hmac.digest(key, text.encode(), "sha256").hex()
