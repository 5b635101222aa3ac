"""A snapshot of puzzles and of what the campaign's sources give: harvested, chosen, written, and told on a data card.

Each part ends on disk before the next begins, so a killed job does again only what it was in the middle of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from judgement.fingerprints.index import Fingerprints
from schemas.evidence import Lineage, Yield
from schemas.sources import AnySource, DataRule
from services.data.collect import manifest as manifests
from services.data.collect.card import Told, card
from services.data.collect.folders import FILE, alone, discard_old, take_over
from services.data.collect.harvest import Harvest
from services.data.collect.manifest import Manifest
from services.data.collect.mix import Choice, choose, chosen, writers
from services.data.collect.stages import Sealed, Stages, index
from services.data.core import expected, expected_shares
from services.data.job import Collecting, Snapshot, SnapshotJob, SnapshotPlan
from services.data.snapshot import Clock, Report, drawn, written
from services.data.sources.registry import make_source
from services.data.sources.self_source import Asked, Sampler
from services.data.sources.source import Source
from services.data.tokens import Lengths
from services.data.writer import WHOLE
from services.runtime.storage import artifacts
from services.runtime.storage.hashing import hash_file


def make_collected(job: SnapshotJob, planned: SnapshotPlan, report: Report) -> Snapshot:
    """The round's snapshot with its card.

    Raises `DomainEmpty`, `SourceFailed`, `HarvestBusy`, `ArtifactChanged`, or `StoreFailed`.
    """
    at, rule, clock = job.collecting, job.campaign.constitution.data, Clock()
    assert at is not None
    assert rule is not None
    puzzles, yields = drawn(planned, report)
    before = manifests.read(at.last, Path(at.copies)) if at.last else None
    with alone(Path(at.work)) as folder, closing(opened(folder, job, before)) as harvest:
        collect(job, harvest, folder, report)
        stored = manifests.store(harvest, before, at.out)
        choice = choose(harvest, rule, expected_shares(job.policy, job.campaign.constitution.training_domains))
        made = (*yields, *gave(harvest, rule, choice))
        lineage = lineages(harvest, rule)
        snapshot = written(puzzles, chosen(harvest), WHOLE, job.out, made, clock, harvest=stored, lineage=lineage)
        lengths = Lengths.of(at.base, job.campaign.model.max_length)
        told = card(Told(job.campaign, job.round, snapshot, at, harvest, lengths))
    discard_old(folder)
    return snapshot.model_copy(update={"card": manifests.keep(told.encode(), at.out, ".md")})


def opened(folder: Path, job: SnapshotJob, before: Manifest | None) -> Harvest:
    """The round's harvest as far as it has come; a new one begins with a late one, or with what the last round left."""
    used = before.round if before else 0
    if not (folder / FILE).exists() and not take_over(folder, job.round, used):
        _begin(folder, job, before)
    return Harvest(folder / FILE, job.round)


def _begin(folder: Path, job: SnapshotJob, before: Manifest | None) -> None:
    part = folder / "harvest.part"
    for left in folder.glob("*.part*"):
        left.unlink()
    assert job.collecting is not None
    with closing(Harvest(part, job.round)) as harvest:
        if before and job.collecting.last:
            beside = manifests.beside(job.collecting.last.uri)
            manifests.load(harvest, before, beside, Path(job.collecting.copies))
    part.rename(folder / FILE)


def collect(job: SnapshotJob, harvest: Harvest, folder: Path, report: Report) -> None:
    """Drive each source to the end of its share of the round, a step and a transaction at a time."""
    rule = job.campaign.constitution.data
    assert rule is not None
    sealed = _fingerprints(job.collecting)
    with index(folder, harvest, rule.filters.near_duplicate) as near:
        stages = Stages(rule, harvest, near, sealed)
        for spec in rule.sources:
            if harvest.ended(spec.name):
                continue
            stages.recall(spec)
            for step in source(spec, job).harvest(harvest.state(spec.name)):
                stages.take(spec, step)
                report({"source": spec.name, "rows": harvest.held})
            harvest.end(spec.name)


def source(spec: AnySource, job: SnapshotJob) -> Source:
    """The source of a part of the campaign file. Raises `SourceFailed`."""
    if spec.kind != "self":
        return make_source(spec, job.round, job.campaign.seed)
    assert job.collecting is not None
    assert job.collecting.sampled is not None
    asked = Asked(
        sampled=job.collecting.sampled,
        model=job.campaign.model,
        copies=Path(job.collecting.copies),
        difficulty=expected(job.policy, "difficulty"),
        wordings=expected(job.policy, "wordings"),
    )
    return Sampler(spec, job.round, job.campaign.seed, asked)


def _fingerprints(at: Collecting | None) -> Sealed | None:
    if at is None or at.fingerprints is None:
        return None
    given = at.fingerprints
    place = artifacts.fetch(given.uri, given.sha256, hash_file, Path(at.copies))
    if (found := hash_file(place)) != given.sha256:
        raise artifacts.ArtifactChanged(given.uri, found, given.sha256)
    return Fingerprints.load(place)


def gave(harvest: Harvest, rule: DataRule, choice: Choice) -> Iterator[Yield]:
    """What each source has given so far, and what became of it."""
    counted = harvest.counts()
    for spec in rule.sources:
        by_kind: dict[str, Counter[str]] = {"dropped": Counter(choice.left.get(spec.name, {})), "skipped": Counter()}
        for count in counted:
            if count.source == spec.name:
                by_kind[count.kind][count.reason] += count.n
        kept, dropped = choice.kept.get(spec.name, 0), by_kind["dropped"]
        yield Yield(
            source=spec.name,
            domain=spec.domain,
            made=kept + dropped.total(),
            kept=kept,
            dropped=dict(sorted(dropped.items())),
            skipped=dict(sorted(by_kind["skipped"].items())),
        )


def lineages(harvest: Harvest, rule: DataRule) -> tuple[Lineage, ...]:
    """Which weights wrote chosen rows, in this round or an earlier one."""
    asked = {spec.name: spec.model for spec in rule.sources if spec.kind == "self"}
    return tuple(
        Lineage(source=source, model=asked[source], candidate=candidate, sha256=sha256)
        for source, uri in writers(harvest, tuple(asked))
        for _, candidate, sha256 in [uri.split(":")]
    )
