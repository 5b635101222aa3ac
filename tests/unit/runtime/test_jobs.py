import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from services.runtime.jobs.runner import JobFailed, JobRunner
from services.runtime.telemetry.redaction import LONGEST


@pytest.fixture(scope="module")
def runner():
    return JobRunner(["tests.jobs_for_tests"])


async def gone(pid: int) -> bool:
    for _ in range(200):
        try:
            if "zombie" in Path(f"/proc/{pid}/status").read_text():
                return True
        except (FileNotFoundError, ProcessLookupError):  # it may go while it is looked at
            return True
        await asyncio.sleep(0.02)
    return False


async def test_a_job_reports_and_returns_its_result(runner):
    said: list[Any] = []
    assert await runner.run("tests.jobs_for_tests:double", 21, said.append, None) == 42
    assert said == [{"step": 1}]


async def test_a_job_that_raises_fails_by_the_class_of_its_error(runner):
    with pytest.raises(JobFailed) as failed:
        await runner.run("tests.jobs_for_tests:explode", "rows", lambda _: None, None)
    assert failed.value.error == "LookupError"


async def test_the_words_of_a_library_stay_out_of_the_log_because_they_may_quote_a_row(runner):
    with pytest.raises(JobFailed) as failed:
        await runner.run("tests.jobs_for_tests:explode", "Ada Lovelace", lambda _: None, None)
    assert "Ada" not in failed.value.message
    assert failed.value.message.startswith("raised at jobs_for_tests.py, line ")
    assert "in explode; its words may quote data and stand in the service's log alone" in failed.value.message


async def test_what_the_system_says_reaches_the_log_without_what_was_written(runner):
    with pytest.raises(JobFailed) as failed:
        await runner.run("tests.jobs_for_tests:overfill", "Ada Lovelace", lambda _: None, None)
    assert failed.value.message.startswith("No space left on device (raised at ")
    assert "Ada" not in failed.value.message


async def test_our_own_words_reach_the_log_with_their_remedy_and_cut(runner):
    with pytest.raises(JobFailed) as failed:
        await runner.run("tests.jobs_for_tests:refuse", "x" * 600, lambda _: None, None)
    assert failed.value.error == "SnapshotMissing"
    assert failed.value.message.startswith("xxx")
    assert len(failed.value.message) == LONGEST


async def test_a_job_whose_process_dies_is_a_lost_worker(runner):
    with pytest.raises(JobFailed) as failed:
        await runner.run("tests.jobs_for_tests:vanish", None, lambda _: None, None)
    assert failed.value.error == "WorkerLost"


async def test_a_job_past_its_deadline_is_killed(runner):
    said: list[Any] = []
    with pytest.raises(JobFailed) as failed:
        await runner.run("tests.jobs_for_tests:sleep", 60, said.append, 0.5)
    assert failed.value.error == "DeadlinePassed"
    assert await gone(said[0]["pid"])


async def test_a_deadline_kills_the_processes_that_the_job_has_started(runner):
    said: list[Any] = []
    with pytest.raises(JobFailed):
        await runner.run("tests.jobs_for_tests:have_a_child", 60, said.append, 1.0)
    assert await gone(said[0]["pid"])


async def test_cancelling_kills_the_job(runner):
    said: list[Any] = []
    run = asyncio.create_task(runner.run("tests.jobs_for_tests:sleep", 60, said.append, None))
    while not said:
        await asyncio.sleep(0.02)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert await gone(said[0]["pid"])


async def test_a_job_dies_with_the_process_that_asked_for_it():
    script = """
        import asyncio, os, signal
        from services.runtime.jobs.runner import JobRunner
        def die(said):
            print(said["pid"], flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if __name__ == "__main__":
            asyncio.run(JobRunner([]).run("tests.jobs_for_tests:sleep", 60, die, None))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert await gone(int(done.stdout))
