"""What time alone makes due has a place in the chain of causes too."""

from datetime import timedelta

from services.data.app import SERVICE
from services.runtime.reactor import Reactor
from tests.integration.test_advised_round import second_round, tell


async def test_what_a_deadline_leads_to_names_the_last_event_that_was_known(stores):
    await tell(stores, "timers", second_round(None)[:-1])
    store = await stores("data")
    before = [x async for x in store.read(campaign="timers")]
    await Reactor(SERVICE, store).tick(before[-1].time + timedelta(days=1))
    (batch,) = [x async for x in store.read(campaign="timers", after=before[-1].sequence)]
    assert (batch.type, batch.event.reused) == ("DataBatchReady", True)
    assert (batch.causationid, batch.traceparent) == (before[-1].id, before[-1].traceparent)
