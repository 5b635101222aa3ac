"""A full disk, an unwritable folder and killed parts end `demo` and `up` with one message, or they go on."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.console.cli import app
from services.console.embedded.run_folder import RunFolder
from tests.processes import PATIENCE, processes, until

COMMAND = [sys.executable, "-m", "services.console"]
COMMANDS = ("demo", "up")


def ended(*arguments: str, largest_file: int = resource.RLIM_INFINITY) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself, where no file may become larger than so many bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))

    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=PATIENCE, preexec_fn=limit
    )


def is_one_message(text: str) -> bool:
    """Whether a standard error holds one message of ours and no traceback."""
    return text.startswith("aevolve: ") and "Traceback" not in text and text.count("aevolve: ") == 1


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", ["/proc/run", "/dev/null/run"])
def test_a_folder_that_cannot_be_made_is_named(command: str, place: str) -> None:
    done = ended(command, "--out", place)
    assert done.returncode == 2
    assert is_one_message(done.stderr), done.stderr
    assert done.stderr.startswith(f"aevolve: --out: {place}; ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("largest", [0, 10_000, 1_000_000], ids=["nothing fits", "secrets fit", "no log of a database"])
def test_a_full_disk_is_told(command: str, largest: int, tmp_path: Path) -> None:
    done = ended(command, "--out", str(tmp_path / "run"), largest_file=largest)
    assert done.returncode == 2, done.stderr
    assert is_one_message(done.stderr), done.stderr
    assert str(tmp_path) in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not processes(tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "free some disk"), (errno.EROFS, "a folder that you can write to"), (errno.EIO, "another folder")],
)
def test_a_disk_that_fails_while_the_parts_start_is_told(
    command: str, number: int, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: RunFolder, settings: str) -> None:
        raise OSError(number, os.strerror(number), str(folder.settings))

    monkeypatch.setattr(RunFolder, "write_settings", fail)
    result = CliRunner().invoke(app, [command, "--out", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert f"{os.strerror(number)} at {tmp_path / 'run' / 'state' / 'settings.json'}" in result.output
    assert remedy in result.output
    assert not processes(tmp_path)


def children(pid: int) -> dict[int, str]:
    """The children of a process, with their command lines."""
    try:
        pids = [int(p) for file in Path(f"/proc/{pid}/task").glob("*/children") for p in file.read_text().split()]
        return {p: Path(f"/proc/{p}/cmdline").read_bytes().replace(b"\0", b" ").decode() for p in pids}
    except OSError:
        return {}


class Up:
    """`aevolve up`, whose children can be killed as soon as they appear."""

    def __init__(self, folder: Path) -> None:
        self.errors, self.output = folder.with_suffix(".err"), folder.with_suffix(".out")
        with self.errors.open("w") as stderr, self.output.open("w") as stdout:
            self.process = subprocess.Popen([*COMMAND, "up", "--out", str(folder)], stdout=stdout, stderr=stderr)

    def kill(self, word: str, known: Callable[[], set[int]] = set) -> int:
        """Kill the next child with the word in its command line."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for pid in [p for p, line in children(self.process.pid).items() if word in line and p not in known()]:
                os.kill(pid, signal.SIGKILL)
                return pid
            time.sleep(0.005)
        raise AssertionError(f"no {word} was started")

    def works(self) -> bool:
        """Whether all five services answer."""
        pages = [word for word in self.output.read_text().split() if word.endswith("/health")]
        return len(pages) == 5 and all(map(healthy, pages))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(PATIENCE) == 0


def healthy(page: str) -> bool:
    try:
        with urllib.request.urlopen(page, timeout=5) as answer:
            return bool(json.load(answer)["healthy"])
    except OSError:
        return False


@pytest.mark.parametrize("part", ["embedded.broker", "embedded.postgres"])
def test_a_part_that_is_killed_while_it_starts_is_started_again(part: str, tmp_path: Path) -> None:
    up = Up(tmp_path / "run")
    try:
        up.kill(part)
        until(lambda: up.process.poll() is not None or up.works())
        assert up.process.poll() is None, up.errors.read_text()
        assert "Traceback" not in up.errors.read_text()
        up.stop()
    finally:
        up.process.kill()
    until(lambda: not processes(tmp_path))


@pytest.mark.parametrize("part", ["embedded.broker", "embedded.postgres"])
def test_a_part_that_is_always_killed_ends_the_command_with_one_message(part: str, tmp_path: Path) -> None:
    up, killed = Up(tmp_path / "run"), set[int]()
    try:
        for _ in range(3):
            killed.add(up.kill(part, lambda: killed))
        assert up.process.wait(PATIENCE) == 2
    finally:
        up.process.kill()
    told = up.errors.read_text()
    assert is_one_message(told), told
    assert f"{part} " in told or f"{part}: " in told
    until(lambda: not processes(tmp_path))


def test_a_database_that_is_killed_while_it_is_prepared_ends_the_command_with_one_message(tmp_path: Path) -> None:
    up = Up(tmp_path / "run")
    started = tmp_path / "run" / "state" / "postgres" / "data" / "postmaster.pid"
    try:
        until(lambda: started.exists() or up.process.poll() is not None)
        for pid, line in processes(tmp_path / "run").items():
            if "bin/postgres" in line or "embedded.postgres" in line:
                os.kill(pid, signal.SIGKILL)
        until(lambda: up.process.poll() is not None or up.works())
        told = up.errors.read_text()
        assert "Traceback" not in told
        if up.process.poll() is None:
            up.stop()
        else:
            assert up.process.returncode == 2
            assert is_one_message(told), told
    finally:
        up.process.kill()


def test_a_run_that_has_ended_is_as_open_as_a_live_one(tmp_path: Path) -> None:
    run = tmp_path / "run"
    up = Up(run)
    try:
        until(lambda: up.process.poll() is not None or up.works())
        live = ended("verify", "--run", str(run))
        up.stop()
    finally:
        up.process.kill()
    until(lambda: not processes(tmp_path))
    assert live.returncode == 0, live.stderr
    for command in (["status"], ["events"], ["export", str(tmp_path / "log.jsonl")]):
        done = ended(*command, "--run", str(run))
        assert (done.returncode, done.stderr) == (0, ""), command
    later = ended("verify", "--run", str(run))
    assert (later.returncode, later.stdout.splitlines()[0]) == (0, live.stdout.splitlines()[0])
    assert not processes(run)
