"""Publishes fingerprints of the sealed sets, by which training data is freed of them (design rule 10).

The items of a puzzle can be listed by anybody, so a hash of one hides nothing. The sealed sets are therefore hidden in
company: the same sets, drawn in the same way from the same splits by many other keys. Nothing in the file tells which
of the keys is the oracle's, since any of them could be; an item that is in it is sealed with a probability of about one
in their number. To drop the others is no loss: they lie in no split that may be trained on. Random hashes fill the file
up to a size that the campaign's file alone decides.

Of a suite that holds a pool, every item of every set is in the file, so nothing tells which of them a round asks. Sets
that a suite generates are hidden in company, as puzzles are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from judgement.fingerprints.extract import Prints
from schemas.campaign import Campaign, ItemSet
from schemas.scores import Kind
from schemas.suites import AnySuite, HarnessSuite, PuzzlesSuite
from services.oracle.fingerprints.work import FingerprintJob, Published
from services.oracle.receipts import keep
from services.oracle.sets import domain_seed, nonce, read_key, seal, set_domains
from services.runtime.places import places
from services.runtime.settings import Settings
from tasks.item import Item
from tasks.puzzles.draw import FAMILIES, Posed, pose
from tasks.puzzles.family import Family
from tasks.registry import check_pin, open_suite
from tasks.suite import Places, Suite

COMPANY = 32
"""Keys that the sets are drawn by, the oracle's among them."""

LEAST_COMPANY = 8
"""The same where sets are so large that `LARGE` would be passed."""

LARGE = 20_000
"""Items of a domain and kind from which on the company is no larger than it must be."""

KINDS: tuple[Kind, ...] = ("dev", "confirm", "external", "final")


def publish(job: FingerprintJob, report: Callable[[dict[str, Any]], None]) -> Published:
    """Write the fingerprints of a campaign's sets.

    Raises `KeyMissing`, `TaskRefused`, `SuiteRefused`, `ItemsChanged` or `UserCodeFailed`.
    """
    wall, processor = time.monotonic(), time.process_time()
    key, prints, planned = read_key(job.key_file), Prints(), 0
    for suite, domain in _puzzles(job.campaign):
        for kind in KINDS:
            keys = company(job.campaign, kind, key)
            for one in (one for some in keys for one in sealed(job.campaign, kind, domain, some, suite)):
                _print(prints, FAMILIES[domain], one)
            planned += len(keys) * _sealed_items(job.campaign, kind)
            report({"step": planned})
    items = planned + _print_suites(prints, job, key, lambda done: report({"step": planned + done}))
    items += _print_documents(prints, job)
    salt = int(seal(key, f"salt/{job.campaign.name}/{job.campaign.seed}")[:16], 16)
    fingerprints = prints.fingerprints(salt, planned, Random(seal(key, f"pads/{salt}")))
    return Published(
        receipt=keep(fingerprints.to_bytes(), job.out, ".npz"),
        items=items,
        ngrams=len(fingerprints),
        seconds=time.monotonic() - wall,
        device_seconds=time.process_time() - processor,
    )


def _puzzles(campaign: Campaign) -> Iterator[tuple[str, str]]:
    """The puzzle families that are measured, each with its suite's name; an empty one for a campaign without suites."""
    law = campaign.constitution
    if not law.suites:
        yield from (("", domain) for domain in law.domains)
    for rule in law.suites:
        if isinstance(rule, PuzzlesSuite):
            yield from ((rule.name, domain) for domain in rule.domains)


def _seed(campaign: Campaign, kind: Kind, round_: int, domain: str, key: bytes, suite: str) -> str:
    """The seed of a set, as `services.oracle.sets` makes it."""
    name = nonce(campaign, kind, round_)
    return domain_seed(key, kind, f"{name}/{suite}" if suite else name, domain)


def sealed(campaign: Campaign, kind: Kind, domain: str, key: bytes, suite: str = "") -> Iterator[Posed]:
    """The problems of a kind's sets in one domain, in all rounds, as `services.oracle.sets.draw_set` draws them."""
    spec = campaign.item_set(kind)
    for round_ in _rounds(campaign, kind):
        seed = _seed(campaign, kind, round_, domain, key, suite)
        yield from pose(domain, spec.items, difficulty=spec.difficulty, wordings=spec.wordings, split=kind, seed=seed)


def _rounds(campaign: Campaign, kind: Kind) -> range:
    """Rounds with a set of their own: confirmation is drawn afresh, from the base's to the end's."""
    return range(campaign.constitution.rounds + 2) if kind == "confirm" else range(1)


def company(campaign: Campaign, kind: Kind, key: bytes) -> list[bytes]:
    """The keys that the sets of a kind are drawn by: the oracle's own, and decoys derived from it."""
    size = min(COMPANY, max(LEAST_COMPANY, LARGE // _sealed_items(campaign, kind)))
    return [key, *(seal(key, f"company/{kind}/{at}").encode() for at in range(1, size))]


def _sealed_items(campaign: Campaign, kind: Kind) -> int:
    """Items of a kind in one domain, over all rounds."""
    return campaign.item_set(kind).items * len(_rounds(campaign, kind))


def _print(prints: Prints, family: Family, posed: Posed) -> None:
    problem = posed.problem
    answer = family.solve(problem.examples, problem.query).answer
    prints.item((wording.ask(problem) for wording in family.wordings), answer)


def _print_suites(prints: Prints, job: FingerprintJob, key: bytes, report: Callable[[int], None]) -> int:
    """The questions of the campaign's suites; how many there are."""
    rules = [r for r in job.campaign.constitution.suites if not isinstance(r, (HarnessSuite, PuzzlesSuite))]
    if not rules:
        return 0
    named = {"oracle_items": job.oracle_items, "task_path": job.task_path, "oracle_key_file": Path(job.key_file)}
    done = 0
    with places(Settings().model_copy(update=named)) as found:
        for rule in rules:
            for item in _questions(job.campaign, rule, found, key):
                prints.question(item.prompt, item.answer)
                done += 1
            report(done)
    return done


def _questions(campaign: Campaign, rule: AnySuite, found: Places, key: bytes) -> Iterator[Item]:
    """Every item that a suite's sets may hold: its pools, or what it generates for the company of keys."""
    suite = open_suite(rule, found)
    check_pin(rule, suite)
    for kind in KINDS:
        if kind not in campaign.constitution.lists:
            for domain in set_domains(rule, suite, kind):
                pool = suite.pool(kind, domain)
                yield from pool if pool is not None else _generated(campaign, suite, kind, domain, key)


def _generated(campaign: Campaign, suite: Suite, kind: Kind, domain: str, key: bytes) -> Iterator[Item]:
    """The sets of the oracle's key among those of others: the suite's code cannot tell which seed is the oracle's."""
    spec: ItemSet = campaign.item_set(kind)
    keys = sorted(company(campaign, kind, key)[:LEAST_COMPANY])
    for round_ in _rounds(campaign, kind):
        for one in keys:
            yield from suite.generate(kind, domain, spec, _seed(campaign, kind, round_, domain, one, suite.name))


def _print_documents(prints: Prints, job: FingerprintJob) -> int:
    """The documents of the campaign's task lists, which are public; how many there are."""
    law = job.campaign.constitution
    if not (listed := (*law.lists.values(), *law.guards)):
        return 0
    from services.oracle.fingerprints.documents import documents  # noqa: PLC0415  # lm-eval, only where it is needed

    tasks = [texts for tasks in listed for texts in documents(tasks, run_code=law.run_code)]
    for texts in tasks:
        prints.documents(texts, questions=bool(law.suites))
    return sum(map(len, tasks))
