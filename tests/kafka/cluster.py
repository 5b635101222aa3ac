"""Three Apache Kafka nodes, each broker and controller, with every topic on all of them: any one may be killed.

Clients reach each node through a proxy of ours (`tests.kafka.proxy`), whose address the node advertises, so that a test
can cut or delay the wire. The nodes speak to each other without it. What a node is otherwise: `tests.kafka.broker`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from tests.kafka.broker import CLUSTER, ApacheKafka, _java, _run, fetch, free_addresses, jars
from tests.kafka.proxy import Proxy

NODES = (1, 2, 3)

PROPERTIES = """\
process.roles=broker,controller
node.id={node}
listeners=BROKER://{broker},NODES://{internal},CONTROLLER://{controller}
advertised.listeners=BROKER://{proxy},NODES://{internal}
listener.security.protocol.map=BROKER:PLAINTEXT,NODES:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=NODES
controller.listener.names=CONTROLLER
controller.quorum.voters={voters}
log.dirs={folder}/log
# What is acknowledged lies on two nodes at least, so it outlives the sudden death of any one.
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.index.size.max.bytes=65536
auto.create.topics.enable=false
# A dead node is noticed in three seconds instead of nine.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=2
"""


class KafkaCluster:
    """The three nodes on a folder; as long as the context lasts."""

    def __init__(self, folder: Path) -> None:
        self.incarnation = f"cluster-{uuid4().hex}"
        """Of the nodes' logs, which outlive their restarts."""
        self.folder = folder.resolve()
        self.nodes = {node: ApacheKafka(self.folder / str(node)) for node in NODES}
        self.proxies: dict[int, Proxy] = {}
        self._stack = ExitStack()

    @property
    def address(self) -> str:
        """Bootstrap addresses of all nodes, with commas."""
        return ",".join(proxy.address for proxy in self.proxies.values())

    def kill(self, node: int) -> None:
        """SIGKILL a node's Java process, in the middle of whatever it does."""
        os.kill(self.nodes[node].said["pid"], signal.SIGKILL)
        self.nodes[node].stop()

    def start(self, node: int) -> None:
        """Start a node again, on its folder and its port; returns when it answers."""
        self.nodes[node].start()

    def __enter__(self) -> Self:
        if not jars().exists():
            fetch()
        with self._stack:
            if not (self.folder / str(NODES[-1]) / "server.properties").exists():
                self._format()
            for node in NODES:
                self.proxies[node] = self._stack.enter_context(Proxy(*_ports(self.folder / str(node))))
            self._stack.callback(self._at_once, lambda node: self.nodes[node].stop())
            self._at_once(self.start)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _format(self) -> None:
        free = iter(free_addresses(4 * len(NODES)))
        addresses = {node: tuple(islice(free, 4)) for node in NODES}
        voters = ",".join(f"{node}@{controller}" for node, (_, _, controller, _) in addresses.items())
        self._at_once(lambda node: _format_node(self.folder / str(node), node, voters, *addresses[node]))

    def _at_once(self, act: Callable[[int], Any]) -> None:
        """Do something with all nodes side by side: none is ready before most of them are."""
        with ThreadPoolExecutor(len(NODES)) as threads:
            list(threads.map(act, NODES))


def _format_node(folder: Path, node: int, voters: str, *addresses: str) -> None:
    folder.mkdir(parents=True)
    broker, internal, controller, proxy = addresses
    new = folder / "new.properties"
    new.write_text(
        PROPERTIES.format(
            node=node,
            voters=voters,
            folder=folder,
            broker=broker,
            internal=internal,
            controller=controller,
            proxy=proxy,
        )
    )
    _run([*_java("kafka.tools.StorageTool"), "format", "-t", CLUSTER, "-c", str(new)])
    new.rename(folder / "server.properties")


def _ports(folder: Path) -> tuple[str, str]:
    """Addresses of a node's proxy and of the node itself."""
    lines = dict(line.split("=", 1) for line in (folder / "server.properties").read_text().splitlines() if "=" in line)
    first = (lines[name].split(",")[0].removeprefix("BROKER://") for name in ("advertised.listeners", "listeners"))
    proxy, node = first
    return proxy, node
