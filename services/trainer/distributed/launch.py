"""One job on several devices of this host: torchrun starts a process per device, and this one receives their messages.

Each rank (`services.trainer.distributed.rank`) connects to this process over a Unix socket and reports each step. A
connection that closes without a last message means that the rank died. A rank that dies or hangs fails the job, and the
error names it; the queue decides whether to retry. A rank ends with its connection and with torchrun, so none outlives
its job.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from services.runtime.jobs.runner import JobFailed
from services.trainer.distributed.data_parallel import READY_SECONDS
from services.trainer.job import Trained, TrainingJob

Report = Callable[[dict[str, Any]], None]

LINE, JOB = "line", "job.json"
"""File names of the socket and of the job, in a folder that exists as long as the job."""

LOOK_SECONDS = 0.2
"""Longest wait for a message before torchrun and the deadlines are checked."""

LAST_WORDS_SECONDS = 10.0
"""How long to receive messages of the other ranks after a failure that another rank may have caused. Meanwhile torchrun
ends every rank that is not stuck."""

END_SECONDS = 60.0
"""How long torchrun may take to end: it kills processes that ignore its signal after 30 s."""

CONSEQUENCES = frozenset({"DistBackendError", "DistNetworkError", "DistStoreError", "RuntimeError"})
"""Error classes of a rank that has lost another rank."""


def launch(job: TrainingJob, report: Report) -> Trained:
    """Run the job's ranks to their end.

    Raises `JobFailed` with a rank's own error class, with `RankLost` if a rank died without a message, or with
    `RankHung` if no rank sent a message for the job's `rank_seconds`.
    """
    with tempfile.TemporaryDirectory(prefix="aevolve-") as folder:
        (Path(folder) / JOB).write_text(job.model_dump_json())
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(Path(folder) / LINE))
            door.listen(job.recipe.devices)
            with _torchrun(job.recipe.devices, folder) as torchrun:
                ranks = Ranks(job, report, door, torchrun)
                try:
                    return ranks.listen()
                finally:
                    ranks.end()


def _torchrun(devices: int, folder: str) -> subprocess.Popen[bytes]:
    """Torchrun in this process's group. It restarts no rank: the queue decides about a retry."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    command += [f"--nproc-per-node={devices}", "--max-restarts=0", "-m", "services.trainer.distributed.rank", folder]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)


@dataclass
class Line:
    """The connection and the state of a rank."""

    connection: Connection
    rank: int = -1
    pid: int = 0
    steps: int = -1
    """Steps whose own part it has computed; -1 while it has no model."""
    ended: bool = False
    """Whether it has sent its last message."""


@dataclass
class Ranks:
    """The ranks of a job, as their messages show them."""

    job: TrainingJob
    report: Report
    door: socket.socket
    torchrun: subprocess.Popen[bytes]
    lines: list[Line] = field(default_factory=list)
    result: Trained | None = None
    last: float = field(default_factory=time.monotonic)
    """Time of the last message of any rank."""
    started_at: float = field(default_factory=time.monotonic)
    failure: tuple[Line, str, str] | None = None
    """The rank that failed first, with its error and message, until it is clear whether another failure caused it."""
    watched: bool = True
    """Whether silence counts: not after the last step, when the first rank writes what was trained."""

    def listen(self) -> Trained:
        """Receive messages until the job has a result. Raises `JobFailed`."""
        while self.result is None:
            ready = wait([self.door, *(line.connection for line in self.lines)], LOOK_SECONDS)
            if self.door in ready:
                self.lines.append(Line(Connection(self.door.accept()[0].detach())))
            for line in [line for line in self.lines if line.connection in ready]:
                self.receive(line)
            self.judge(any_message=bool(ready))
        return self.result

    def receive(self, line: Line) -> None:
        """Handle one message of a rank, or the end of its connection."""
        self.last = time.monotonic()
        try:
            kind, *content = line.connection.recv()
        except (EOFError, OSError):
            self.lines.remove(line)
            if not line.ended:
                raise self.died(line) from None
            return
        getattr(self, f"on_{kind}")(line, *content)

    def on_here(self, line: Line, rank: int, pid: int) -> None:
        """A rank has started."""
        line.rank, line.pid = rank, pid

    def on_step(self, line: Line) -> None:
        """A rank has its model, or has computed its part of a step."""
        line.steps += 1

    def on_report(self, line: Line, progress: dict[str, Any]) -> None:
        """The first rank reports its progress."""
        self.watched = progress["step"] < progress["steps"]
        self.report(progress)

    def on_done(self, line: Line, result: Trained | None) -> None:
        """A rank is done; the first one sends the result."""
        line.ended, self.result = True, result or self.result

    def on_failed(self, line: Line, error: str, message: str) -> None:
        """A rank has failed."""
        line.ended = True
        if error not in CONSEQUENCES:
            raise self.failed(error, message)
        self.failure = self.failure or (line, error, f"rank {line.rank}: {message}")

    def died(self, line: Line) -> JobFailed:
        """The failure of a rank that ended without a last message, unless torchrun ended it after an earlier one."""
        if self.failure and self.failure[0] not in self.lines:
            return self.failed(*self.failure[1:])
        return self.failed("RankLost", f"rank {line.rank} (process {line.pid}) died; {LOST}")

    def judge(self, any_message: bool) -> None:
        """Raise `JobFailed` if the ranks were silent for too long, or have ended."""
        silent = time.monotonic() - self.last
        if self.failure and silent > LAST_WORDS_SECONDS and self.lines:
            raise self.failed("RankHung", self.hung(LAST_WORDS_SECONDS))
        if self.failure and not any_message and self.torchrun.poll() is not None:
            raise self.failed(*self.failure[1:])
        if not any_message and self.torchrun.poll() is not None and not self.result:
            raise self.failed("RankLost", f"torchrun ended with {self.torchrun.returncode}; {LOST}")
        if self.watched and silent > self.allowed_silence():
            raise self.failed("RankHung", self.hung(self.allowed_silence()))

    def allowed_silence(self) -> float:
        """Seconds that all ranks may be silent: more while one of them has no model yet."""
        with_model = [line for line in self.lines if line.steps >= 0]
        return self.job.rank_seconds if len(with_model) == self.job.recipe.devices else READY_SECONDS

    def hung(self, seconds: float) -> str:
        """The message on the ranks with the fewest steps; with sharded layers all ranks stop in the same step."""
        least = min((line.steps for line in self.lines), default=-1)
        behind = sorted(line.rank for line in self.lines if line.steps == least)
        which = "all ranks" if len(behind) == self.job.recipe.devices else f"rank {', '.join(map(str, behind))}"
        when = f"after step {least}" if least >= 0 else "before the first step"
        wait_longer = "see the trainer's log, or raise AEVOLVE_RANK_SECONDS"
        return f"{which} hung {when}, nothing heard for {seconds:g} s; {wait_longer}"

    def failed(self, error: str, message: str) -> JobFailed:
        """The failure, with the device seconds until now."""
        self.end()
        wall = (time.monotonic() - self.started_at) * self.job.recipe.devices
        return JobFailed(error, message, wall if torch.cuda.is_available() else sum(os.times()[:4]))

    def end(self) -> None:
        """Wait a while for the ranks of a finished job to end, and kill those that still run.

        torchrun ends with its processes; waiting for it adds their processor time to that of this process.
        """
        if self.result:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.torchrun.wait(END_SECONDS)
        for line in self.lines:
            if line.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(line.pid, signal.SIGKILL)
            line.connection.close()
        self.lines.clear()
        try:
            self.torchrun.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.torchrun.kill()


LOST = "see the trainer's log, and dmesg for the memory killer"
