"""What a campaign rests on is in its log once: an event that would replace it is kept apart, and halts the campaign."""

from pathlib import Path
from uuid import UUID

import pytest

from judgement.history import fold
from schemas.envelope import Envelope
from services.console.log_file import read_envelopes

RECORDED = Path(__file__).parents[2] / "recorded" / "demo.jsonl"
ENVELOPES = [one for one in read_envelopes(RECORDED) if one.type != "CampaignFinished"]
ONCE = ("CampaignStarted", "PolicyUpdated", "DataBatchReady", "RecipeProposed", "CheckpointTrained")


def again(one: Envelope) -> Envelope:
    """The event once more at the log's end, in a stream of its own, where no version is in its way."""
    last = ENVELOPES[-1].sequence
    fields = {"id": UUID(int=1), "subject": "elsewhere", "stream_version": 1, "sequence": last + 1}
    return one.model_copy(update=fields)


@pytest.mark.parametrize("type_", ONCE)
def test_nothing_that_a_campaign_rests_on_is_replaced(type_: str) -> None:
    first = next(one for one in ENVELOPES if one.type == type_)
    before, after = fold(first.correlationid, ENVELOPES), fold(first.correlationid, [*ENVELOPES, again(first)])
    assert "is recorded already" in after.unreadable[0].reason
    assert after.closed
    assert not before.closed
    for name in ("campaign", "policies", "snapshots", "trials", "spent"):
        assert getattr(after, name) == getattr(before, name)


@pytest.mark.parametrize("name", ["../../outside", "/etc", "a/b", "", ".", "..", "-x", "c\n", "\x1b[2J"])
def test_a_campaign_whose_id_is_no_name_never_begins(name: str) -> None:
    history = fold(name, ENVELOPES[:1])
    assert history.campaign is None
    assert "id is no name" in history.unreadable[0].reason
