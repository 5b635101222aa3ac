"""The broker of `make test-kafka` itself: it keeps its log, and never outlives who started it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest
from aiokafka import AIOKafkaProducer

from services.runtime.kafka.reader import read_topics
from tests.brokers import apache
from tests.processes import processes, until
from tests.typed import there

pytestmark = pytest.mark.broker("apache")

PARENT = """
import pathlib, sys
from tests.kafka.broker import ApacheKafka
print(ApacheKafka(pathlib.Path(sys.argv[1])).start().pid, flush=True)
sys.stdin.read()
"""


async def test_a_restarted_broker_has_its_address_and_its_messages(tmp_path):
    broker = apache(tmp_path / "kafka")
    with broker:
        address = broker.address
        async with AIOKafkaProducer(bootstrap_servers=address) as producer:
            await producer.send_and_wait("kept", b"value", key=b"key")
    assert not processes(tmp_path)
    with broker:
        assert broker.address == address
        (message,) = await read_topics(address, {"kept"})
    assert (message.key, message.value) == (b"key", b"value")


@pytest.mark.parametrize("victim", ["parent", "host"])
def test_the_broker_ends_with_a_parent_or_a_host_that_is_killed(tmp_path, victim):
    command = [sys.executable, "-c", PARENT, str(tmp_path / "kafka")]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    host = int(there(parent.stdout).readline())
    assert any("kafka.Kafka" in command for command in processes(tmp_path).values())
    os.kill(parent.pid if victim == "parent" else host, signal.SIGKILL)
    until(lambda: not any("kafka.Kafka" in command for command in processes(tmp_path).values()))
    parent.kill()
    parent.wait()
    until(lambda: not processes(tmp_path))


def test_what_is_missing_is_a_skip_here_and_a_failure_in_ci(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="Apache Kafka needs java"):
        apache(tmp_path)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="Apache Kafka needs java"):
        apache(tmp_path)
