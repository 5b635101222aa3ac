"""A recorded campaign as a store that the page can read."""

from starlette.testclient import TestClient

from eventstore.read import CampaignSummary
from services.console.log_file import read_envelopes
from services.console.web.app import make_app
from services.console.web.context import Site
from services.console.web.security import PageSettings, access
from services.runtime.settings import Settings


class RecordedLog:
    """Events in memory, read as the store's are."""

    def __init__(self, envelopes):
        self.envelopes = list(envelopes)
        self.live = {}

    async def head(self):
        return self.envelopes[-1].sequence

    async def campaigns(self):
        began = [x for x in self.envelopes if x.type == "CampaignStarted"]
        return [CampaignSummary(x.correlationid, x.event.campaign.name, x.time, None) for x in began]

    async def progress(self, campaign):
        return self.live

    async def read(self, *, after=0, campaign=None, stream=None, types=None, limit=None):
        for x in self.envelopes:
            fits = campaign in (None, x.correlationid) and stream in (None, x.subject)
            if x.sequence > after and fits and (types is None or x.type in types):
                yield x


def recorded(file):
    """The log of a file."""
    return RecordedLog(read_envelopes(file))


def browser(store, artifacts="nowhere"):
    """A browser on this machine."""
    site = Site.of(store, Settings(artifacts=str(artifacts)), access("127.0.0.1", PageSettings()))
    return TestClient(make_app(site), base_url="http://localhost:8787", client=("127.0.0.1", 50_000))
