"""The command as a person meets it: help, exit statuses, one message for wrong input."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from eventstore.row import Row
from services.console import signals
from services.console.cli import app
from tests.unit.console_events import DEMO

COMMANDS = ["demo", "up", "serve", "start", "status", "events", "emit", "pause", "resume", "stop", "report", "doctor"]
COMMANDS += ["verify", "export", "import", "audit", "replay", "migrate", "dead-letters", "anchors", "console"]
ATTRIBUTES: dict[str, Any] = {"id": UUID(int=1), "campaign": "c", "stream": "c", "stream_version": 1, "type": "T"}
ATTRIBUTES |= {"version": 1, "source": "s", "causation": None, "traceparent": None}
ATTRIBUTES |= {"time": datetime.now(UTC), "data": "{}"}
LETTERS = ("list", "show", "retry")
KEY = "00" * 32
NOBODY = "127.0.0.1:1"
NOWHERE = f"postgresql://{NOBODY}/aevolve"


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Runs the command in an empty folder, with a database and a broker that are not there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AEVOLVE_POSTGRES", NOWHERE)
    monkeypatch.setenv("AEVOLVE_KAFKA", NOBODY)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_help_names_every_command(call):
    result = call("--help")
    assert result.exit_code == 0
    assert all(command in result.output for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(call, command):
    result = call(command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_dead_letters_has_help_of_its_own(call):
    assert all(command in call("dead-letters", "--help").output for command in LETTERS)
    assert all("Usage" in call("dead-letters", command, "--help").output for command in LETTERS)


def test_help_loads_no_heavy_library():
    heavy = ("torch", "transformers", "matplotlib", "asyncpg", "aiokafka", "numpy", "scipy", "pydantic", "eventstore")
    code = (
        "import sys\n"
        "from services.console.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([m for m in {heavy} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_running_a_campaign_loads_no_model_library_into_the_console():
    heavy = ("torch", "transformers", "matplotlib", "datasets", "lm_eval")
    code = (
        "import sys, services.console.embedded.demo, services.console.client\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("demo", "--campaign", "none.yaml"), ("none.yaml", "cannot be read")),
        (("demo", "--campaign", str(DEMO), "--candidates", "1"), ("constitution.candidates", "1", "2")),
        (("demo", "--campaign", str(DEMO), "--base", "gone"), ("model.base", "'gone'", "config.json")),
        (("demo", "--campaign", str(DEMO), "--resume"), ("--resume", "nothing was begun here")),
        (("start", "none.yaml"), ("none.yaml", "cannot be read")),
        (("start", str(DEMO)), ("AEVOLVE_POSTGRES", NOWHERE, "start the database")),
        (("status",), ("AEVOLVE_POSTGRES", NOWHERE)),
        (("status", "--run", "none"), ("--run", "none", "aevolve up")),
        (("events", "--type", "PolicyUpdate"), ("'PolicyUpdate'", "did you mean 'PolicyUpdated'")),
        (("emit", "none.json"), ("none.json", "cannot be read")),
        (("pause", "demo-x"), ("AEVOLVE_POSTGRES", NOWHERE)),
        (("report", "demo-x", "--out", "r"), ("AEVOLVE_POSTGRES", NOWHERE)),
        (("migrate", NOWHERE, "--secrets", "s"), ("DSN", NOWHERE, "start the database")),
        (("migrate", "nonsense", "--secrets", "s"), ("DSN", "nonsense", "give the address")),
        (("verify",), ("AEVOLVE_POSTGRES", NOWHERE)),
        (("verify", "--file", "none.jsonl"), ("none.jsonl", "cannot be read")),
        (("verify", "--file", str(DEMO)), ("demo.yaml: line 1: all of it", "write it with `aevolve export`")),
        (("verify", "--file", "none.jsonl", "--run", "r"), ("none.jsonl", "--run")),
        (("verify", "--anchor", str(DEMO), "--public-key", KEY), ("demo.yaml: line 1: all of it", "restore it")),
        (("verify", "--anchor", "none.jsonl", "--public-key", KEY), ("none.jsonl", "cannot be read")),
        (("verify", "--anchor", str(DEMO)), ("--public-key", "not given")),
        (("verify", "--anchors-from-kafka", "--public-key", KEY), ("AEVOLVE_KAFKA", NOBODY, "start the broker")),
        (("verify", "--sign", "key"), ("--sign", "name it by --anchor")),
        (("import", "l", "--dsn", NOWHERE, "--anchor", "a", "--public-key", "b"), ("--public-key", "64 hexadecimal")),
        (("anchors", "keygen", "none/key"), ("none/key", "name a new file")),
        (("export", "log.jsonl"), ("AEVOLVE_POSTGRES", NOWHERE)),
        (("import", "none.jsonl", "--dsn", NOWHERE), ("--dsn", NOWHERE, "start the database")),
        (("dead-letters", "list"), ("AEVOLVE_KAFKA", NOBODY, "start the broker")),
        (("dead-letters", "show", "0:1"), ("AEVOLVE_KAFKA", NOBODY, "start the broker")),
        (("dead-letters", "retry", "0:1"), ("AEVOLVE_KAFKA", NOBODY, "start the broker")),
        (("dead-letters", "list", "--run", "none"), ("--run", "none", "aevolve up")),
        (("serve", "trainr"), ("'trainr'", "did you mean 'trainer'")),
    ],
)
def test_wrong_input_is_one_message_and_status_2(call, arguments, words):
    result = call(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("aevolve: ")
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stderr
    assert all(word in result.stderr for word in words)


def test_a_password_is_not_shown(call):
    for command in (("migrate", "--secrets", "s"), ("import", "none.jsonl", "--dsn")):
        result = call(*command, f"postgresql://owner:hidden@{NOBODY}/log")
        assert "owner:***@" in result.stderr
        assert "hidden" not in result.stderr


def test_a_broken_chain_is_one_line_and_status_1(call, tmp_path):
    bare = Row(**{**ATTRIBUTES, "position": 2}, hash=bytes(32))
    (tmp_path / "log.jsonl").write_text(f"{bare.to_json()}\n")
    result = call("verify", "--file", "log.jsonl")
    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout == "broken at position 1: the event is missing, 2 follows\n"


def test_a_wrong_option_is_status_2(call):
    assert call("demo", "--candidates", "many").exit_code == 2
    assert call("nothing").exit_code == 2


def test_the_doctor_answers_with_a_table(call):
    result = call("doctor")
    assert result.exit_code in (0, 1)
    assert "torch" in result.output


def test_the_doctor_names_the_extra_that_is_missing(call, monkeypatch):
    monkeypatch.setattr("services.console.commands.doctor.EXTRAS", {"trainer": ("no-such-package",)})
    assert "'.[trainer]'" in call("doctor").output  # brackets are no markup here


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_a_signal_cancels_the_work_and_lets_it_clean_up(number):
    cleaned = []

    async def work():
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    with pytest.raises(signals.Interrupted) as interrupted:
        signals.run(work())
    assert interrupted.value.status == 128 + number
    assert cleaned == [True]


def test_without_a_signal_a_cancellation_stays_one():
    async def work():
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        signals.run(work())
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
