"""The folder of a run on this machine, the lock that shows whether the run is alive, and the failures of its disk.

The lock is an open file that every child inherits: it is free only when the last process of the run has ended, so a
resumed run never meets processes of the killed run.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from pydantic import BaseModel

from eventstore.errors import DISCONNECTED
from eventstore.integrity.anchors import make_key, read_key
from schemas.campaign import Campaign
from services.console.report.data import Clock
from services.runtime.parent_watch import GRACE
from services.runtime.user_error import UserError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


class Record(BaseModel):
    """`run.json`: which campaign the folder holds, and when a process was there to work on it."""

    campaign: str | None = None
    """Campaign id."""
    file: Campaign | None = None
    """The campaign as it was or will be started."""
    beside: Path | None = None
    """Folder of the campaign file: its suites and sources may name files that lie there."""
    reported: bool = False
    """Whether it is finished and its report written."""
    sessions: list[tuple[datetime, datetime]] = []
    """Begin and last sign of life of each process that ran the loop."""
    base: list[tuple[datetime, datetime]] = []
    """When the base model was being made."""

    def alive(self) -> None:
        """The session that runs now has lasted until now."""
        self.sessions[-1] = (self.sessions[-1][0], datetime.now(UTC))

    def clock(self) -> Clock:
        """The times that the report counts."""
        return Clock(sessions=self.sessions, base=self.base)

    def clock_now(self) -> Clock:
        """The same for a session that is still running."""
        self.alive()
        return self.clock()


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run: reports on top, everything else below `state` and `logs`."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", self.root.absolute())  # children may have another working folder

    @property
    def state(self) -> Path:
        """Database, secrets and artifacts."""
        return self.root / "state"

    @property
    def settings(self) -> Path:
        """How the other commands reach this run's database and broker."""
        return self.state / "settings.json"

    def log(self, name: str) -> Path:
        """Log of a process."""
        return self.root / "logs" / f"{name}.log"

    def password(self, service: str) -> Path:
        """File with the password of a service's role."""
        return secret(self.state / "secrets" / service)

    @property
    def anchor_key(self) -> Path:
        """File with the private key that signs the log's heads; created on first use."""
        file = self.state / "secrets" / "anchor.key"
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        signer = read_key(file) if file.exists() else make_key(file)
        _replace(self.public_key, signer.public.hex())
        return file

    @property
    def public_key(self) -> Path:
        """File with the public key that verifies the signed heads."""
        return self.root / "anchors.pub"

    @property
    def anchors(self) -> Path:
        """The signed heads."""
        return self.root / "anchors.jsonl"

    def record(self) -> Record:
        """The record of the run; empty for a new folder."""
        file = self.root / "run.json"
        return Record.model_validate_json(file.read_text()) if file.exists() else Record()

    def keep(self, record: Record) -> None:
        """Write the record, whole or not at all."""
        _replace(self.root / "run.json", record.model_dump_json(indent=1))

    def write_settings(self, settings: str) -> None:
        """Write the settings, whole or not at all."""
        _replace(self.settings, settings)

    @contextmanager
    def lock(self) -> Iterator[int]:
        """Hold the folder; yields the descriptor that children must inherit.

        Waits a little for the children of a killed run. Raises `UserError` where another run holds it.
        """
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "lock").open("a") as file:
            if not _locked(file.fileno(), timeout=GRACE + 4.0):
                raise UserError(
                    f"--out: {self.root}; a run is alive in this folder: stop it first, or give another --out"
                )
            yield file.fileno()

    @contextmanager
    def lock_if_free(self) -> Iterator[bool]:
        """Hold the folder if no process of the run is alive; yields whether it is held now."""
        file = self.state / "lock"
        if not file.exists():
            yield False
            return
        with file.open("a") as stream:
            yield _locked(stream.fileno(), timeout=0.0)


def _replace(file: Path, text: str) -> None:
    new = file.with_name(f".{file.name}")
    new.write_text(text + "\n")
    new.replace(file)


def secret(file: Path, text: str | None = None) -> Path:
    """A file with a secret that only this user can read; created on first use, at random where no text is given."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(text or secrets.token_urlsafe(32))
    return file


def _locked(descriptor: int, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        else:
            return True


@contextmanager
def as_user_errors(folder: RunFolder) -> Iterator[None]:
    """Raise `UserError` for a failure of the run's disk or of its database. A closed terminal stays what it is."""
    try:
        yield
    except (BrokenPipeError, UserError):
        raise
    except (*DISCONNECTED, asyncpg.PostgresError) as error:
        if isinstance(error, OSError) and not isinstance(error, (ConnectionError, TimeoutError)):
            raise UserError(f"--out: {folder.root}; {_of_disk(error, folder)}") from error
        raise UserError(
            f"embedded: the database of {folder.root} ended or refused ({error or type(error).__name__}): see "
            f"{folder.state / 'postgres' / 'postgres.log'}, free some disk and memory, and run the command again"
        ) from error


def _of_disk(error: OSError, folder: RunFolder) -> str:
    place = "" if error.filename in (None, str(folder.root)) else f" at {os.fsdecode(error.filename)}"
    if error.errno in FULL:
        remedy = "free some disk or raise the quota, and go on with --resume"
    elif error.errno in READ_ONLY:
        remedy = "give a folder that you can write to"
    else:
        remedy = "give another folder"
    return f"{error.strerror or error}{place}: {remedy}"
