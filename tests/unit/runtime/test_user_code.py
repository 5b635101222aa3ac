"""User code: it runs in a process without secrets, and whatever it does is one clear error."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.runtime import user_code
from services.runtime.folders import guarded, opened
from services.runtime.places import SettingsPlaces, places
from services.runtime.sandbox import landlock
from services.runtime.settings import Settings
from services.runtime.user_code import UserCode
from tasks.suite import SuiteRefused, UserCodeFailed

MODULE = """
import asyncio, json, os, sys, time
import helper
HERE = os.path.dirname(__file__)

def score(prompts, completions, **columns):
    print("0.5"); sys.stdout.write("[]\\n"); os.write(1, b'{"result": 7}\\n')
    return [float(c == a) for c, a in zip(completions, columns["answer"])]

def narrow(completions): return [helper.value() for _ in completions]
def environment(): return dict(os.environ)
def read(path):
    with open(path) as file: return file.read()
def listed(path): return sorted(os.listdir(path))
def write(path):
    with open(path, "w") as file: return file.write("x")
def scratch():
    import tempfile
    with tempfile.TemporaryFile() as file: return file.write(b"x")
def raising(): return helper.fails()
def attribute(): return None.upper()
def leaves(): sys.exit(3)
def dies(): os._exit(3)
def sleeps(): time.sleep(60)
def spins():
    while True: pass
def huge(): return "x" * 3_000_000
def nan(): return [float("nan"), float("inf"), 1.0]
def no_json(): return {1, 2}
def endless():
    value = []
    value.append(value)
    return value
def stdin(): return sys.stdin.read() + str(os.read(0, 10))
def numbers():
    import numpy
    return [numpy.float32(0.5), *numpy.array([1, 0])]
def array():
    import numpy
    return numpy.array([0.5, 1.0])
async def later(completions):
    await asyncio.sleep(0)
    return [1.0 for _ in completions]
def lazily():
    yield 1.0
def speaks(text):
    for descriptor in range(3, 20):
        try:
            if "pipe" in os.readlink(f"/proc/self/fd/{descriptor}"): os.write(descriptor, text.encode() + b"\\n")
        except OSError: pass
def pid():
    import subprocess
    return [os.getpid(), subprocess.Popen(["sleep", "60"]).pid]
def kills(process): os.kill(process, 0)
def ours():
    from tasks.scorers.scorer import checked
    return checked("a", [1], 1)
"""
HELPER = 'def value(): return 0.25\ndef fails(): raise KeyError("no\\nanswer")\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("campaign")
    (folder / "mine.py").write_text(MODULE)
    (folder / "helper.py").write_text(HELPER)
    (folder / "words.json").write_text("[1]")
    return folder


@pytest.fixture(scope="module")
def code(folder):
    with UserCode(str(folder / "mine.py"), [folder]) as code:
        yield code


@pytest.fixture
def brief(folder):
    with UserCode(str(folder / "mine.py"), [folder], seconds=2.0) as code:
        yield code


def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_function_is_called_with_its_columns_and_prints_do_not_corrupt_the_answer(code):
    arguments = {"prompts": ["p", "p"], "completions": ["4", "5"], "answer": ["4", "4"]}
    assert code.call("score", arguments) == [1.0, 0.0]
    assert code.call("score", arguments) == [1.0, 0.0]


def test_a_function_gets_the_arguments_that_it_names(code):
    assert code.call("narrow", {"prompts": ["p"], "completions": ["4"], "answer": ["4"]}) == [0.25]


@pytest.mark.parametrize(
    ("function", "expected"), [("numbers", [0.5, 1, 0]), ("array", [0.5, 1.0]), ("lazily", [1.0]), ("ours", [1.0])]
)
def test_numbers_of_numpy_generators_and_our_own_scorers_may_be_used(code, function, expected):
    assert code.call(function, {}) == expected


def test_a_coroutine_is_awaited(code):
    assert code.call("later", {"completions": ["a", "b"]}) == [1.0, 1.0]


@pytest.mark.parametrize("text", ["no JSON", "[]", "{}", "7", "[" * 100_000])
def test_what_it_writes_into_our_pipe_is_one_clear_error(folder, text):
    with UserCode(str(folder / "mine.py"), [folder]) as code:
        with pytest.raises(UserCodeFailed, match="wrote into our pipe"):
            code.call("speaks", {"text": text})
        assert code.ended


def test_the_process_has_no_variable_of_ours(folder, monkeypatch):
    others = ("HF_TOKEN", "OPENAI_API_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "database_password")
    for name in ("AEVOLVE_PASSWORD", "AWS_SECRET_ACCESS_KEY", "KAGGLE_API_TOKEN", "PGPASSWORD", *others):
        monkeypatch.setenv(name, "secret")
    with UserCode(str(folder / "mine.py"), [folder]) as code:
        environment = code.call("environment", {})
    assert "secret" not in environment.values()
    assert environment["PYTHONHASHSEED"] == "0"


needs_landlock = pytest.mark.skipif(not landlock.version(), reason="the kernel offers no Landlock")


@needs_landlock
def test_files_outside_its_folders_cannot_be_read_or_written(code, tmp_path):
    (tmp_path / "oracle.key").write_text("key")
    for function, path in (
        ("read", tmp_path / "oracle.key"),
        ("listed", tmp_path),
        ("read", f"/proc/{os.getpid()}/environ"),
        ("write", tmp_path / "new"),
        ("write", Path(code.target).parent / "new"),
    ):
        with pytest.raises(UserCodeFailed, match=f"{function}: PermissionError"):
            code.call(function, {"path": str(path)})
    assert code.call("scratch", {}) == 1
    assert code.call("read", {"path": str(Path(code.target).parent / "words.json")}) == "[1]"


@pytest.mark.skipif(landlock.version() < 6, reason="the kernel's Landlock does not confine signals")
def test_processes_outside_cannot_be_signalled(code):
    with pytest.raises(UserCodeFailed, match="PermissionError"):
        code.call("kills", {"process": os.getpid()})


@needs_landlock
def test_keys_and_artifacts_inside_the_folder_of_the_code_cannot_be_read(folder, tmp_path):
    run = folder / "runs" / "first" / "state"
    (run / "artifacts").mkdir(parents=True)
    (run / "oracle.key").write_text("key")
    (folder / "runs" / "notes.txt").write_text("notes")
    (folder / "sealed").mkdir()
    (folder / "sealed" / "eval.jsonl").write_text("{}")
    settings = Settings(
        artifacts=str(run / "artifacts"), work=run / "work", task_path=str(folder), oracle_items=str(folder / "sealed")
    )
    with places(settings) as here:
        for secret in (run / "oracle.key", folder / "sealed" / "eval.jsonl"):
            with pytest.raises(UserCodeFailed, match="PermissionError"):
                here.call("mine.py", "read", {"path": str(secret)})
        assert here.call("mine.py", "read", {"path": str(folder / "runs" / "notes.txt")}) == "notes"
        assert here.call("mine.py", "narrow", {"completions": ["a"]}) == [0.25]


def test_secrets_that_lie_elsewhere_leave_the_whole_folder_readable(tmp_path):
    (tmp_path / "code").mkdir()
    settings = Settings(artifacts=str(tmp_path / "state" / "artifacts"), work=tmp_path / "state" / "work")
    assert opened(tmp_path / "code", guarded(settings)) == ([tmp_path / "code"], [])


def test_a_raised_error_names_the_line_of_the_users_file(code):
    with pytest.raises(UserCodeFailed, match=r"mine\.py:raising: KeyError: 'no\\nanswer' \(mine\.py:\d+\)"):
        code.call("raising", {})


def test_an_attribute_error_of_the_code_is_not_taken_for_a_missing_function(code):
    with pytest.raises(UserCodeFailed, match="AttributeError: 'NoneType' object has no attribute 'upper'"):
        code.call("attribute", {})


def test_a_missing_function_names_those_that_are_there(code):
    with pytest.raises(UserCodeFailed, match=r"no function scores; the functions are score, narrow"):
        code.call("scores", {})


def test_a_module_that_cannot_be_imported_names_the_reason(tmp_path):
    (tmp_path / "broken.py").write_text("import not_there_at_all\n")
    with (
        UserCode(str(tmp_path / "broken.py"), [tmp_path]) as code,
        pytest.raises(UserCodeFailed, match=r"ModuleNotFoundError: .*not_there_at_all.*broken\.py:1"),
    ):
        code.call("score", {})


def test_a_syntax_error_names_file_and_line_alone(tmp_path):
    (tmp_path / "typo.py").write_text("import math\n\ndef score(completions)\n    return []\n")
    with (
        UserCode(str(tmp_path / "typo.py"), [tmp_path]) as code,
        pytest.raises(UserCodeFailed, match=r"typo\.py:score: SyntaxError: expected ':' \(typo\.py:3\); correct that"),
    ):
        code.call("score", {"completions": []})


def test_an_exit_inside_a_function_is_its_error_and_the_next_call_works(code):
    with pytest.raises(UserCodeFailed, match="SystemExit: 3"):
        code.call("leaves", {})
    assert code.call("narrow", {"completions": ["4"]}) == [0.25]


def test_a_process_that_exits_is_named_and_refuses_further_calls(brief):
    with pytest.raises(UserCodeFailed, match="ended its process \\(exit status 3\\)"):
        brief.call("dies", {})
    assert brief.ended
    with pytest.raises(UserCodeFailed, match="its process has ended"):
        brief.call("narrow", {"completions": ["4"]})


def test_the_places_start_a_new_process_for_one_that_has_ended(folder):
    with places(Settings(task_path=str(folder))) as here:
        with pytest.raises(UserCodeFailed, match="ended its process"):
            here.call("mine.py", "dies", {})
        assert here.call("mine.py", "narrow", {"completions": ["4"]}) == [0.25]


@pytest.mark.parametrize("function", ["sleeps", "spins"])
def test_a_call_that_does_not_end_is_stopped(folder, function):
    with UserCode(str(folder / "mine.py"), [folder], seconds=0.7) as code:
        with pytest.raises(UserCodeFailed, match=r"did not answer within 0\.7 s"):
            code.call(function, {})
        assert code.ended


def test_a_module_that_never_finishes_its_import_cannot_block_a_large_call(tmp_path):
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n")
    with (
        UserCode(str(tmp_path / "slow.py"), [tmp_path], seconds=0.7) as code,
        pytest.raises(UserCodeFailed, match="did not answer"),
    ):
        code.call("score", {"completions": ["x" * 1_000_000]})


def test_an_answer_that_is_too_large_is_named(folder, monkeypatch):
    monkeypatch.setattr(user_code, "LONGEST_ANSWER", 2 << 20)
    with UserCode(str(folder / "mine.py"), [folder]) as code, pytest.raises(UserCodeFailed, match="more than 2 MiB"):
        code.call("huge", {})


def test_long_texts_pass_both_ways(code):
    text = "xé\u2028\n" * 300_000
    assert code.call("score", {"prompts": [""], "completions": [text], "answer": [text]}) == [1.0]
    assert len(code.call("huge", {})) == 3_000_000


def test_values_that_are_no_numbers_arrive_as_they_are(code):
    nan, infinite, one = code.call("nan", {})
    assert (math.isnan(nan), infinite, one) == (True, math.inf, 1.0)


@pytest.mark.parametrize("function", ["no_json", "endless"])
def test_a_result_that_is_no_json_is_named(code, function):
    with pytest.raises(UserCodeFailed, match=f"{function}: its result is no JSON"):
        code.call(function, {})


def test_standard_input_is_empty_and_not_our_line(code):
    assert code.call("stdin", {}) == "b''"
    assert code.call("narrow", {"completions": ["4"]}) == [0.25]


def test_closing_ends_the_process_and_those_that_it_started(folder):
    code = UserCode(str(folder / "mine.py"), [folder])
    own, child = code.call("pid", {})
    code.close()
    assert gone(own)
    assert gone(child)


def test_it_is_killed_with_its_parent(folder):
    program = (
        "import sys\nfrom pathlib import Path\nfrom services.runtime.user_code import UserCode\n"
        f"code = UserCode({str(folder / 'mine.py')!r}, [Path({str(folder)!r})])\n"
        "print(code.call('pid', {})[0], flush=True)\nsys.stdin.read()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdin is not None
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert gone(child)


def test_code_outside_the_operators_folders_is_refused(folder, tmp_path):
    here = SettingsPlaces(Settings(task_path=str(tmp_path)))
    with pytest.raises(SuiteRefused, match=r"mine\.py.*AEVOLVE_TASK_PATH"):
        here.call("mine.py", "score", {})


def test_a_package_is_called_by_its_name(tmp_path):
    with places(Settings(task_path=str(tmp_path))) as here:
        assert here.call("json", "loads", {"s": "[1]"}) == [1]
