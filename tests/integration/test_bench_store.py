"""The benchmark runs, whatever its figures are, and refuses what would make them mean something else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.store.chain_cost import AppendHasChanged, leave_out_hash
from benchmarks.store.figures import Figure, interleaved
from benchmarks.store.generated import PER_STREAM, rows
from benchmarks.store.table import missed, table
from eventstore.effect import Append
from eventstore.integrity.chain import Chain, ChainBroken
from schemas.advisor import AdvisorFailed
from tests.conftest import Stores


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.store", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_every_figure_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "new" / "figures.json"
    done = run("--quick", "--huge", "--events", "2000", "--folder", str(tmp_path), "--out", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads(file.read_text())
    figures = {figure["measure"]: figure for figure in record["figures"]}
    assert len(figures) == 14
    for name, figure in figures.items():
        assert min(figure["ours"] + figure["peer"]) > 0
        assert f"\n{name} " in done.stdout
    assert record["postgres"]["fsync"] == record["postgres"]["synchronous_commit"] == "on"
    assert record["fdatasync_ms"] > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--folder", "/dev/shm"), "--folder: /dev/shm"),
        (("--events", "7"), "--events: 7 is too short"),
        (("--only", "luck"), "--only: invalid choice: 'luck'"),
        (("--quick", "--only", "huge", "--events", "1000000000000"), "--events: 1000000000000 need about"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments: tuple[str, ...], words: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert words in done.stderr


async def test_the_store_without_its_hash_is_this_store_without_its_hash(database: str, stores: Stores) -> None:
    store = await stores("policy")
    item = Append("c", "c", AdvisorFailed(error="E", message="m"))
    await store.append([item])
    await leave_out_hash(database)
    await store.append([item])
    with pytest.raises(ChainBroken) as caught:
        await store.verify({})
    assert caught.value.position == 2
    with pytest.raises(AppendHasChanged, match="0 functions"):
        await leave_out_hash(database)


def test_a_generated_log_has_a_right_chain() -> None:
    log = list(Chain().checked(rows(2 * PER_STREAM + 1)))
    assert [(row.stream, row.stream_version) for row in log[PER_STREAM - 1 : PER_STREAM + 1]] == [
        ("bench-0/0", PER_STREAM),
        ("bench-0/1", 1),
    ]


async def test_repetitions_take_turns() -> None:
    order = []

    def side(name: str):
        async def once() -> str:
            order.append(name)
            return name

        return once

    assert await interleaved(2, side("a"), side("b")) == [["a", "a"], ["b", "b"]]
    assert order == ["a", "b", "a", "b", "b", "a"]


def test_a_goal_is_for_the_ratio_of_medians() -> None:
    more = Figure("more", "events/s", [1, 30, 99], [10], "peer", at_least=3)
    less = Figure("less", "ms", [31], [10, 10, 11], "peer", at_most=3, held_back="of this")
    shown = Figure("shown", "ms", [1], [1], "peer")
    assert (more.met, less.met, shown.met) == (True, False, None)
    assert missed([more, less, shown]) == "missed: less: of this"
    assert missed([more, shown]) == "all goals are met"
    assert [line.split()[-2] for line in table([more, less, shown]).splitlines()[1:]] == ["yes", "NO", "-"]
