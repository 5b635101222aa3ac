"""A campaign of five services on a real broker, watched: its traces, pages and log lines, and a log that breaks."""

import asyncio
import json
import re
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from services.console.telemetry.exporter import Watch
from services.runtime.ports import free_ports
from tests.brokers import broker
from tests.cluster import SERVICES, Cluster, log_of, until
from tests.conftest import PASSWORDS
from tests.otlp import Collector
from tests.promql import metrics, used
from tests.unit.loopworld import campaign
from tests.unit.repository.test_telemetry_files import HERE

PATIENCE = 200
"""Seconds for a round of stubs, on a machine that others use too."""


def page(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


def names(text: str) -> set[str]:
    """Metrics that have a sample."""
    samples = re.findall(r"^(\w+)(?:\{|\s)", text, re.MULTILINE)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in samples if name.startswith("aevolve_")}


async def shown(watch: Watch) -> str:
    """What the exporter's page says."""
    await watch.verify()
    await watch.read()
    registry = CollectorRegistry()
    registry.register(watch)
    return generate_latest(registry).decode()


@pytest.fixture(scope="module")
async def watched(database, tmp_path_factory):
    """A campaign in its second round: its log, its spans, its pages, and what the services logged."""
    ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    with Collector() as collector, broker(tmp_path_factory.mktemp("broker")) as its_broker:
        folder = tmp_path_factory.mktemp("cluster")
        extra = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address, "AEVOLVE_LOG_FORMAT": "json"}
        cluster = Cluster(folder, database, PASSWORDS, its_broker, **extra)
        for service in SERVICES:
            cluster.start(service, AEVOLVE_PORT=str(ports[service]))
        console = await cluster.console()
        try:
            await cluster.begin(console, "w", campaign(rounds=3, candidates=3))
            history = await until(console, "w", lambda h: h.round >= 2 and bool(h.of_round(2)), seconds=PATIENCE)
            pages = "".join([await asyncio.to_thread(page, port) for port in ports.values()])
            exported = await shown(Watch(console))
        finally:
            cluster.stop_gently()
        yield {
            "history": history,
            "log": await log_of(console, "w"),
            "spans": collector.spans,
            "pages": pages,
            "exported": exported,
            "lines": [line for s in SERVICES for line in (folder / f"{s}.log").read_text().splitlines()],
        }
        await console.close()


def context(envelope):
    _, trace, span, _ = envelope.traceparent.split("-")
    return trace, span


async def test_one_trace_follows_a_candidate_from_its_proposal_to_the_policy(watched):
    by_id = {span.id: span for span in watched["spans"]}
    events = [e for e in watched["log"] if e.subject == "w/r1s1"]
    proposed = next(e for e in events if e.type == "RecipeProposed")
    trace, _ = context(proposed)
    of_trace = [span for span in watched["spans"] if span.trace == trace]
    assert {"RecipeProposed", "TrainingStarted", "CheckpointTrained", "ScoresReported"} <= {e.type for e in events}
    assert {context(e)[0] for e in events if e.type != "RecipeProposed" and e.sequence < second(watched)} == {trace}
    chain = ancestors(by_id, next(s for s in of_trace if s.name == "append PolicyUpdated"))
    assert chain[-1] == "round", chain
    if not chain[-2].endswith(
        " timer"
    ):  # on a busy machine a timer may find due what a message was to tell: no job led to it
        for name in (
            "policy handle DriftAssessed",
            "append SubmissionsChosen",
            "job score",
        ):  # the base's, if it came last
            assert name in chain, chain
    scored = next(e for e in events if e.type == "ScoresReported")
    branch = ancestors(by_id, by_id[context(scored)[1]])
    assert branch[:5] == [
        "append ScoresReported",
        "job score",
        "append CheckpointTrained",
        "job train",
        "append RecipeProposed",
    ]
    assert by_id[context(proposed)[1]].attributes["aevolve.candidate"] == "r1s1"
    assert {span.service for span in of_trace} == {f"aevolve-{service}" for service in SERVICES}


def second(watched):
    """Position of the policy that opened the second round."""
    return next(e.sequence for e in watched["log"] if e.type == "PolicyUpdated" and e.data["policy"]["round"] == 2)


def ancestors(by_id, span):
    """Names from a span up to the root of its trace."""
    found = [span.name]
    while span.parent:
        span = by_id[span.parent]
        found.append(span.name)
    return found


async def test_a_new_round_is_a_new_trace_linked_to_the_policy_that_opened_it(watched):
    opened = next(e for e in watched["log"] if e.sequence == second(watched))
    spans = {span.id: span for span in watched["spans"]}
    root = spans[context(opened)[1]]
    (ended,) = root.links
    assert (root.name, root.parent, spans[ended].name) == ("round", "", "append PolicyUpdated")
    assert root.trace != spans[ended].trace


async def test_a_decision_is_linked_to_the_last_word_on_each_candidate(watched):
    chosen = next(e for e in watched["log"] if e.type == "SubmissionsChosen")
    links = next(span.links for span in watched["spans"] if span.id == context(chosen)[1])
    known = [e for e in watched["log"] if e.sequence <= chosen.data["basis"]["position"] and e.traceparent]
    words = {e.subject: context(e)[1] for e in known}
    assert {words[f"w/r1s{slot}"] for slot in range(3)} <= links


async def test_every_handled_event_has_a_span_under_the_event_itself(watched):
    events = {str(e.id): context(e) for e in watched["log"] if e.traceparent}
    handled = [span for span in watched["spans"] if " handle " in span.name]
    assert len(handled) > len(events) / 2
    for span in handled:
        if expected := events.get(span.attributes["aevolve.event.id"]):
            assert (span.trace, span.parent) == expected


async def test_what_dashboards_and_alerts_name_is_there_to_be_read(watched):
    absent = metrics(used(HERE)) - names(watched["pages"]) - names(watched["exported"])
    assert not absent


async def test_the_exporter_says_what_the_log_says(watched):
    history, text = watched["history"], watched["exported"]
    samples = dict(re.findall(r"^(aevolve_\S+) (\S+)$", text, re.MULTILINE))
    assert float(samples['aevolve_campaign_rounds{campaign="w"}']) == 3
    assert float(samples['aevolve_campaign_state{campaign="w",state="running"}']) == 1
    best = max(t.scores["dev"].score for t in history.of_round(1))
    assert float(samples['aevolve_round_best_score_ratio{campaign="w",kind="dev",round="1"}']) == pytest.approx(best)
    assert float(samples["aevolve_log_position"]) >= float(samples["aevolve_chain_verified_position"]) > 0
    assert float(samples["aevolve_chain_broken"]) == 0
    assert float(samples["aevolve_log_reachable"]) == 1


async def test_log_lines_are_json_and_name_the_campaign_where_there_is_one(watched):
    lines = [json.loads(line) for line in watched["lines"]]
    assert {line["service"] for line in lines} >= set(SERVICES)
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)


async def test_an_altered_event_is_noticed_as_the_exporter_walks_on(watched, stores, owner):
    watch = Watch(await stores("console"))
    assert "aevolve_chain_broken 0.0" in await shown(watch)
    await owner.execute("ALTER TABLE events DISABLE TRIGGER ALL")
    await owner.execute("UPDATE events SET source = 'aevolve/forger' WHERE position = 7")
    fresh = Watch(await stores("console"))
    text = await shown(fresh)
    assert "aevolve_chain_broken 1.0" in text
    assert "aevolve_chain_verified_position 6.0" in text
