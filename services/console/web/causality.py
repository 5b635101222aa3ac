"""The causal graph around a decision: what led to it, and what it led to, up to the next policy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from audit.decision import causes
from audit.recompute import is_decision
from schemas.envelope import Envelope


@dataclass(frozen=True)
class Node:
    """An event, and what it led to."""

    envelope: Envelope
    """The event."""
    here: bool
    """Whether it is the decision that the graph is about."""
    address: str
    """The page that tells more of it."""
    effects: tuple[Node, ...] = ()
    """What it led to, as far as the graph shows it: of what led to the decision, only the way there."""

    @property
    def chain(self) -> list[Node]:
        """This event and what follows one from the other, up to one that led to several or to nothing."""
        steps = [self]
        while len(steps[-1].effects) == 1:
            steps.append(steps[-1].effects[0])
        return steps


def causality(envelopes: Sequence[Envelope], decision: Envelope) -> Node:
    """The graph, from the campaign's start."""
    effects: dict[UUID | None, list[Envelope]] = defaultdict(list)
    for envelope in envelopes:
        effects[envelope.causationid].append(envelope)
    *before, _ = causes(envelopes, decision)
    node = replace(_tree(decision, effects), here=True)
    for envelope in reversed(before):
        node = replace(_node(envelope), effects=(node,))
    return node


def _tree(envelope: Envelope, effects: Mapping[UUID | None, list[Envelope]], depth: int = 0) -> Node:
    ends = envelope.type == "PolicyUpdated" and depth > 0
    then = [] if ends else effects.get(envelope.id, [])
    return replace(_node(envelope), effects=tuple(_tree(effect, effects, depth + 1) for effect in then))


def _node(envelope: Envelope) -> Node:
    campaign = envelope.correlationid
    if is_decision(envelope):
        return Node(envelope, False, f"/audit/{campaign}/{envelope.id}")
    name = envelope.data.get("candidate")
    return Node(envelope, False, f"/rounds/{campaign}/{name}" if name else f"/log/{envelope.sequence}")
