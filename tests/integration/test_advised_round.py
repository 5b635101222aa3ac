"""A round with an advisor, from the log over HTTP and back into the log; and what the advisor never gets to see."""

import asyncio
import json

import pytest

from audit.projections import check
from eventstore.effect import Append
from eventstore.store import NotAWriter
from judgement.decisions import choose_final, choose_submissions, finish, first_policy, propose, update
from schemas.advisor import AdvisorRule
from schemas.base import digest
from schemas.campaign import Model
from schemas.envelope import round_stream
from schemas.events import DataBatchReady, SubmissionsChosen
from schemas.registry import WRITERS
from schemas.scores import BASE, Receipt
from services.recipes.app import SERVICE
from services.runtime.jobs.runner import JobRunner
from services.runtime.jobs.worker import Worker
from services.runtime.reactor import Reactor
from services.runtime.settings import Settings
from tests.advisors import advice, endpoint, says, sends
from tests.background import running
from tests.unit.loopworld import SHA, Deciders, Log, World, campaign, data_ready, measure, play_round, report, started

SEALED = "SEALED-7f3a"
"""Stands wherever a campaign names artifacts, paths and outputs."""
RULE = AdvisorRule(model="adviser", seconds=30, slots=2)


@pytest.fixture(scope="module")
def runner():
    return JobRunner(["services.recipes.advisor"])


@pytest.fixture
def server():
    with endpoint() as running_one:
        yield running_one


def second_round(rule=RULE):
    """The payloads of a campaign up to the data of its second round, with marked artifacts."""
    log = Log()
    log.append(started(campaign(rounds=2, advisor=rule).model_copy(update={"model": Model(base=f"/{SEALED}/base")})))
    for kind in ("dev", "external"):
        measure(log, World(), BASE, kind)
    log.append(first_policy(log.history))
    by = Deciders(first_policy, propose, choose_submissions, lambda *_: [], update, choose_final, finish)
    play_round(log, World(), by, 1, {"r1s2"})
    log.append(update(log.history), data_ready(2))
    return [marked(event) for event in log.payloads]


def marked(event):
    """The event with the mark in every field that names a file or an output."""
    values = {"uri": SEALED, "message": SEALED, "receipt": Receipt(uri=SEALED, sha256=SHA)}
    return event.model_copy(update={name: values[name] for name in values if hasattr(event, name)})


async def tell(stores, campaign_id, events):
    """Append each event as its own writer."""
    for number, event in enumerate(events):
        store = await stores(WRITERS[type(event)][0])
        of_round = isinstance(event, DataBatchReady | SubmissionsChosen)
        stream = round_stream(campaign_id, event.round) if of_round else f"{campaign_id}/told/{number}"
        await store.append([Append(campaign_id, stream, event)])


async def advised(stores, runner, campaign_id, url):
    """The events of the round once the recipes service has proposed it."""
    store = await stores("recipes")
    reactor = Reactor(SERVICE, store)
    settings = Settings(advisor_url=url, lease_seconds=5)
    async with running(Worker(SERVICE.jobs[0], store, runner, settings, "me").work()):
        while len((await reactor.history(campaign_id)).of_round(2)) < 2:
            await reactor.catch_up()
            await asyncio.sleep(0.05)
    return [x async for x in store.read(campaign=campaign_id)]


async def test_an_advised_round_goes_from_the_evidence_to_the_candidates(stores, runner, server):
    server.reply = says(advice(("rank=32",), ("traces=9",)))
    await tell(stores, "good", second_round())
    log = await advised(stores, runner, "good", server.url)
    (answer,) = (x for x in log if x.type == "AdvisorAnswered")
    (weighed,) = (x for x in log if x.type == "AdviceWeighed")
    proposed = [x for x in log if x.type == "RecipeProposed" and x.event.round == 2]
    assert weighed.event.verdicts == ("taken", "unknown change")
    assert [x.event.by for x in proposed] == ["search", "advisor", "search", "search", "search"]
    assert {x.causationid for x in proposed} == {answer.id}
    sent = (await row(stores, "good"))["payload"]["evidence"]
    assert digest(sent) == answer.event.basis.digest == proposed[0].event.basis.digest
    assert json.loads(server.requests[0][2]["messages"][1]["content"])["evidence"] == sent


async def test_the_job_beside_the_log_follows_from_the_log(stores, runner, server):
    found = await check(await stores("console"))
    assert [d for d in found.deviations if "advise" in d.row] == []


async def row(stores, campaign_id):
    store = await stores("recipes")
    connection = await store.connect()
    try:
        found = await connection.fetchrow("SELECT * FROM work WHERE queue = 'advise' AND campaign = $1", campaign_id)
        return {**found, "payload": json.loads(found["payload"])}
    finally:
        await connection.close()


async def test_nothing_that_names_an_item_an_answer_or_a_file_reaches_the_advisor(stores, runner, server):
    events = second_round()
    assert sum(SEALED in event.model_dump_json() for event in events) > 10
    await tell(stores, "sealed", events)
    await advised(stores, runner, "sealed", server.url)
    ((_, headers, sent),) = server.requests
    assert SEALED not in str(headers) + str(sent)
    assert "OutOfMemory" in str(sent)  # what failed is known by its class


async def test_an_endpoint_that_fails_twice_leaves_the_round_to_the_search(stores, runner, server):
    server.reply = sends(500, b"")
    await tell(stores, "bad", second_round())
    log = await advised(stores, runner, "bad", server.url)
    (failed,) = (x.event for x in log if x.type == "AdvisorFailed")
    assert (failed.round, failed.error, len(server.requests)) == (2, "EndpointFailed", 2)
    assert {x.event.by for x in log if x.type == "RecipeProposed"} == {"search"}
    assert not [x for x in log if x.type == "AdviceWeighed"]


async def test_a_silent_endpoint_holds_a_round_up_to_its_deadline(stores, runner, server):
    server.reply = lambda _: server.released.wait()
    await tell(stores, "slow", second_round(RULE.model_copy(update={"seconds": 1.0})))
    log = await advised(stores, runner, "slow", server.url)
    (failed,) = (x.event for x in log if x.type == "AdvisorFailed")
    assert (failed.error, failed.message.partition(";")[0]) == ("DeadlinePassed", "no answer within 1 s")


async def test_the_service_that_hears_the_advisor_cannot_write_a_score(stores):
    store = await stores("recipes")
    score = report(BASE, "dev", World().scores(BASE, None, "dev", 0))
    with pytest.raises(NotAWriter):
        await store.append([Append("good", "good/base", score)])
