"""Apache Kafka for the tests: one node that is broker and controller, from jars that Maven fetches once.

It lives as the embedded servers do (`eventstore.embedded.hosted`): a child that ends with us, however we end. Unlike
the embedded broker it keeps its log and its port when it is started again on the same folder.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from eventstore.embedded.hosted import Hosted, serve
from services.runtime.ports import free_ports
from services.runtime.settings import cache_folder

POM = Path(__file__).with_name("pom.xml")
JVM = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""A small heap, and only the compiler that starts quickly."""

QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
START_SECONDS = 60.0
CLUSTER = "YWV2b2x2ZS10ZXN0LWthZg"
"""Any UUID in Kafka's spelling: 16 bytes in base64."""

PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=BROKER://{broker},CONTROLLER://{controller}
advertised.listeners=BROKER://{broker}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers={controller}
log.dirs={folder}/log
# One node, one test: nothing to replicate to and nobody to wait for.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.index.size.max.bytes=65536
# The defaults, which a service must not fall for: an undeclared topic appears, with one partition.
auto.create.topics.enable=true
num.partitions=1
"""


class ApacheKafka(Hosted):
    """A broker on a folder, as a child process."""

    def __init__(self, folder: Path, properties: str = "", *users: str) -> None:
        """Further `properties` (a template like `PROPERTIES`) and SCRAM users count where the folder is new."""
        super().__init__("tests.kafka.broker", str(folder.resolve()), properties, *users)
        self.incarnation = f"apache-{uuid4().hex}"
        """Of the folder's log, which outlives a restart."""

    @property
    def address(self) -> str:
        """Bootstrap address, `host:port`."""
        return str(self.said["address"])


def missing() -> str | None:
    """What Apache Kafka needs and this machine does not have."""
    programs = ("java",) if jars().exists() else ("java", "mvn")
    lacking = [program for program in programs if shutil.which(program) is None]
    return f"Apache Kafka needs {' and '.join(lacking)}: install it, or test on another broker" if lacking else None


def jars() -> Path:
    """The folder of the jars that the pom names, made by `fetch`."""
    return cache_folder() / "kafka" / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]


def fetch() -> None:
    """Have Maven copy the jars into the cache; aside, and then renamed, so that some are never taken for all."""
    making = jars().with_name(f"new-{uuid4().hex}")
    making.parent.mkdir(parents=True, exist_ok=True)
    try:
        options = ("-DincludeScope=runtime", f"-DoutputDirectory={making}")
        _run(["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", *options])
        making.rename(jars())
    finally:
        shutil.rmtree(making, ignore_errors=True)


@contextmanager
def running(folder: Path, further: str, users: list[str]) -> Iterator[dict[str, Any]]:
    """A broker on the folder, formatted where it is new."""
    if not jars().exists():
        fetch()
    properties = folder / "server.properties"
    if not properties.exists():
        _format(folder, properties, further, users)
    address = _address(properties)
    with (folder / "kafka.log").open("ab") as output:
        server = subprocess.Popen([*_tied(), *_java("kafka.Kafka"), str(properties)], stdout=output, stderr=output)
    try:
        _await_answer(server, address, folder / "kafka.log")
        yield {"address": address, "pid": server.pid}
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def _format(folder: Path, properties: Path, further: str, users: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    broker, controller = free_addresses(2)
    new = folder / "new.properties"
    new.write_text((PROPERTIES + further).format(broker=broker, controller=controller, folder=folder))
    scram = [word for user in users for word in ("--add-scram", user)]
    _run([*_java("kafka.tools.StorageTool"), "format", "--standalone", "-t", CLUSTER, "-c", str(new), *scram])
    new.rename(properties)


def free_addresses(count: int) -> list[str]:
    """Different ones of this machine, `host:port`, that a restarted server finds free again."""
    return [f"127.0.0.1:{port}" for port in free_ports(count)]


def _address(properties: Path) -> str:
    lines = dict(line.split("=", 1) for line in properties.read_text().splitlines() if not line.startswith("#"))
    return lines["advertised.listeners"].partition(",")[0].removeprefix("BROKER://")


def _java(program: str) -> list[str]:
    return ["java", *JVM, QUIET, "-cp", f"{jars()}/*", program]


def _tied() -> list[str]:
    """What to put before a command so that the kernel ends it with us."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig=KILL"] if setpriv else []


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed: {(done.stdout + done.stderr).strip()[-2000:]}")


def _await_answer(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    patience = time.monotonic() + START_SECONDS
    while not asyncio.run(_answers(address)):
        if server.poll() is not None or time.monotonic() > patience:
            raise RuntimeError(f"Kafka did not start; the end of {log}: {log.read_text(errors='replace')[-1000:]}")
        time.sleep(0.1)


async def _answers(address: str) -> bool:
    client = AIOKafkaClient(bootstrap_servers=address)
    try:
        await client.bootstrap()
    except KafkaError:
        return False
    finally:
        await client.close()
    return True


if __name__ == "__main__":
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that nothing answers yet is no news
    sys.exit(serve(lambda: running(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])))
