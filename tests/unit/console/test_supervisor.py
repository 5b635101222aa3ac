"""Real processes, no services: the children are small programs that write what happens to them into files."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.console.embedded import supervisor
from services.console.embedded.supervisor import Child, Command, keep_running
from services.runtime.user_error import UserError

LIVES = """
import os, pathlib, subprocess, sys, time
folder = pathlib.Path(sys.argv[1])
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
note = folder / f"{os.getpid()}.new"
note.write_text(str(grandchild.pid))
note.rename(note.with_suffix(".started"))  # it is whole when it is seen
time.sleep(600)
"""
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + LIVES
SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from services.console.embedded.supervisor import Command, keep_running
folder = Path(sys.argv[1])
asyncio.run(keep_running([Command("child", (sys.argv[2], str(folder)), folder / "child.log")]))
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Makes a module of the text; children find it on their path."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path(__file__).parents[3]}")

    def make(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return make


def started(folder: Path) -> list[int]:
    return [int(p.stem) for p in folder.glob("*.started")]


def family(folder: Path) -> list[int]:
    return [pid for p in folder.glob("*.started") for pid in (int(p.stem), int(p.read_text()))]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def until(condition, patience=600.0):
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


async def eventually(condition):
    await asyncio.to_thread(until, condition)


@contextlib.asynccontextmanager
async def keeping(*commands):
    task = asyncio.create_task(keep_running(commands))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_killed_child_is_started_again_and_its_children_end(tmp_path, program):
    command = Command("child", (program("lives", LIVES), str(tmp_path)), tmp_path / "child.log")
    async with keeping(command):
        await eventually(lambda: len(family(tmp_path)) == 2)
        (first, grandchild) = family(tmp_path)
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: len(started(tmp_path)) == 2)
        assert not alive(first)
        await eventually(lambda: not alive(grandchild))
    await eventually(lambda: not any(map(alive, family(tmp_path))))


async def test_a_child_that_ignores_sigterm_is_killed(tmp_path, program, monkeypatch):
    monkeypatch.setattr(supervisor, "GRACE", 0.5)
    child = await Child.start(Command("child", (program("stubborn", STUBBORN), str(tmp_path)), tmp_path / "child.log"))
    await eventually(lambda: len(family(tmp_path)) == 2)
    await child.stop()
    await eventually(lambda: not any(map(alive, family(tmp_path))))


async def test_what_keeps_dying_is_given_up_with_its_last_words(tmp_path, program, monkeypatch):
    monkeypatch.setattr(supervisor, "PAUSE", 0.01)
    name = program("broken", "import sys\nprint('AEVOLVE_KAFKA: no answer', file=sys.stderr)\nraise SystemExit(2)\n")
    with pytest.raises(UserError, match=r"child: ended 6 times.*status 2.*AEVOLVE_KAFKA: no answer"):
        await keep_running([Command("child", (name,), tmp_path / "child.log")])


async def test_one_that_is_given_up_ends_the_others(tmp_path, program, monkeypatch):
    monkeypatch.setattr(supervisor, "PAUSE", 0.01)
    monkeypatch.setattr(supervisor, "TRIES", 2)
    lives = Command("lives", (program("lives", LIVES), str(tmp_path)), tmp_path / "lives.log")
    with pytest.raises(UserError):
        await keep_running([lives, Command("child", (program("broken", "raise SystemExit(1)"),), tmp_path / "c.log")])
    await eventually(lambda: not any(map(alive, family(tmp_path))))


@pytest.mark.parametrize("text", [LIVES, STUBBORN], ids=["obedient", "stubborn"])
def test_no_process_is_left_when_the_supervisor_is_killed(tmp_path, program, text):
    boss = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(tmp_path), program("child", text)])
    until(lambda: len(family(tmp_path)) == 2)
    boss.kill()
    boss.wait()
    child, grandchild = family(tmp_path)
    until(lambda: not alive(child))
    if text is STUBBORN:  # the obedient one leaves its own children to those who watch their own pipe
        until(lambda: not alive(grandchild))
    with contextlib.suppress(ProcessLookupError):
        os.kill(grandchild, signal.SIGKILL)


async def test_a_child_inherits_what_it_shall_and_its_environment(tmp_path, program):
    text = "import os, sys\nos.fstat(int(sys.argv[1]))\nprint(os.environ['WORD'], os.getsid(0) == os.getpid())\n"
    with (tmp_path / "lock").open("a") as lock:
        argv = (program("asks", text), str(lock.fileno()))
        command = Command(
            "child", argv, tmp_path / "child.log", env={**os.environ, "WORD": "hello"}, keep=(lock.fileno(),)
        )
        child = await Child.start(command)
        assert await child.wait() == 0
    assert child.last_words() == "hello True"
