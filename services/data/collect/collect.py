"""Makes a snapshot of puzzles and collected rows: harvest, choose, write, and describe on a data card.

Each stage is complete on disk before the next begins, so a job that is killed repeats only its current stage. The
harvests of a campaign lie on this host in one folder per round, side by side; a harvest that was too late for its
round is taken over by the next one.
"""

from __future__ import annotations

import fcntl
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from judgement.fingerprints.index import Fingerprints
from schemas.campaign import Constitution
from schemas.evidence import Lineage, Yield
from schemas.sources import AnySource, DataRule, SelfSource
from services.data.collect import manifest as manifests
from services.data.collect.card import CardInput, Lengths, card
from services.data.collect.harvest import Harvest
from services.data.collect.manifest import Manifest
from services.data.collect.mix import Choice, choose, chosen, filled, writers
from services.data.collect.stages import Sealed, Stages, index
from services.data.core import expected, expected_shares
from services.data.job import Collecting, DomainEmpty, Snapshot, SnapshotJob
from services.data.sources.registry import make_source
from services.data.sources.source import RoundContext, Sampling
from services.data.sources.suites import Suites
from services.data.writer import LATER_COLUMNS, Clock, Report, columns_with, write_snapshot
from services.runtime.places import places
from services.runtime.storage import artifacts
from services.runtime.storage.hashing import hash_file
from tasks.item import Item

FILE = "harvest.db"
"""File of a harvest in its round's folder."""


class HarvestBusy(Exception):
    """Another process of this machine harvests in a folder."""


def make_collected(
    job: SnapshotJob, puzzles: Sequence[Item], yields: Sequence[Yield], clock: Clock, report: Report
) -> Snapshot:
    """The round's snapshot with its card.

    Raises `SourceFailed`, `HarvestBusy`, `DomainEmpty`, `ArtifactChanged`, or `StoreFailed`; for a campaign with suites
    also `SuiteRefused`, `ItemsChanged`, `ScoreInvalid`, or `UserCodeFailed`.
    """
    at, law = job.collecting, job.campaign.constitution
    assert at is not None
    assert law.data is not None
    before = manifests.read(at.last, Path(at.copies)) if at.last else None
    with (
        locked(Path(at.work)) as folder,
        closing(open_harvest(folder, job, before)) as harvest,
        opened_suites(law) as suites,
    ):
        collect(job, harvest, folder, report, suites)
        choice = choose(harvest, law.data, expected_shares(job.policy, law.training_domains))
        check_empty(law, harvest, choice)
        stored = manifests.store(harvest, before, at.out)
        snapshot = write_snapshot(
            puzzles,
            chosen(harvest),
            columns_with(filled(harvest, LATER_COLUMNS)),
            job.out,
            (*yields, *source_yields(harvest, law.data, choice)),
            clock,
            harvest=stored,
            lineage=lineages(harvest, law.data),
        )
        lengths = Lengths.of(at.base, job.campaign.model)
        text = card(CardInput(job.campaign, job.round, snapshot, at, harvest, lengths))
    discard_old(folder)
    return snapshot.model_copy(update={"card": manifests.keep(text.encode(), at.out, ".md")})


@contextmanager
def opened_suites(law: Constitution) -> Iterator[Suites | None]:
    """The campaign's suites, None without any. The processes of user code end with the context."""
    if not law.suites:
        yield None
        return
    with places() as here:
        yield Suites(law, here)


def check_empty(law: Constitution, harvest: Harvest, choice: Choice) -> None:
    """Raise `DomainEmpty` for a source or domain of a campaign with suites without a row.

    The next try reads the sources concerned again. A campaign of puzzles can train without its sources.
    """
    rule = law.data
    if not law.suites or rule is None:
        return
    empty = [spec for spec in rule.sources if not choice.kept.get(spec.name)]
    bare = [domain for domain in law.training_domains if domain not in choice.domains]
    if not empty and not bare:
        return
    concerned = [spec for spec in rule.sources if spec in empty or set(spec.domains or (spec.domain,)) & set(bare)]
    with harvest.transaction():
        for spec in concerned:
            harvest.reopen(spec.name)
    named = [f"source {spec.name}" for spec in empty] + [f"domain {domain}" for domain in bare]
    counts = "; ".join(f"{spec.name}: {_outcomes(harvest, spec)}" for spec in concerned)
    raise DomainEmpty(
        f"data.sources: no row is left of {', '.join(named)} ({counts}); correct columns, domains, filters or files"
    )


def _outcomes(harvest: Harvest, spec: AnySource) -> str:
    """What became of a source's records."""
    counts: Counter[str] = Counter()
    for count in harvest.counts():
        if count.source == spec.name:
            counts[f"{count.kind} {count.reason}"] += count.n
    return ", ".join(f"{n} {what}" for what, n in counts.most_common()) or "it gave no record"


@contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """A round's folder, for one process at a time. Raises `HarvestBusy`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HarvestBusy(f"{folder}: another process harvests there; the job is retried") from None
        yield folder


def open_harvest(folder: Path, job: SnapshotJob, before: Manifest | None) -> Harvest:
    """The round's harvest so far; a new one starts from a late harvest, or from the last round's manifest."""
    used = before.round if before else 0
    if not (folder / FILE).exists() and not take_over(folder, job.round, used):
        _start_harvest(folder, job, before)
    return Harvest(folder / FILE, job.round)


def _start_harvest(folder: Path, job: SnapshotJob, before: Manifest | None) -> None:
    part = folder / "harvest.part"
    for stale in folder.glob("*.part*"):
        stale.unlink()
    assert job.collecting is not None
    with closing(Harvest(part, job.round)) as harvest:
        if before and job.collecting.last:
            shards = manifests.folder_of(job.collecting.last.uri)
            manifests.load(harvest, before, shards, Path(job.collecting.copies))
    part.rename(folder / FILE)


def take_over(folder: Path, round_: int, used: int) -> bool:
    """Move a late harvest into this round's folder; false if there is none.

    Late is the harvest of a round after `used`, the last one whose data the loop got. Its rows count as this round's,
    and a source that filled its quota there has filled this round's. Raises `HarvestBusy` while it is still running.
    """
    for earlier in range(round_ - 1, used, -1):
        late = folder.parent / str(earlier)
        if (late / FILE).exists():
            with locked(late):
                with closing(Harvest(late / FILE, round_)) as harvest:
                    harvest.adopt(used)
                (late / FILE).rename(folder / FILE)
            return True
    return False


def discard_old(folder: Path) -> None:
    """Remove the folders of rounds before the last one: their harvests are stored as artifacts."""
    for other in folder.parent.iterdir():
        if other.name.isdecimal() and int(other.name) < int(folder.name) - 1:
            shutil.rmtree(other, ignore_errors=True)


def collect(job: SnapshotJob, harvest: Harvest, folder: Path, report: Report, suites: Suites | None = None) -> None:
    """Run each source to the end of its quota, one step and one transaction at a time."""
    rule, context = job.campaign.constitution.data, _context(job, suites)
    assert rule is not None
    with index(folder, harvest, rule.filters.near_duplicate) as near:
        stages = Stages(rule, harvest, near, _fingerprints(job.collecting), suites)
        for spec in rule.sources:
            if harvest.ended(spec.name):
                continue
            stages.recall(spec)
            for step in make_source(spec, context).harvest(harvest.state(spec.name)):
                stages.take(spec, step)
                report({"source": spec.name, "rows": harvest.size})
            harvest.end(spec.name)


def _context(job: SnapshotJob, suites: Suites | None) -> RoundContext:
    at = job.collecting
    if at is None or at.sampled is None:
        return RoundContext(job.round, job.campaign.seed, suites=suites)
    sampling = Sampling(
        sampled=at.sampled,
        model=job.campaign.model,
        copies=Path(at.copies),
        difficulty=expected(job.policy, "difficulty"),
        wordings=expected(job.policy, "wordings"),
    )
    return RoundContext(job.round, job.campaign.seed, sampling, suites)


def _fingerprints(at: Collecting | None) -> Sealed | None:
    if at is None or at.fingerprints is None:
        return None
    recorded = at.fingerprints
    place = artifacts.fetch(recorded.uri, recorded.sha256, hash_file, Path(at.copies))
    if (actual := hash_file(place)) != recorded.sha256:
        raise artifacts.ArtifactChanged(recorded.uri, actual, recorded.sha256)
    return Fingerprints.load(place)


def source_yields(harvest: Harvest, rule: DataRule, choice: Choice) -> Iterator[Yield]:
    """Each source's yield since the campaign began."""
    counts = harvest.counts()
    for spec in rule.sources:
        by_kind: dict[str, Counter[str]] = {"dropped": Counter(choice.left.get(spec.name, {})), "skipped": Counter()}
        for count in counts:
            if count.source == spec.name:
                by_kind[count.kind][count.reason] += count.n
        rows, dropped = choice.rows.get(spec.name, 0), by_kind["dropped"]
        yield Yield(
            source=spec.name,
            domain=spec.domain,
            made=rows + dropped.total(),
            kept=rows,
            dropped=dict(sorted(dropped.items())),
            skipped=dict(sorted(by_kind["skipped"].items())),
        )


def lineages(harvest: Harvest, rule: DataRule) -> tuple[Lineage, ...]:
    """The weights that wrote chosen rows, in this round or an earlier one."""
    models = {spec.name: spec.model for spec in rule.sources if isinstance(spec, SelfSource)}
    return tuple(
        Lineage(source=source, model=models[source], candidate=candidate, sha256=sha256)
        for source, uri in writers(harvest, tuple(models))
        for _, candidate, sha256 in [uri.split(":")]
    )
