"""What the advisor said of the round that a decision opens or fills: beside our explanation, never in its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from schemas.advisor import AdviceWeighed, AdvisorAnswered, AdvisorFailed
from schemas.envelope import Envelope
from schemas.events import PolicyUpdated, RecipeProposed

Said = AdvisorAnswered | AdviceWeighed | AdvisorFailed


def advice(envelopes: Sequence[Envelope], decision: Envelope) -> tuple[Said, ...]:
    """The advisor's word on the round of a policy or a proposal, and what became of it; empty for other decisions."""
    event = decision.event
    if not isinstance(event, PolicyUpdated | RecipeProposed | AdviceWeighed):
        return ()
    round_ = event.policy.round if isinstance(event, PolicyUpdated) else event.round
    said = (x.event for x in envelopes if x.type in ("AdvisorAnswered", "AdviceWeighed", "AdvisorFailed"))
    return tuple(one for one in said if one.round == round_)


def text(said: Sequence[Said]) -> Iterator[str]:
    """For a person; nothing where nobody was asked."""
    verdicts = next((one.verdicts for one in said if isinstance(one, AdviceWeighed)), ())
    for one in said:
        if isinstance(one, AdvisorAnswered):
            yield f"\nWhat the advisor says of the evidence ({one.model}; its own words, which nobody has checked)"
            yield from (f"  {line}" for line in one.words.splitlines())
            for proposal, verdict in zip_longest(one.proposals, verdicts, fillvalue="not weighed yet"):
                yield f"  {verdict}: {_named(proposal)}"
        elif isinstance(one, AdvisorFailed):
            yield f"\nThe advisor gave nothing usable: {one.error}: {one.message}"


def _named(proposal: Any) -> str:
    reason = " ".join(proposal.reason.split())
    return f"{' + '.join(proposal.changes) or 'nothing'} ({reason})"
