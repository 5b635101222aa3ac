"""Publishes fingerprints of the sealed sets, by which training data is freed of them (design rule 10).

The items of a puzzle can be listed by anybody, so a hash of one hides nothing. The sealed items are therefore hidden
among decoys: items of the same splits and the same distribution, drawn from a secret seed, many times as many. Whoever
holds the file learns of an item that it is in the company, and no more. To drop a decoy is no loss: it lies in no split
that may be trained on. Random hashes fill the file up to a size that the campaign's file alone decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from judgement.fingerprinting import Prints
from puzzles.draw import FAMILIES, Posed, pose
from puzzles.family import Family
from puzzles.split import Split, split_of
from schemas.campaign import Campaign, ItemSet
from schemas.scores import Kind
from services.oracle.fingerprint_work import FingerprintJob, Published
from services.oracle.receipts import keep
from services.oracle.sets import nonce, read_key, seal

COMPANY = 32
"""How many items, decoys and sealed, there are for each sealed one."""

LEAST_COMPANY = 8
"""The same where sets are so large that `LARGE` would be passed."""

LARGE = 20_000
"""Items of a domain and split from which on the company grows no more than it must."""

MISSES = 300
"""So many items in a row that are known already mean that the split has hardly another."""

KINDS: tuple[Kind, ...] = ("dev", "confirm", "external", "final")


def publish(job: FingerprintJob, report: Callable[[dict[str, Any]], None]) -> Published:
    """Write the fingerprints of a campaign's sets. Raises `KeyMissing` or `TaskRefused`."""
    wall, processor = time.monotonic(), time.process_time()
    key, prints, items, planned = read_key(job.key_file), Prints(), 0, 0
    for kind, domain in ((kind, domain) for kind in KINDS for domain in job.campaign.constitution.domains):
        company = list(_company(job.campaign, kind, domain, key))
        for one in company:
            _print(prints, FAMILIES[domain], one)
        items, planned = items + len(company), planned + _planned(_sealed_items(job.campaign, kind))
        report({"step": items})
    items += _print_documents(prints, job)
    salt = int(seal(key, f"salt/{job.campaign.name}/{job.campaign.seed}")[:16], 16)
    made = prints.fingerprints(salt, planned, Random(seal(key, f"pads/{salt}")))
    return Published(
        receipt=keep(made.to_bytes(), job.out, ".npz"),
        items=items,
        ngrams=len(made),
        seconds=time.monotonic() - wall,
        device_seconds=time.process_time() - processor,
    )


def sealed(campaign: Campaign, kind: Kind, domain: str, key: bytes) -> Iterator[Posed]:
    """What the sets of a kind ask in one domain, in all rounds; as `services.oracle.sets.draw_set` draws it."""
    spec = campaign.item_set(kind)
    for round_ in _rounds(campaign, kind):
        seed = f"{seal(key, f'{kind}/{nonce(campaign, kind, round_)}')}/{domain}"
        yield from pose(domain, spec.items, difficulty=spec.difficulty, wordings=spec.wordings, split=kind, seed=seed)


def _rounds(campaign: Campaign, kind: Kind) -> range:
    """Rounds with a set of their own: confirmation is drawn afresh, from the base's to the end's."""
    return range(campaign.constitution.rounds + 2) if kind == "confirm" else range(1)


def _company(campaign: Campaign, kind: Kind, domain: str, key: bytes) -> Iterator[Posed]:
    """The sealed items of a kind and domain, each once, and their decoys."""
    known: dict[str, Posed] = {}
    for one in sealed(campaign, kind, domain, key):
        known.setdefault(one.problem.core, one)
    yield from known.values()
    wanted = _planned(_sealed_items(campaign, kind)) - len(known)
    rng = Random(seal(key, f"decoys/{kind}/{domain}/{nonce(campaign, kind, 0)}"))
    yield from _decoys(FAMILIES[domain], campaign.item_set(kind), kind, wanted, set(known), rng)


def _decoys(family: Family, spec: ItemSet, split: Split, wanted: int, known: set[str], rng: Random) -> Iterator[Posed]:
    """Items drawn as the sealed ones are, until there are enough or the split is used up."""
    levels = rng.choices((1, 2, 3), spec.difficulty, k=wanted)
    for level in (1, 2, 3):
        left, misses = levels.count(level), 0
        while left and misses < MISSES:
            problem = family.pose(rng, level)
            if split_of(family.name, problem.core) != split:
                continue
            if problem.core in known:
                misses += 1
                continue
            known.add(problem.core)
            left, misses = left - 1, 0
            yield Posed(problem, level, 0)


def _sealed_items(campaign: Campaign, kind: Kind) -> int:
    """Items of a kind in one domain, over all rounds."""
    return campaign.item_set(kind).items * len(_rounds(campaign, kind))


def _planned(sealed_items: int) -> int:
    """Size of the company."""
    return min(COMPANY * sealed_items, max(LARGE, LEAST_COMPANY * sealed_items))


def _print(prints: Prints, family: Family, posed: Posed) -> None:
    problem = posed.problem
    answer = family.solve(problem.examples, problem.query).answer
    prints.item((wording.ask(problem) for wording in family.wordings), answer)


def _print_documents(prints: Prints, job: FingerprintJob) -> int:
    """The documents of the campaign's task lists, which are public; how many there are."""
    law = job.campaign.constitution
    if not (listed := (*law.lists.values(), *law.guards)):
        return 0
    from services.oracle.fingerprint_documents import documents  # noqa: PLC0415  # lm-eval, only where it is needed

    tasks = [texts for tasks in listed for texts in documents(tasks, run_code=law.run_code)]
    for texts in tasks:
        prints.documents(texts)
    return sum(map(len, tasks))
