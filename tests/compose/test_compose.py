"""The stack of deploy/compose.yaml comes up, and a campaign in it ends although part after part is killed."""

import json
import os
import sys
from functools import partial

import pytest

from tests.chaos.checks import every_outcome_is_told_once
from tests.compose.stack import ROOT, Stack, core_adds, missing, until

pytestmark = pytest.mark.timeout(3600)

HERE = ROOT / "tests" / "compose"
PATIENCE = float(os.environ.get("AEVOLVE_COMPOSE_SECONDS", "600"))
"""How long each step may take."""
SERVICES = ("data", "recipes", "trainer", "oracle", "policy")


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    if lacking := missing():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(lacking)
    campaign, files = HERE / "campaigns" / "tiny.yaml", HERE / "files"
    more = (ROOT / "deploy" / "compose.web.yaml", HERE / "site.yaml")
    with Stack(tmp_path_factory.mktemp("compose"), campaign, trainers=2, files=files, more=more) as up:
        yield up


@pytest.fixture(scope="module", autouse=True)
def first_event(stack):
    """Seconds from `up` to the log's first event."""
    return stack.first_event(PATIENCE)


@pytest.fixture(scope="module")
def page(stack):
    """Opens the page, once it is there."""
    until(lambda: healthy(stack.containers("console")[0]), PATIENCE, "the console is healthy")
    return stack.browser


@pytest.fixture(scope="module")
def paused(stack, page):
    """Pauses the campaign and lets it go on, as somebody does who opens the page and shows the token."""
    (id_,) = stack.ask("SELECT DISTINCT campaign FROM aevolve.events").split()
    with page() as browser:
        browser.get("/login")
        fields = {"csrf": browser.cookies["aevolve_csrf"]}
        browser.post("/login", data={**fields, "token": stack.token()})
        for action in ("pause", "resume"):
            assert browser.post(f"/campaigns/{id_}/steer", data={**fields, "action": action}).status_code == 303


WORKER = "SELECT data ->> 'worker' FROM aevolve.events WHERE type = 'TrainingStarted' ORDER BY position DESC LIMIT 1"


@pytest.fixture(scope="module")
def killed(stack, paused):
    """Kills a trainer in a job, the database and the broker, each when something has gone on since the last."""
    until(lambda: stack.count("TrainingStarted") > 0, PATIENCE, "a training started")
    victims = [stack.kill("trainer", stack.ask(WORKER).split("-")[0])]
    until(lambda: stack.count("CheckpointTrained") > 0, PATIENCE, "the other trainer went on")
    trained = stack.count("CheckpointTrained")
    victims.append(stack.kill("postgres"))
    until(lambda: stack.count("CheckpointTrained") > trained, PATIENCE, "the trainers found the database again")
    stack.compose("up", "--detach", "--no-recreate", "--scale", "trainer=4")
    victims.append(stack.kill("kafka"))
    return victims


@pytest.fixture(scope="module")
def finished(stack, killed):
    """The log of the finished campaign."""
    until(lambda: stack.count("CampaignFinished") > 0, PATIENCE, "the campaign ended")
    return stack.events()


def test_the_core_image_is_small_and_the_log_begins_soon(first_event, capsys):
    adds = core_adds()
    with capsys.disabled():
        sys.stdout.write(f"\nimage core: {adds:.0f} MB beside its base; `up` to the first event: {first_event:.0f} s\n")
    assert adds <= 400


def test_the_page_is_closed_to_who_has_no_token(page):
    with page() as browser:
        assert browser.get("/campaigns").status_code == 401
        shown = browser.get("/campaigns", headers={"Accept": "text/html"})
        assert (shown.status_code, shown.headers["location"]) == (303, "/login?then=/campaigns")
        assert browser.get("/campaigns", headers={"Authorization": "Bearer guessed"}).status_code == 401
        assert browser.get("/alive").json()["healthy"] is True


def test_a_person_steers_a_campaign_by_the_page(finished):
    said = [(event.type, event.data["by"]) for event in finished if event.type in ("CampaignPaused", "CampaignResumed")]
    assert said == [("CampaignPaused", "token"), ("CampaignResumed", "token")]


def test_the_page_shows_the_campaign_and_the_decisions(stack, page, finished):
    campaign = finished[0].correlationid
    with page() as browser:
        browser.headers["Authorization"] = f"Bearer {stack.token()}"
        assert campaign in browser.get("/campaigns").text
        assert "r2s0" in browser.get(f"/rounds/{campaign}").text
        assert "Recompute" in browser.get(f"/audit/{campaign}/policy:1").text


def test_what_was_killed_came_back_by_itself(stack, killed):
    for victim in killed:
        until(partial(stack.came_back, victim), PATIENCE, f"{victim} runs again")


def test_trainers_can_be_scaled(stack, killed):
    trainers = stack.containers("trainer")
    assert len(trainers) == 4
    assert len({trainer["Config"]["Hostname"] for trainer in trainers}) == 4


def test_nothing_was_lost_or_doubled(finished):
    assert [event.sequence for event in finished] == list(range(1, len(finished) + 1))
    every_outcome_is_told_once(finished)
    assert max(event.data["attempt"] for event in finished if event.type == "TrainingStarted") > 1


def test_a_campaign_learns_from_the_web_and_from_files_in_a_folder_of_the_host(stack, finished):
    made = [event.event for event in finished if event.type == "DataBatchReady"][-1]
    gave = {one.source: (one.made, one.kept) for one in made.yields}
    assert (gave["site"], gave["worked"]) == ((1, 1), (2, 2))
    said = stack.aevolve("data", "inspect", made.snapshot)
    assert "site" in said
    assert "http://site:8000/page.html" in said


def test_nobody_but_the_data_service_is_let_out(stack, killed):
    ask = "import socket; socket.create_connection(('site', 8000), 3)"
    for service in SERVICES:
        asked = f"python -c {json.dumps(ask)} 2>/dev/null && echo reached"
        reached = stack.compose("exec", "--no-TTY", service, "sh", "-c", asked, check=False).strip()
        assert reached == ("reached" if service == "data" else ""), service


def test_the_log_is_valid_and_covered_by_anchors_in_a_file_and_on_kafka(stack, finished):
    assert "anchors that agree" in stack.aevolve("verify", "--anchor", "/anchors/anchors.jsonl", "--anchors-from-kafka")


def test_every_decision_and_every_table_follows_from_the_log(stack, finished):
    stack.aevolve("replay")


def test_a_second_up_starts_no_second_campaign(stack, finished):
    stack.compose("up", "--detach", "--no-recreate")
    until(lambda: stack.containers("start")[0]["State"]["Status"] == "exited", PATIENCE, "`start` ended")
    assert stack.count("CampaignStarted") == 1


@pytest.fixture(scope="module")
def exporter(stack):
    """Of the profile `telemetry`, whose other parts are images that we do not make."""
    stack.compose("--profile", "telemetry", "up", "--detach", "--no-deps", "--no-recreate", "exporter")


def test_the_exporter_says_what_the_log_holds(stack, exporter, finished):
    ask = "import urllib.request as u; print(u.urlopen('http://exporter:9464/metrics').read().decode())"
    asking = ("exec", "--no-TTY", "policy", "python", "-c", ask)
    shown = f"aevolve_chain_verified_position {float(finished[-1].sequence)}"
    until(lambda: shown in stack.compose(*asking, check=False), PATIENCE, shown)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_could_send_traces(stack, killed, service):
    needed = "import opentelemetry.sdk.trace.export, opentelemetry.exporter.otlp.proto.http.trace_exporter"
    stack.compose("exec", "--no-TTY", service, "python", "-c", needed)


@pytest.mark.parametrize("service", [*SERVICES, "console", "exporter"])
def test_a_service_is_healthy_and_confined(stack, killed, exporter, service):
    until(lambda: healthy(stack.containers(service)[0]), PATIENCE, f"{service} is healthy")
    words = "id -u; (touch /venv/x || touch /x || touch /etc/x) 2>&1; grep -E 'CapEff|NoNewPrivs' /proc/self/status"
    uid, *lines = stack.compose("exec", "--no-TTY", service, "sh", "-c", words).splitlines()
    assert uid == "10001"
    assert sum("Read-only file system" in line for line in lines) == 3
    assert [line.split() for line in lines[-2:]] == [["CapEff:", "0000000000000000"], ["NoNewPrivs:", "1"]]


def healthy(container):
    return container["State"].get("Health", {}).get("Status") == "healthy"


def test_the_sealed_sets_key_is_in_the_oracle_alone(stack, killed, exporter):
    holders = {
        service
        for service in (*SERVICES, "postgres", "kafka", "migrate", "start", "console", "exporter")
        for container in stack.containers(service)
        if any(mount["Destination"] == "/run/secrets/oracle.key" for mount in container["Mounts"])
    }
    assert holders == {"oracle"}


def test_a_service_logs_in_as_itself_and_as_nobody_else(stack, killed):
    asked = json.dumps("import os; print(sorted(os.listdir('/run/secrets')))")
    assert stack.compose("exec", "--no-TTY", "policy", "sh", "-c", f"python -c {asked}").strip() == "['policy']"
