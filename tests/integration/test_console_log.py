"""The commands that talk to the log, on a real one without services."""

import json
import re

import pytest

from eventstore.effect import Append
from eventstore.store import EventStore
from judgement.decisions import first_policy
from schemas.events import CampaignPaused, CampaignResumed, CampaignStopped
from services.console.client import history_of
from services.console.commands import campaign as commands
from services.console.commands import migrate
from services.console.log_source import campaign_events
from services.runtime.user_error import UserError
from tests.conftest import PASSWORDS, create_database
from tests.unit.console.test_base_model import model
from tests.unit.console_events import DEMO


@pytest.fixture(autouse=True)
def settings(database, monkeypatch):
    monkeypatch.setenv("AEVOLVE_POSTGRES", database)
    monkeypatch.setenv("AEVOLVE_PASSWORD", PASSWORDS["console"])


@pytest.fixture
async def start(tmp_path, capsys):
    """Starts the demo's campaign on a base without weights; its id."""

    async def begin(*, test=True):
        (tmp_path / "base").mkdir(exist_ok=True)
        base = model(tmp_path / "base", {}, w=[2, 3])
        text = DEMO.read_text().replace("base: tiny", f"base: {base}").replace("seed: 0", f"test: {json.dumps(test)}")
        text = re.sub(r" +false_alarms:.*\n", "", text)  # what would be simulated takes half a minute
        (tmp_path / "campaign.yaml").write_text(text)
        await commands.start(tmp_path / "campaign.yaml", None)
        return capsys.readouterr().out.strip()

    return begin


def by_hand(folder, campaign, candidate):
    data = {"candidate": candidate, "attempt": 1, "worker": "hand"}
    event = {"campaign": campaign, "subject": f"{campaign}/{candidate}", "type": "TrainingStarted", "data": data}
    (folder / "events.json").write_text(json.dumps(event))


async def printed(capsys, campaign, **options):
    await commands.events(campaign=campaign, **options)
    return capsys.readouterr().out.splitlines()


async def test_a_start_is_the_campaigns_first_event(start, capsys):
    campaign = await start()
    (line,) = await printed(capsys, campaign, as_json=True)
    event = json.loads(line)
    assert (event["type"], event["subject"], event["source"]) == ("CampaignStarted", campaign, "aevolve/console")
    assert event["data"]["substrate"]["active_parameters"] == 6
    (line,) = await printed(capsys, campaign)
    assert "campaign started: 4 rounds of 4 candidates" in line


async def test_a_campaign_is_paused_resumed_and_stopped_once(start, capsys):
    campaign = await start()
    for event in (CampaignPaused, CampaignResumed):
        await commands.append_control(campaign, event, "lunch", None)
        with pytest.raises(UserError, match="paused"):
            await commands.append_control(campaign, event, "lunch", None)
    await commands.append_control(campaign, CampaignStopped, "enough", None)
    with pytest.raises(UserError, match="is over"):
        await commands.append_control(campaign, CampaignResumed, "lunch", None)
    capsys.readouterr()
    assert len(await printed(capsys, campaign, types=["CampaignPaused", "CampaignStopped"])) == 2


async def test_stopping_ends_the_open_jobs_of_the_campaign_alone(start, owner):
    stopped, other = await start(), await start()
    for campaign in (stopped, other):
        sql = (
            "INSERT INTO work (queue, key, campaign, payload, attempts, priority) VALUES ('train', $1, $1, '{}', 2, 0)"
        )
        await owner.execute(sql, campaign)
    await commands.append_control(stopped, CampaignStopped, "enough", None)
    states = dict(await owner.fetch("SELECT campaign, state FROM work"))
    assert (states[stopped], states[other]) == ("cancelled", "queued")


async def test_events_by_hand_go_only_into_a_test(start, tmp_path, capsys):
    for test in (True, False):
        campaign = await start(test=test)
        by_hand(tmp_path, campaign, "base")
        if test:
            await commands.emit(tmp_path / "events.json", None)
        else:
            with pytest.raises(UserError, match="is no test"):
                await commands.emit(tmp_path / "events.json", None)
        capsys.readouterr()
        assert len(await printed(capsys, campaign)) == 1 + test


async def test_an_event_that_nobody_could_fold_is_refused(start, tmp_path, capsys):
    campaign = await start()
    by_hand(tmp_path, campaign, "r1s0")
    with pytest.raises(UserError, match=r"TrainingStarted: 'r1s0' is not in campaign .*: propose it first"):
        await commands.emit(tmp_path / "events.json", None)
    assert len(await printed(capsys, campaign)) == 1


async def test_status_lists_campaigns_and_shows_one(start, capsys):
    campaign = await start()
    await commands.status(None, None)
    assert campaign in capsys.readouterr().out
    await commands.status(campaign, None)
    assert "base" in capsys.readouterr().out
    with pytest.raises(UserError, match=rf"'{campaign}x' is not in the log; did you mean '{campaign}'\?"):
        await commands.status(f"{campaign}x", None)


async def test_a_report_can_be_written_at_any_time(start, tmp_path):
    campaign = await start()
    await commands.report(campaign, tmp_path / "out", None)
    assert json.loads((tmp_path / "out/report.json").read_text())["finished"] is False


async def test_a_wrong_password_is_told(monkeypatch):
    monkeypatch.setenv("AEVOLVE_PASSWORD", "wrong")
    with pytest.raises(UserError, match=r"AEVOLVE_POSTGRES: .*password"):
        await commands.status(None, None)


async def test_an_unreachable_database_is_told(monkeypatch):
    monkeypatch.setenv("AEVOLVE_POSTGRES", "postgresql://127.0.0.1:1/aevolve")
    with pytest.raises(UserError, match=r"AEVOLVE_POSTGRES: postgresql://127.0.0.1:1/aevolve; .*start the database"):
        await commands.status(None, None)


async def test_a_live_log_is_audited_where_it_is(start):
    campaign = await start()
    assert [envelope.type for envelope in await campaign_events(None, None, campaign)] == ["CampaignStarted"]


async def test_a_campaign_that_a_live_log_does_not_hold_is_sought_nowhere_else(start, tmp_path, monkeypatch):
    await start()
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    (tmp_path / "runs" / "demo" / "log.jsonl").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="'gone' is not in the log"):
        await campaign_events(None, None, "gone")


async def test_a_database_of_ones_own_is_prepared_and_preparing_it_again_changes_nothing(postgres, tmp_path, capsys):
    owner = await create_database(postgres, "of_ones_own")
    await migrate.migrate(owner, tmp_path / "secrets")
    assert "001" in capsys.readouterr().out
    password = (tmp_path / "secrets" / "console").read_text()
    await migrate.migrate(owner, tmp_path / "secrets")
    assert "the schema is up to date" in capsys.readouterr().out
    assert (tmp_path / "secrets" / "console").read_text() == password
    store = await EventStore.open(owner, service="console", password=password)
    assert await store.head() == 0
    await store.close()
    for service, known in PASSWORDS.items():  # roles belong to the whole server: the other tests need theirs back
        (tmp_path / "secrets" / service).write_text(known)
    await migrate.migrate(owner, tmp_path / "secrets")


async def test_the_owners_password_may_stand_in_a_file(tmp_path, monkeypatch):
    seen = []

    async def remember(dsn, *others, **options):
        seen.append(dsn)
        return []

    monkeypatch.setattr("eventstore.migrate.migrate", remember)
    monkeypatch.setattr("eventstore.migrate.provision", remember)
    (tmp_path / "owner").write_text("p@ss/word\n")
    await migrate.migrate("postgresql://me@db/log", tmp_path / "secrets", tmp_path / "owner")
    assert seen == ["postgresql://me:p%40ss%2Fword@db/log"] * 2
    with pytest.raises(UserError, match="absent; it cannot be read"):
        await migrate.migrate("postgresql://me@db/log", tmp_path / "secrets", tmp_path / "absent")
    with pytest.raises(UserError, match="it names no user"):
        await migrate.migrate("postgresql://db/log", tmp_path / "secrets", tmp_path / "owner")


async def test_a_campaign_that_is_to_start_once_starts_once(start, tmp_path, capsys):
    first = await start()
    await commands.start(tmp_path / "campaign.yaml", None, once=True)
    assert capsys.readouterr().out.strip() == first
    assert await start() != first


async def learned(stores, campaign):
    """Let a campaign have ended its first round, as far as its policies tell."""
    policy = await stores("policy")
    first = first_policy(await history_of(policy, campaign))
    second = first.model_copy(update={"policy": first.policy.model_copy(update={"version": 1, "round": 2})})
    await policy.append([Append(campaign, campaign, event) for event in (first, second)])


async def test_a_campaign_starts_from_what_another_of_the_log_has_learned(start, stores, tmp_path, capsys):
    earlier = await start(test=False)
    await learned(stores, earlier)
    await commands.start(tmp_path / "campaign.yaml", None, earlier)
    (line,) = await printed(capsys, capsys.readouterr().out.strip(), as_json=True)
    warm = json.loads(line)["data"]["campaign"]["warm"]
    assert warm["campaign"] == earlier
    assert {axis["knob"] for axis in warm["axes"]} >= {"traces", "difficulty", "wordings"}


async def test_a_campaign_starts_from_what_one_of_a_file_has_learned(start, stores, tmp_path, capsys):
    earlier = await start(test=False)
    await learned(stores, earlier)
    lines = await printed(capsys, earlier, as_json=True)
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")
    await commands.start(tmp_path / "campaign.yaml", None, None, tmp_path / "log.jsonl")
    (line,) = await printed(capsys, capsys.readouterr().out.strip(), as_json=True)
    assert json.loads(line)["data"]["campaign"]["warm"]["campaign"] == earlier


async def test_what_cannot_be_learned_from_starts_nothing(start, stores, tmp_path, capsys):
    fresh, tried = await start(test=False), await start()
    await learned(stores, tried)
    campaigns = len(await (await stores("console")).campaigns())
    for source, words in (
        ("no-such", "--warm-from: 'no-such' is not in the log"),
        (fresh, "has learned nothing yet"),
        (tried, "says `test: true`"),
    ):
        with pytest.raises(UserError, match=words):
            await commands.start(tmp_path / "campaign.yaml", None, source)
    assert len(await (await stores("console")).campaigns()) == campaigns
