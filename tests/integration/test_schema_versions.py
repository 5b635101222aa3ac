"""A log that holds several versions of an event is read as today's version."""

import pytest

from eventstore.effect import Append
from schemas import registry
from schemas.advisor import AdvisorFailed as First
from schemas.base import Frozen
from schemas.unreadable import UnreadableEvent


class AdvisorFailed(Frozen):
    """As a later release might have it: `error` is called `kind`."""

    kind: str
    message: str


@pytest.fixture
async def two_versions(stores, monkeypatch):
    """A log with an event of version 1, and code whose version is 2."""
    policy = await stores("policy")
    await policy.append([Append("c", "c", First(error="Timeout", message="30 s"))])
    monkeypatch.setitem(registry.EVENTS, "AdvisorFailed", AdvisorFailed)
    monkeypatch.setitem(registry.VERSIONS, "AdvisorFailed", 2)
    return policy


async def test_old_rows_are_read_as_todays_models_beside_new_ones(two_versions, monkeypatch):
    renamed = lambda data: {"kind": data["error"], "message": data["message"]}  # noqa: E731
    monkeypatch.setitem(registry.UPCASTERS, ("AdvisorFailed", 1), renamed)
    await two_versions.append([Append("c", "c", AdvisorFailed(kind="Refused", message="no"))])
    old, *_, new = [envelope async for envelope in two_versions.read(campaign="c")]
    assert (old.version, new.version) == (1, 2)
    assert old.event == AdvisorFailed(kind="Timeout", message="30 s")
    assert new.event == AdvisorFailed(kind="Refused", message="no")
    assert old.data == First(error="Timeout", message="30 s").model_dump(mode="json")  # what is recorded stays
    assert (await two_versions.verify({})).position == new.sequence


async def test_a_missing_upcaster_is_told_with_its_remedy(two_versions):
    (old, *_) = [envelope async for envelope in two_versions.read(campaign="c")]
    with pytest.raises(UnreadableEvent, match=r"recorded in version 1, today's is 2: register UPCASTERS\["):
        _ = old.event


async def test_a_version_of_a_later_release_is_told_with_its_remedy(two_versions, monkeypatch):
    (new,) = await two_versions.append([Append("d", "d", AdvisorFailed(kind="Refused", message="no"))])
    monkeypatch.undo()
    with pytest.raises(UnreadableEvent, match="version 2, today's is 1: install the release that wrote it"):
        _ = new.event
