"""The stack of deploy/compose.yaml under a name of its own, as long as the context lasts; and how a test hurts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
import yaml
from pydantic import TypeAdapter

from schemas.envelope import Envelope
from services.runtime.ports import free_ports

ROOT = Path(__file__).parents[2]
PROJECT = "aevolve-test"
ENVELOPES = TypeAdapter(list[Envelope])


def missing() -> str | None:
    """What the test needs and this machine does not have."""
    for command, remedy in (
        (["docker", "compose", "version"], "install Docker with compose"),
        (["docker", "info"], "start a Docker engine, as tests/compose/with-engine.sh does"),
    ):
        try:
            subprocess.run(command, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return f"`{' '.join(command)}` fails: {remedy}"
    return None if os.geteuid() == 0 else "a container's process is killed from outside it: run as root"


class Stack:
    """One compose project; `more` files of compose go over deploy/compose.yaml."""

    def __init__(
        self, folder: Path, campaign: Path, *, trainers: int = 1, files: Path | None = None, more: Sequence[Path] = ()
    ) -> None:
        self.folder, self.secrets, self.port = folder, folder / "secrets", free_ports(1)[0]
        self.trainers = trainers
        self._files = [word for file in (ROOT / "deploy" / "compose.yaml", *more) for word in ("--file", str(file))]
        subprocess.run([ROOT / "deploy" / "secrets.sh", self.secrets], check=True)
        self._environment = {
            **os.environ,
            "AEVOLVE_SECRETS": str(self.secrets),
            "AEVOLVE_CAMPAIGNS": str(campaign.parent),
            "AEVOLVE_CAMPAIGN": campaign.name,
            "AEVOLVE_CONSOLE_PORT": str(self.port),
            **({"AEVOLVE_DATA": str(files)} if files else {}),
        }
        self.up_at = 0.0
        """When `up` was called, by the monotonic clock."""

    def __enter__(self) -> Self:
        try:
            self.compose("build", "--quiet")
            self.up_at = time.monotonic()
            self.compose("up", "--detach", "--scale", f"trainer={self.trainers}")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        (self.folder / "stack.log").write_text(self.compose("logs", "--no-color", "--timestamps", check=False))
        self.compose("--profile", "*", "down", "--volumes", "--timeout", "5", check=False)

    def compose(self, *words: str, check: bool = True) -> str:
        """What a compose command prints. Raises `RuntimeError` with its words where it fails, unless told otherwise."""
        command = ["docker", "compose", "--project-name", PROJECT, *self._files, *words]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(
                f"compose {' '.join(words)} exited {done.returncode}: {done.stderr[-3000:]}{done.stdout}"
            )
        return done.stdout

    def aevolve(self, *words: str, check: bool = True) -> str:
        """What an `aevolve` command prints."""
        return self.compose("run", "--rm", "--no-deps", "--no-TTY", "cli", *words, check=check)

    def browser(self) -> httpx2.Client:
        """Somebody who opens the page, and has not shown the token yet."""
        return httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    def token(self) -> str:
        """What opens the page."""
        return (self.secrets / "console.token").read_text().strip()

    def events(self) -> list[Envelope]:
        """The log."""
        return ENVELOPES.validate_python([json.loads(line) for line in self.aevolve("events", "--json").splitlines()])

    def ask(self, query: str) -> str:
        """What the database answers to its owner; nothing while it is away."""
        words = ("psql", "--username=aevolve", "--tuples-only", "--no-align", f"--command={query}")
        try:
            return self.compose("exec", "--no-TTY", "--user=postgres", "postgres", *words).strip()
        except RuntimeError:
            return ""

    def count(self, type_: str) -> int:
        """How many events of a type there are; 0 while the database is away."""
        return int(self.ask(f"SELECT count(*) FROM aevolve.events WHERE type = '{type_}'") or 0)

    def first_event(self, patience: float) -> float:
        """Seconds from `up` to the log's first event, to be asked before anybody else waits for anything."""
        until(lambda: self.count("CampaignStarted") > 0, patience, "the first event", pause=0.5)
        return time.monotonic() - self.up_at

    def containers(self, service: str) -> list[dict[str, Any]]:
        """What the engine knows of a service's containers, stopped ones too."""
        ids = self.compose("--profile", "*", "ps", "--all", "--quiet", service).split()
        done = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True, check=True)
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def kill(self, service: str, hostname: str = "") -> str:
        """SIGKILL a container's first process, as the kernel does when memory runs out; the container's id.

        The engine's own `kill` counts as a person's wish, after which no restart policy applies.
        """
        victim = next(c for c in self.containers(service) if c["Config"]["Hostname"].startswith(hostname))
        os.kill(victim["State"]["Pid"], signal.SIGKILL)
        return str(victim["Id"])

    def came_back(self, id_: str) -> bool:
        """Whether a killed container runs again."""
        done = subprocess.run(["docker", "inspect", id_], capture_output=True, text=True, check=True)
        state = json.loads(done.stdout)[0]
        return bool(state["RestartCount"] >= 1 and state["State"]["Running"])


def image_bytes(name: str) -> int:
    """The size of an image here."""
    command = ["docker", "image", "inspect", "--format", "{{.Size}}", name]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def core_adds() -> float:
    """By how many MB the image `core` is larger than its base."""
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    base = next(line.split()[1] for line in dockerfile.splitlines() if line.startswith("FROM "))
    parts = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    return (image_bytes(parts["migrate"]["image"]) - image_bytes(base)) / 1e6


def until(holds: Callable[[], bool], seconds: float, what: str, pause: float = 2.0) -> None:
    """Wait until something holds. Raises `AssertionError` with its name after so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(pause)
