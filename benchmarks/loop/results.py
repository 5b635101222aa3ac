"""What the campaigns come to: final scores by seed, paired differences with intervals, alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.loop.runs import Run
from benchmarks.search.figures import Figure
from benchmarks.search.intervals import mean_half_width, paired
from judgement.statistics import clopper_pearson

Records = Mapping[Run, Mapping[str, Any]]


@dataclass(frozen=True)
class Results:
    """What the campaigns that have ended came to."""

    records: Records
    """By campaign: `final` and `alarms`."""

    @property
    def seeds(self) -> list[int]:
        """Seeds that every search has finished."""
        done = [{run.seed for run in self.records if run.search == s and not run.null_twin} for s in SEARCHES]
        return sorted(set.intersection(*done))

    def finals(self, search: str) -> list[float]:
        """Accuracy of the winner on the final set, asked once, by seed; of the base where it won."""
        return [self.records[Run(search, seed)]["final"] for seed in self.seeds]

    def alarmed(self, *, null_twin: bool) -> list[bool]:
        """Whether drift was detected in each campaign of the shipped policy."""
        ours = [(run, record) for run, record in self.records.items() if run.search == "trust"]
        return [record["alarms"] > 0 for run, record in ours if run.null_twin == null_twin]

    def figures(self) -> list[Figure]:
        """The rows of the table."""
        return [*self._alarms(), *(self._ahead(peer) for peer in SEARCHES[1:])]

    def _alarms(self) -> list[Figure]:
        drift, null = self.alarmed(null_twin=False), self.alarmed(null_twin=True)
        return [
            _share("campaigns with drift that alarm", drift, at_least=0.8),
            _share("null twins that alarm", null, at_most=0.0),
        ]

    def _ahead(self, peer: str) -> Figure:
        ours, theirs = self.finals("trust"), self.finals(peer)
        gain, half = paired(theirs, ours)
        return Figure(
            measure=f"final score over {peer}, lower end of its interval",
            unit="accuracy",
            ours=gain - half,
            interval=(gain - half, gain + half),
            peer=peer,
            peer_value=mean_half_width(theirs)[0],
            at_least=0.0 if peer == "dev_greedy" else None,
            ahead=(gain, half),
        )


SEARCHES = ("trust", "dev_greedy", "random")


def final(report: Mapping[str, Any]) -> float:
    """Accuracy of a campaign's winner on the final set."""
    measured = report["winner"]["final"] or report["base"]["final"]
    return float(measured["score"])


def alarms(report: Mapping[str, Any]) -> int:
    """Drifts detected in a campaign."""
    return sum(len(round_["drift"]["detected"]) for round_ in report["rounds"])


def lost_shares(report: Mapping[str, Any]) -> dict[str, float]:
    """Share of a source's records that gave no row, in the last round whose data was made anew."""
    rounds = [round_["data"] for round_ in report["rounds"] if round_["data"] and not round_["data"]["reused"]]
    return {source["source"]: source["lost_share"] for source in rounds[-1]["sources"]} if rounds else {}


def _share(
    measure: str, verdicts: Sequence[bool], at_least: float | None = None, at_most: float | None = None
) -> Figure:
    share = sum(verdicts) / len(verdicts) if verdicts else float("nan")
    bounds = clopper_pearson(sum(verdicts), len(verdicts))
    return Figure(measure, "share", share, bounds, "none exists", float("nan"), at_most, at_least)
