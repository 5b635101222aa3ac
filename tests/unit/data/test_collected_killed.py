"""kill -9 at any statement and any opened file of a collecting job: the next try goes on, and nothing is had twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random
from sqlite3 import IntegrityError

import pytest

from schemas.rows import Row
from schemas.sources import DataRule
from services.data.collect import collect
from services.data.collect import manifest as manifests
from services.data.collect.harvest import Harvest
from services.data.collect.near_duplicates import NearDuplicates
from services.data.collect.stages import Stages
from services.data.snapshot import make
from services.data.sources.registry import make_source
from services.data.sources.source import Step
from services.runtime.storage.artifacts import ArtifactChanged
from tests.typed import there
from tests.unit.data.test_collected import GOOD, job, notes, sums, text

PAGES = 40


class Pages:
    """A source that notes what it fetches before it gives it."""

    name = "notes"

    def __init__(self, log: Path) -> None:
        self.log = log

    def harvest(self, state):
        for number in range(PAGES):
            if str(number) in state:
                continue
            with self.log.open("a") as log:
                log.write(f"{number}\n")
            said = text(number % 30)  # the last ten say again what others said
            row = Row("prose", 0, 0, "", "", said, f"{said} {number % 35}", "notes", f"page:{number}")
            yield Step((row,), {str(number): True}, {"odd": number % 2} if number % 2 else {})


def attempt(folder: Path, die_at: int, told) -> None:
    """The job in a process of its own, which kills itself at its `die_at`-th statement or opened file."""
    ticks = 0

    def tick(*_) -> None:
        nonlocal ticks
        ticks += 1
        if ticks == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def connect(*args, **kwargs):
        db = real(*args, **kwargs)
        db.set_trace_callback(tick)
        return db

    real, sqlite3.connect = sqlite3.connect, connect

    def paged(spec, *rest):
        return Pages(folder / "fetched") if spec.name == "notes" else make_source(spec, *rest)

    pytest.MonkeyPatch().setattr(collect, "make_source", paged)
    sys.addaudithook(lambda event, _: tick() if event == "open" else None)
    snapshot = make(job(folder, variants=2), lambda _: None)
    told.send((snapshot.model_dump_json(exclude={"seconds", "device_seconds"}), ticks))


def run(folder: Path, die_at: int = 0):
    """The job's snapshot and its number of ticks; nothing where it died."""
    here, there = CONTEXT.Pipe()
    child = CONTEXT.Process(target=attempt, args=(folder, die_at, there))
    child.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        return None
    finally:
        child.join()
        assert child.exitcode in (0, -signal.SIGKILL)


CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["services.data.collect.collect", "services.data.sources.files", "pandas"])


def prepared(folder: Path) -> Path:
    folder.mkdir()
    notes(folder, [])
    sums(folder, GOOD)
    return folder


@pytest.mark.parametrize("seed", [0, 1])
def test_a_job_killed_anywhere_ends_as_if_it_had_not_been(tmp_path, seed):
    folder, random = prepared(tmp_path / "all"), Random(seed)
    calm, ticks = run(folder)
    for had in ("work", "harvests", "snapshots", "fetched"):
        (folder / had).rename(tmp_path / had)
    kills = 0
    while (ended := run(folder, random.randint(1, ticks // 4))) is None:
        kills += 1
    assert kills > 2
    expected, found = json.loads(calm), json.loads(ended[0])
    for same in ("snapshot", "rows", "tokens", "yields"):
        assert found[same] == expected[same]
    fetched = Counter((folder / "fetched").read_text().split())
    assert set(fetched) == {str(number) for number in range(PAGES)}
    assert fetched.total() <= PAGES + kills


def test_a_step_whose_checks_fail_leaves_nothing(tmp_path):
    harvest = Harvest(tmp_path / "harvest.db", 1)
    row = Row("prose", 0, 0, "", "", text(1), "core", "notes")
    with pytest.raises(IntegrityError), harvest.transaction():
        list(map(harvest.keep, (row, row)))
    assert not harvest.has(row)
    assert list(harvest.rows()) == []


def test_rows_that_scrubbing_makes_equal_are_one_also_after_a_crash(tmp_path):
    """The first was kept, and its step is repeated with the index of near-duplicates as it was before."""
    rule = DataRule.model_validate(
        {"sources": [{"kind": "files", "name": "notes", "domain": "prose", "paths": ["x"]}], "filters": {"quality": []}}
    )
    said = f"{text(1)} Write to {{}}@mail.example.org for more."
    first, second = (
        Row("prose", 0, 0, "", "", said.format(name), said.format(name), "notes", f"page:{name}")
        for name in ("ann", "ben")
    )
    with closing(Harvest(tmp_path / "harvest.db", 1)) as harvest:
        for row, session in ((first, "before"), (second, "after")):
            with NearDuplicates.open(tmp_path / f"{session}.db", 0.8, round_=1) as near:
                Stages(rule, harvest, near, None).take(rule.sources[0], Step((row,)))
        assert len(list(harvest.rows())) == 1
        assert [count.reason for count in harvest.counts()] == ["duplicate/exact"]


def test_two_processes_never_harvest_for_one_round(tmp_path):
    with collect.locked(tmp_path / "1"), pytest.raises(collect.HarvestBusy, match="another process harvests"):
        collect.locked(tmp_path / "1").__enter__()
    with collect.locked(tmp_path / "1"):
        pass


def test_an_altered_harvest_is_not_gone_on_with(tmp_path):
    folder = prepared(tmp_path / "x")
    first = make(job(folder), lambda _: None)
    [shard] = manifests.read(there(first.harvest), folder).rows
    place = folder / "harvests" / f"{shard.sha256}.jsonl.gz"
    place.write_bytes(place.read_bytes() + b"more")
    with pytest.raises(ArtifactChanged, match=r"jsonl\.gz"):
        make(job(folder, 2, first), lambda _: None)
