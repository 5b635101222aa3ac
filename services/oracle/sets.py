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
from schemas.suites import SETS, AnySuite, HarnessSuite, PuzzlesSuite
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
    """The set of a kind that is measured in a round.

    In a null twin, external and final are items like dev's: of a pool, those that follow dev's.
    """
    spec, evaluation = campaign.item_set(kind), campaign.constitution.evaluation
    twin = campaign.null_twin and kind in ("external", "final")
    start = spec.items * round_ if kind == "confirm" else 0
    if twin:
        start = evaluation.dev.items + (evaluation.external.items if kind == "final" else 0)
    return SealedSet(
        kind=kind,
        spec=spec,
        nonce=nonce(campaign, kind, round_),
        source="dev" if twin else kind,
        pool=f"{campaign.name}/{campaign.seed}",
        start=start,
    )


def needed_items(campaign: Campaign, kind: Kind) -> int:
    """Items per domain that a pool of a set must hold, so that the campaign's last round finds its items."""
    law = campaign.constitution
    kinds: tuple[Kind, ...] = ("dev", "external", "final") if campaign.null_twin and kind == "dev" else (kind,)
    last = law.rounds if kind == "confirm" else 0
    sets = [sealed_set(campaign, one, last) for one in kinds]
    return max(one.start + one.spec.items for one in sets)


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
        Part(rule.name, domain, _items(opened[rule.name], item_set, source, domain, key))
        for rule in rules
        if not isinstance(rule, HarnessSuite)
        for source in (_source(rule, item_set),)
        for domain in set_domains(rule, opened[rule.name], source)
    ]
    if not parts:
        name = SETS[item_set.source or item_set.kind]
        raise SetTooSmall(f"suites: no suite has items of the set {name}; give one a file of {name} items")
    places = {domain: place for place, domain in enumerate(domains)}
    return sorted(parts, key=lambda part: (places.get(part.domain, len(places)), part.domain, part.suite))


def set_domains(rule: AnySuite, suite: Suite, kind: Kind) -> list[str]:
    """The domains of a suite's set, as recorded at the start."""
    return sorted((rule.pin or suite.pin()).sets.get(kind, {}))


def _source(rule: AnySuite, item_set: SealedSet) -> Kind:
    """The set of a suite that items come from; puzzles of a null twin keep their split, which keeps sets apart."""
    return item_set.kind if isinstance(rule, PuzzlesSuite) else item_set.source or item_set.kind


def _items(suite: Suite, item_set: SealedSet, source: Kind, domain: str, key: bytes) -> list[Item]:
    spec = item_set.spec
    pool = suite.pool(source, domain)
    if pool is None:
        seed = domain_seed(key, item_set.kind, f"{item_set.nonce}/{suite.name}", domain)
        return suite.generate(source, domain, spec, seed)
    end = item_set.start + spec.items
    if len(pool) < end:
        where = f"evaluation.{SETS[item_set.kind]}.items: {spec.items}"
        raise SetTooSmall(
            f"{where} needs items {item_set.start + 1} to {end} of the domain {domain}, and suites.{suite.name} has "
            f"{len(pool)} of the set {SETS[source]}; lower it, or add items and start a new campaign"
        )
    order = list(pool)
    Random(seal(key, f"pool/{suite.name}/{source}/{item_set.pool}/{domain}")).shuffle(order)
    return order[item_set.start : end]


def domain_seed(key: bytes, kind: Kind, nonce: str, domain: str) -> str:
    """Secret seed of one domain's items in a set; the fingerprints of the set use the same."""
    return f"{seal(key, f'{kind}/{nonce}')}/{domain}"


def seal(key: bytes, text: str) -> str:
    """Keyed hash of a text: shows to the holder of the key that it is the same, and nothing to others."""
    return hmac.digest(key, text.encode(), "sha256").hex()
