"""The loop that signs the head, alone: a place that fails or hangs holds up nobody, and costs no anchor for good."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from eventstore.effect import Append
from eventstore.integrity.anchors import Signer, keys_by_id
from schemas.advisor import AdvisorFailed
from services.runtime import anchoring
from services.runtime.anchoring import Anchorer

SIGNER = Signer(Ed25519PrivateKey.generate())


@pytest.fixture
async def store(stores):
    policy = await stores("policy")
    await policy.append([Append("c", "c", AdvisorFailed(error="E", message="m"))])
    return policy


async def test_the_committed_head_is_signed_once(store):
    kept = []

    async def keep(anchor):
        kept.append(anchor)

    anchorer = Anchorer(store, SIGNER, keep, 1.0)
    await anchorer.look()
    await anchorer.look()
    (anchor,) = kept
    head = await store.verify({})
    assert (anchor.position, anchor.hash) == head
    keys_by_id([SIGNER.public])[anchor.key].verify(anchor.signature, anchor.signed())


async def test_a_place_that_fails_is_tried_again(store):
    tries, kept = [], asyncio.Event()

    async def keep(anchor):
        tries.append(anchor.position)
        if len(tries) == 1:
            raise OSError("the disk is full")
        kept.set()

    running = asyncio.create_task(Anchorer(store, SIGNER, keep, 0.01).run())
    await asyncio.wait_for(kept.wait(), 30)
    running.cancel()
    await asyncio.wait([running])
    assert tries == [await store.head()] * 2


async def test_a_process_that_ends_does_not_wait_for_a_place_that_hangs(store, monkeypatch):
    monkeypatch.setattr(anchoring, "LAST_SECONDS", 0.1)
    tries = []

    async def keep(anchor):
        tries.append(anchor)
        await asyncio.Event().wait()

    running = asyncio.create_task(Anchorer(store, SIGNER, keep, 1.0).run())
    while not tries:
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running], timeout=30)
    assert running.cancelled()
    assert len(tries) == 2
