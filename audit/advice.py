"""The advisor's events about the round that a decision opens or fills. They complement the recorded explanation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from schemas.advisor import AdviceWeighed, AdvisorAnswered, AdvisorFailed
from schemas.envelope import Envelope
from schemas.events import PolicyUpdated, RecipeProposed

AdviceEvent = AdvisorAnswered | AdviceWeighed | AdvisorFailed


def advice(envelopes: Sequence[Envelope], decision: Envelope) -> tuple[AdviceEvent, ...]:
    """The advisor's events about the round of a policy or a proposal; empty for other decisions."""
    event = decision.event
    if not isinstance(event, PolicyUpdated | RecipeProposed | AdviceWeighed):
        return ()
    round_ = event.policy.round if isinstance(event, PolicyUpdated) else event.round
    events = (x.event for x in envelopes if x.type in ("AdvisorAnswered", "AdviceWeighed", "AdvisorFailed"))
    return tuple(advised for advised in events if advised.round == round_)


def text(events: Sequence[AdviceEvent]) -> Iterator[str]:
    """The events as lines of text; no line if no advisor was asked."""
    verdicts = next((event.verdicts for event in events if isinstance(event, AdviceWeighed)), ())
    for event in events:
        if isinstance(event, AdvisorAnswered):
            yield f"\nWhat the advisor says of the evidence ({event.model}; its own words, which nobody has checked)"
            yield from (f"  {line}" for line in event.words.splitlines())
            for proposal, verdict in zip_longest(event.proposals, verdicts, fillvalue="not weighed yet"):
                yield f"  {verdict}: {_named(proposal)}"
        elif isinstance(event, AdvisorFailed):
            yield f"\nThe advisor gave nothing usable: {event.error}: {event.message}"


def _named(proposal: Any) -> str:
    reason = " ".join(proposal.reason.split())
    return f"{' + '.join(proposal.changes) or 'nothing'} ({reason})"
