"""The small parts of the console: table, narration, waiting, settings, the doctor, events by hand."""

import asyncio
import json
import os
import threading
from datetime import timedelta

import pytest
from rich.console import Console

from audit.narrate import WORDS, narrate
from judgement.history import fold
from schemas import events as e
from schemas.events import CampaignPaused
from schemas.registry import EVENTS
from services.console.client import new_id, read_settings, settings_from_environment
from services.console.commands.doctor import Check, examine, healthy
from services.console.embedded.concurrency import first, uninterrupted
from services.console.embedded.run_folder import RunFolder
from services.console.log_file import read_test_events
from services.console.view.progress import data_wait, seconds_left
from services.console.view.screen import Screen
from services.console.view.table import campaign_table, headline
from services.runtime.sandbox.run import SandboxUnavailable
from services.runtime.user_error import UserError
from tests.typed import there
from tests.unit.console_events import BASIS, BEGIN, CAMPAIGN, Log, finished, two_rounds
from tests.unit.runtime.test_steps import snapshot


def shown(renderable) -> str:
    console = Console(width=120, record=True, file=open(os.devnull, "w"))
    console.print(renderable)
    return console.export_text()


# The table


def test_the_table_shows_the_round_with_live_progress_and_the_standing_drift():
    log = two_rounds()
    log.say(log.of(2, 2), e.TrainingStarted(candidate="r2s2", attempt=2, worker="w"))
    live = {f"{CAMPAIGN}/r2s2": {"step": 30, "steps": 120, "loss": 1.25}}
    text = shown(campaign_table(fold(CAMPAIGN, log.envelopes), live, log.envelopes[-1].time))
    assert "training, try 2 30/120" in text
    assert "1.250" in text
    assert "49.0 ± 2.0" in text
    assert "drift in all: dev is inflated" in text
    assert "r1s1" not in text


def test_time_left_is_the_pace_so_far_over_what_is_left():
    log = Log()
    log.start()
    log.propose(1, 0, log.campaign.recipe)
    history = fold(CAMPAIGN, log.envelopes)
    assert seconds_left(history, {}, BEGIN + timedelta(seconds=60)) is None
    log.train(1, 0, 2, 30)
    log.score("r1s0", "dev", 0.4)
    history = fold(CAMPAIGN, log.envelopes)
    elapsed = 60.0
    now = there(history.trials["r1s0"].proposed_at) + timedelta(seconds=elapsed)
    assert seconds_left(history, {}, now) == pytest.approx(15 * elapsed)


def test_the_headline_says_how_it_stands():
    log = two_rounds()
    log.say(CAMPAIGN, CampaignPaused(by="me", reason="lunch"))
    assert headline(fold(CAMPAIGN, log.envelopes), {}, BEGIN).endswith("PAUSED")
    assert "winner r2s1" in headline(fold(CAMPAIGN, finished().envelopes), {}, BEGIN)


FAILED = {"error": "SourceFailed", "message": "paths: no file is called /data/notes.jsonl"}


def opened() -> Log:
    """A campaign whose first round has no data yet."""
    log = Log()
    log.start()
    log.policy(1)
    return log


def test_a_round_without_data_says_what_the_last_try_to_make_them_came_to():
    history = fold(CAMPAIGN, opened().envelopes)
    place = f"{CAMPAIGN}/round/{history.round}"
    assert "notes.jsonl" in shown(campaign_table(history, {place: FAILED}, BEGIN))
    assert "12 rows so far, now from notes" in shown(
        campaign_table(history, {place: {"source": "notes", "rows": 12}}, BEGIN)
    )
    assert data_wait(history, {}) is None
    assert data_wait(history, {f"{CAMPAIGN}/round/{history.round + 1}": FAILED}) is None


def test_of_a_round_that_has_its_data_nothing_is_said():
    log = opened()
    snapshot(log, 1)
    history = fold(CAMPAIGN, log.envelopes)
    assert data_wait(history, {f"{CAMPAIGN}/round/{history.round}": FAILED}) is None


def test_where_the_output_is_a_file_a_failed_try_is_told_once(capsys):
    history = fold(CAMPAIGN, opened().envelopes)
    screen = Screen(Console(width=300, force_terminal=False))
    for message in ("one", "one", "two"):
        screen.show(history, {f"{CAMPAIGN}/round/{history.round}": FAILED | {"message": message}})
    told = capsys.readouterr().out.splitlines()
    assert [line.rpartition("SourceFailed: ")[2] for line in told] == [
        "one; retrying",
        "two; retrying",
    ]


# Words


def test_every_event_of_a_campaign_is_told_in_one_line():
    told = [narrate(envelope) for envelope in finished().envelopes]
    assert all(told)
    assert not any("\n" in line for line in told)
    assert told[0] == "campaign started: 4 rounds of 4 candidates, seed 0"
    assert told[-1] == "finished: winner r2s1, +17.0 ± 2.0 points over the base. r2s1 has the best target."
    assert "failed: training r1s3, try 1: OutOfMemory: m" in told


def test_there_are_words_for_every_kind_of_event():
    assert set(WORDS) == set(EVENTS.values())


def test_a_refused_decision_is_told_with_the_article_that_it_broke():
    log = Log()
    log.start()
    log.say(
        CAMPAIGN, e.DecisionRefused(decision="RecipeProposed", article="candidates", message="too many", basis=BASIS)
    )
    assert narrate(log.envelopes[-1]) == "REFUSED: RecipeProposed breaks candidates of the constitution: too many"


def test_a_file_gets_a_line_per_event_and_a_terminal_the_milestones(tmp_path):
    for terminal, proposed in ((False, True), (True, False)):
        with (
            (tmp_path / "out").open("w") as out,
            Screen(Console(file=out, force_terminal=terminal, width=200)) as screen,
        ):
            for envelope in finished().envelopes:
                screen.event(envelope)
            screen.show(fold(CAMPAIGN, two_rounds().envelopes), {})
        text = (tmp_path / "out").read_text()
        assert ("proposed r1s1" in text) is proposed
        assert "DRIFT in all" in text
        assert ("round 2 of 4" in text) is terminal


# Waiting


async def test_the_first_to_end_cancels_the_others_and_waits_for_them():
    ended = []

    async def stays():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("stays")

    async def ends():
        await asyncio.sleep(0)
        return 7

    assert await first(stays(), ends()) == 7
    assert ended == ["stays"]


async def test_the_first_failure_is_raised():
    async def fails():
        raise UserError("gone")

    with pytest.raises(UserError, match="gone"):
        await first(asyncio.Event().wait(), fails())


async def test_a_blocking_step_is_finished_before_it_is_cancelled():
    begun, go, done = threading.Event(), threading.Event(), []

    def step():
        begun.set()
        go.wait()
        done.append(True)

    task = asyncio.create_task(uninterrupted(step))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [True]


# Settings


def test_campaign_ids_carry_the_name():
    ids = {new_id("demo") for _ in range(100)}
    assert len(ids) == 100
    assert all(i.startswith("demo-") and len(i) == 13 for i in ids)


def test_a_wrong_variable_is_told(monkeypatch):
    monkeypatch.setenv("AEVOLVE_PORT", "ninety")
    with pytest.raises(UserError, match=r"AEVOLVE_PORT: 'ninety'; Input should be a valid integer"):
        settings_from_environment()


def test_a_folder_without_a_run_is_told(tmp_path):
    with pytest.raises(UserError, match=r"--run: .*no run lies there: start one with `aevolve up"):
        read_settings(tmp_path)


def test_a_runs_settings_come_from_its_folder_and_not_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("AEVOLVE_POSTGRES", "postgresql://elsewhere/x")
    monkeypatch.setenv("AEVOLVE_PASSWORD", "of somebody else")
    folder = RunFolder(tmp_path)
    folder.state.mkdir()
    held = {"postgres": "postgresql:///postgres?host=here", "password_file": str(folder.password("console"))}
    folder.settings.write_text(json.dumps(held))
    settings = read_settings(tmp_path)
    assert settings.postgres == held["postgres"]
    assert settings.secret() == folder.password("console").read_text()


# The examination


def test_only_what_the_demo_cannot_do_without_makes_the_machine_ill():
    assert healthy([Check("a", "x"), Check("b", "slow", "buy", fatal=False)])
    assert not healthy([Check("a", "missing", "pip install it")])


def test_a_missing_package_is_told_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("services.console.commands.doctor.EXTRAS", {"trainer": ("no-such-package",)})
    check = next(c for c in examine(tmp_path / "not" / "there") if c.what == "trainer: no-such-package")
    assert check.value == "missing"
    assert "pip install '.[trainer]'" in there(check.remedy)


def test_a_machine_without_a_sandbox_is_told_what_is_missing_and_is_not_ill(tmp_path, monkeypatch):
    def unavailable(*_):
        raise SandboxUnavailable("sandbox: seccomp: Function not implemented; allow it to this user")

    monkeypatch.setattr("services.runtime.sandbox.run.run", unavailable)
    (check,) = (c for c in examine(tmp_path) if c.what.startswith("sandbox"))
    assert (check.value, check.fatal) == ("unavailable", False)
    assert "seccomp: Function not implemented" in there(check.remedy)


# Events by hand

SCORED = {
    "campaign": "t-1",
    "subject": "t-1",
    "type": "CampaignPaused",
    "data": {"by": "me", "reason": "test"},
}


@pytest.mark.parametrize("text", [json.dumps(SCORED), json.dumps([SCORED]), json.dumps(SCORED) + "\n\n"])
def test_events_are_read_from_json_and_json_lines(tmp_path, text):
    file = tmp_path / "events"
    file.write_text(text)
    (append,) = read_test_events(file)
    assert append.event == CampaignPaused(by="me", reason="test")


def test_json_lines_keep_their_order(tmp_path):
    file = tmp_path / "events"
    file.write_text("\n".join(json.dumps({**SCORED, "subject": s}) for s in "abc"))
    assert [append.subject for append in read_test_events(file)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "CampaignPause"}, r"event 1.*|type: 'CampaignPause' is no event; did you mean 'CampaignPaused'\?"),
        ({"data": {"by": "me"}}, r"event 1: data\.reason: .*Field required"),
        ({"data": {"by": "me", "reason": "x", "why": 1}}, r"data\.why: 1; Extra inputs are not permitted"),
        ({"extra": 1}, r"event 1: has .*extra; an event has the keys campaign, subject, type, data"),
    ],
)
def test_a_wrong_event_is_told(tmp_path, change, message):
    file = tmp_path / "events"
    file.write_text(json.dumps({**SCORED, **change}))
    with pytest.raises(UserError, match=message):
        read_test_events(file)


def test_why_the_database_is_away_is_told_once(capsys):
    screen = Screen(Console(width=300, force_terminal=False))
    for _ in range(2):
        screen.disconnected(OSError("No space left on device"))
    assert capsys.readouterr().out == "the database does not answer (No space left on device); retrying\n"
