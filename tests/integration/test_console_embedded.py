"""The whole system as processes: it comes up, survives the loss of its parts, and leaves nothing behind."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from eventstore.effect import Append
from eventstore.store import EventStore
from schemas.advisor import AdvisorFailed
from tests.processes import processes, until


class Up:
    """`aevolve up` in a folder."""

    def __init__(self, folder):
        self.folder, self.output = folder, folder.with_suffix(".out")
        with self.output.open("w") as out:
            command = [sys.executable, "-m", "services.console", "up", "--out", str(folder)]
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        self.pages = until(self.told)
        until(lambda: all(map(self.healthy, self.pages)))

    def told(self):
        return [word for word in self.output.read_text().split() if word.endswith("/health")]

    def healthy(self, page):
        try:
            with urllib.request.urlopen(page, timeout=5) as answer:
                return json.load(answer)["healthy"]
        except OSError:
            return False

    def page(self):
        """What the web page says to a probe."""
        (address,) = re.findall(r"the page: (\S+)", self.output.read_text())
        with urllib.request.urlopen(f"{address}alive", timeout=5) as answer:
            return json.load(answer)

    def letters(self):
        """What `aevolve dead-letters list` says of the run."""
        command = [sys.executable, "-m", "services.console", "dead-letters", "list", "--run", str(self.folder)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stderr

    def kafka(self):
        return json.loads((self.folder / "state" / "settings.json").read_text())["kafka"]

    def broker(self):
        """Process id of the broker, whose command line does not name the folder."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        pids = [pid for file in children for pid in file.read_text().split()]
        return next(int(pid) for pid in pids if b"embedded.broker" in Path(f"/proc/{pid}/cmdline").read_bytes())

    def pid(self, word):
        return next((pid for pid, command in processes(self.folder).items() if word in command), None)


@pytest.mark.parametrize(
    ("number", "name"),
    [(signal.SIGKILL, "run"), (signal.SIGTERM, "too long for a socket's path" * 4)],
    ids=["SIGKILL", "SIGTERM, long path"],
)
def test_nothing_is_left_however_it_ends_and_it_comes_up_again(tmp_path, number, name):
    folder = tmp_path / name
    up = Up(folder)
    assert len(up.pages) == 5
    for part in ("serve recipes", "embedded.postgres"):  # both come back
        lost = up.pid(part)
        os.kill(lost, signal.SIGKILL)
        until(lambda part=part, lost=lost: up.pid(part) not in (None, lost))
    until(lambda: all(map(up.healthy, up.pages)))
    up.process.send_signal(number)
    up.process.wait()
    until(lambda: not processes(folder))
    if number == signal.SIGKILL:
        again = Up(folder)
        again.process.send_signal(signal.SIGINT)
        assert again.process.wait() == 0
        assert not processes(folder)


def test_the_page_and_the_dead_letters_are_found_wherever_the_broker_is(tmp_path):
    up = Up(tmp_path / "run")
    assert up.letters() == "no dead letters\n"
    assert up.page() == {"healthy": True, "position": 0}
    first = up.kafka()
    os.kill(up.broker(), signal.SIGKILL)
    until(lambda: up.kafka() != first)
    assert up.letters() == "no dead letters\n"
    up.process.send_signal(signal.SIGTERM)
    up.process.wait()
    gone = up.letters()
    assert gone.startswith(f"aevolve: AEVOLVE_KAFKA: {up.kafka()} does not answer")
    assert len(gone.splitlines()) == 1


def test_a_run_signs_its_heads_and_is_verified_by_them(tmp_path):
    folder = tmp_path / "run"
    up = Up(folder)
    asyncio.run(advise(folder, 3))
    until(lambda: verified(folder)[1:2] == ["anchors that agree: 1, the last at position 3"])
    asyncio.run(advise(folder, 2))
    up.process.send_signal(signal.SIGTERM)
    up.process.wait()
    anchors = [json.loads(line)["position"] for line in (folder / "anchors.jsonl").read_text().splitlines()]
    assert anchors == [3, 5]


async def advise(folder, number):
    """Append to the run's log what no service reacts to."""
    dsn = json.loads((folder / "state" / "settings.json").read_text())["postgres"]
    password = (folder / "state" / "secrets" / "policy").read_text()
    async with await EventStore.open(dsn, service="policy", password=password) as store:
        await store.append([Append("c", "c", AdvisorFailed(error="E", message="m"))] * number)


def verified(folder):
    """What `aevolve verify` says of the run."""
    command = [sys.executable, "-m", "services.console", "verify", "--run", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
