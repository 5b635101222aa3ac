"""Code that tries to get out of the sandbox, or to forge its verdict, fails; a plain program passes all the while."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from services.runtime.sandbox.limits import Limits
from services.runtime.sandbox.run import SOURCES, SandboxUnavailable, run
from services.runtime.sandbox.syscalls import ALLOWED, JUDGED
from tests.attempts import ATTEMPTS, OUTSIDE, program

QUICK = Limits(seconds=2)
GOOD = "def double(x):\n    return 2 * x\n"
DOUBLES = "assert double(2) == 4\nassert double('a') == 'aa'\n"


@pytest.fixture(scope="module")
def server():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


@pytest.fixture
def facts(server, tmp_path):
    """What the attempts aim at. The secret lies in the home folder, where a program's user would keep one."""
    with tempfile.NamedTemporaryFile("w", dir=Path.home()) as secret:
        secret.write("secret")
        secret.flush()
        port = server.getsockname()[1]
        yield {"port": port, "pid": os.getpid(), "secret": secret.name, "outside": str(tmp_path / "outside")}


def judged(source, tests=DOUBLES, calls=("double",), **options):
    return run(source, tests, calls, **{"limits": QUICK, **options})


def ends_in(source, errors):
    """Whether the program's attempt ends in one of the errors, as the tests see it."""
    return run(
        source, f"said = attempt()\nassert said in {sorted(errors)!r}, said", ["attempt"], limits=Limits(seconds=20)
    )


def benign():
    return judged(GOOD, limits=Limits()).passed


def left_over():
    """Confined processes of this checkout that are still there."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if "sandbox.launcher" in words and SOURCES in words and state != "Z":
            found.append(entry.name)
    return found


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_an_attempt_to_get_out_fails_and_a_plain_program_still_passes(attempt, facts, server):
    assert ends_in(program(attempt, **facts), ATTEMPTS[attempt][1]).why == "passed"
    assert not Path(facts["outside"]).exists()
    with pytest.raises(BlockingIOError):
        server.accept()
    assert benign()


@pytest.mark.parametrize("attempt", OUTSIDE)
def test_outside_the_same_attempt_succeeds(attempt, facts, server, tmp_path):
    script = program(attempt, **facts) + "\nprint(attempt())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.startswith("done")  # a fork says it twice
    if "TCP" in attempt:
        server.accept()[0].close()


def ordinary_python():
    """An interpreter that an ordinary user may start."""
    return next((path for path in ("/usr/bin/python3", "/usr/local/bin/python3") if os.access(path, os.X_OK)), None)


@pytest.mark.skipif(os.geteuid() != 0, reason="the tests above ran as an ordinary user already")
@pytest.mark.skipif(
    ordinary_python() is None or not shutil.which("setpriv"), reason="no Python for all users, or no setpriv"
)
def test_as_an_ordinary_user_no_attempt_gets_out_either(facts, tmp_path):
    programs = {name: (program(name, **facts), sorted(errors)) for name, (_, errors) in ATTEMPTS.items()}
    (given := tmp_path / "programs.json").write_text(json.dumps(programs))
    script = (
        "import json, sys; from services.runtime.sandbox.run import run\n"
        "for name, (source, errors) in json.load(sys.stdin).items():\n"
        "    verdict = run(source, f'said = attempt()\\nassert said in {errors!r}', ['attempt'])\n"
        "    print(name, verdict.why, sep=': ')\n"
    )
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ordinary_python(), "-c", script]
    with given.open() as source:
        done = subprocess.run(as_nobody, stdin=source, capture_output=True, text=True, cwd=SOURCES, env={}, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [f"{name}: passed" for name in ATTEMPTS]


ENDLESS = {
    "a loop": "while True: pass",
    "sleep": "import time\ntime.sleep(3600)",
    "a loop when asked": "def double(x):\n    while True: pass",
    "deaf to every signal": """
import signal
for number in set(range(1, 65)) - {9, 19, 32, 33}:
    signal.signal(number, signal.SIG_IGN)
while True: pass
""",
    "many threads": """
import threading
def spin():
    while True: pass
for _ in range(8):
    threading.Thread(target=spin).start()
spin()
""",
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_never_ends_is_ended_and_leaves_nothing_behind(kind):
    began = time.monotonic()
    assert judged(ENDLESS[kind]).why in ("too slow", "program ended")
    assert time.monotonic() - began < 60
    wait_until(lambda: not left_over())
    assert benign()


def test_a_process_that_asks_and_is_killed_takes_its_sandbox_with_it():
    script = (
        "from services.runtime.sandbox.limits import Limits\n"
        "from services.runtime.sandbox.run import run\n"
        "run('import time; time.sleep(3600)', '', [], limits=Limits(seconds=3600))"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=SOURCES) as asking:
        wait_until(lambda: len(left_over()) >= 4)
        asking.kill()
    wait_until(lambda: not left_over())


def wait_until(true, seconds=30):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


LIBRARY = """
import hashlib, heapq, itertools, json, math, random, re, sqlite3, statistics, tempfile, threading
def double(x):
    with tempfile.TemporaryFile('w+') as file:
        file.write('ok')
        file.seek(0)
        assert file.read() == 'ok'
    assert hashlib.sha256(b'').hexdigest().startswith('e3b0')
    found = []
    thread = threading.Thread(target=found.append, args=(2 * x,))
    thread.start()
    thread.join()
    return found[0]
"""


def test_the_standard_library_and_a_scratch_folder_work():
    assert judged(LIBRARY, limits=Limits()).why == "passed"


LOOK = """
import os, stat
def look():
    found = []
    for descriptor in range(64):
        try:
            found.append(os.fstat(descriptor))
        except OSError:
            pass
    pipes = [stat.S_ISFIFO(f.st_mode) for f in found]
    return [(f.st_dev, f.st_ino) for f in found], pipes.count(True), dict(os.environ), os.listdir()
"""


def test_a_program_starts_with_no_environment_and_no_descriptor_of_ours(tmp_path):
    with (tmp_path / "held").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        mine = os.fstat(held.fileno())
        tests = (
            "files, pipes, env, here = look()\n"
            f"assert {(mine.st_dev, mine.st_ino)!r} not in files\n"
            "assert pipes == 2 and len(files) == 5\n"
            "assert set(env) <= {'LC_CTYPE', 'MALLOC_ARENA_MAX'} and here == []\n"
        )
        assert judged(LOOK, tests, ["look"]).why == "passed"


def test_a_program_is_nobody_and_alone():
    source = "import os\ndef who(): return os.getuid(), os.geteuid(), os.getgid(), os.getpid(), os.getppid()"
    assert judged(source, "assert who() == (65534, 65534, 65534, 1, 0)", ["who"]).why == "passed"


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs util-linux")
def test_where_a_fence_is_missing_nothing_runs_and_the_fence_is_named(tmp_path):
    """In a namespace that allows no further one, and whose root is nobody outside."""
    script = (
        "from services.runtime.sandbox.run import SandboxUnavailable, run\n"
        f"program = 'open({str(tmp_path / 'ran')!r}, chr(119))'\n".replace("'/", '"/').replace("',", '",')
        + "try: run(program, '', [])\n"
        "except SandboxUnavailable as error: print(error)\n"
    )
    shut = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", shut, "sh", sys.executable, "-c", script],
        capture_output=True, text=True, cwd=SOURCES, check=False,
    )  # fmt: skip
    assert done.stdout.startswith("sandbox: an unprivileged user: Operation not permitted; allow it to this user")
    assert not (tmp_path / "ran").exists()


def test_each_fence_that_fails_is_named_and_lets_nothing_run(monkeypatch):
    """As `run` meets it: a launcher that cannot confine itself."""
    monkeypatch.setattr("services.runtime.sandbox.run._line", lambda *_: "missing seccomp: Function not implemented")
    with pytest.raises(SandboxUnavailable, match="sandbox: seccomp: Function not implemented; allow it"):
        judged(GOOD)


HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")


@pytest.mark.skipif(not HEADER.exists(), reason="needs the kernel's header (linux-libc-dev, x86_64)")
def test_the_numbers_of_the_system_calls_are_the_kernels():
    numbers = dict(re.findall(r"#define __NR_(\w+) (\d+)", HEADER.read_text()))
    for name, (number, _) in {**ALLOWED, **JUDGED}.items():
        assert number == int(numbers[name])


def test_no_system_call_that_opens_a_way_out_is_on_the_list():
    ways = {
        "socket",
        "connect",
        "fork",
        "vfork",
        "execve",
        "execveat",
        "kill",
        "ptrace",
        "mount",
        "unshare",
        "setns",
        "bpf",
    }
    ways |= {"keyctl", "io_uring_setup", "process_vm_readv", "memfd_create", "shmget", "setuid", "chroot", "pidfd_open"}
    assert not ways & ALLOWED.keys()
