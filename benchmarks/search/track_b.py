"""Track B: the closed loop. Every policy in the same worlds at the same budget; regret is compared pair by pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from benchmarks.search.alarms import Rate
from benchmarks.search.figures import Figure
from benchmarks.search.intervals import mean_half_width, paired
from benchmarks.search.kept import NOWHERE
from benchmarks.search.kinds import KINDS
from benchmarks.search.loop import Outcome, play
from benchmarks.search.optimum import best_target
from benchmarks.search.peers.registry import ALL, OURS, POLICIES, SLOW
from benchmarks.search.plan import Plan
from benchmarks.search.pooled import spread
from benchmarks.search.world import World

SEEDS = 30_000
"""First seed that is reported."""
MOST = {"region": 0.035, "onset": 0.037, "global": 0.050, "benign": 0.034}
"""Goals for the regret."""
SECONDS = 1.0
"""Goal for the processor time of one campaign's decisions."""

HEADLINE = Plan()
OTHERS: dict[str, Plan] = {
    "4 rounds": replace(HEADLINE, rounds=4),
    "12 rounds": replace(HEADLINE, rounds=12),
    "1 query a round": replace(HEADLINE, queries=1),
    "target by domain": replace(HEADLINE, itemised=True),
}
"""Other budgets and another sort of target."""
AGAINST = (OURS, "GP-TS on dev, board-best", "GP-TS on dev, dev-best", "two-fidelity GP")
"""Who is run on them, in these worlds:"""
WHERE = ("benign", "region")


@dataclass(frozen=True)
class Task:
    """One campaign."""

    setting: str
    """Name of the budget; `8 x 8 x 2` is the headline."""
    plan: Plan
    """The budget."""
    kind: str
    """Kind of the world."""
    policy: str
    """Name of the policy."""
    seed: int
    """Seed of the world."""


MAIN = "8 x 8 x 2"


def played(task: Task) -> Outcome:
    """Its outcome."""
    world, best = _world(task.kind, task.seed, task.plan.rounds)
    return play(world, ALL[task.policy], task.plan, best)


@cache
def _world(kind: str, seed: int, rounds: int) -> tuple[World, float]:
    world = World(seed, kind, rounds)
    return world, best_target(world)


@dataclass(frozen=True)
class TrackB:
    """The outcomes by setting, kind and policy, each in the order of the seeds."""

    outcomes: dict[tuple[str, str, str], list[Outcome]]
    """All of them."""

    def regrets(self, kind: str, policy: str, setting: str = MAIN) -> list[float]:
        """Of each seed."""
        return [outcome.regret for outcome in self.outcomes[setting, kind, policy]]

    def ahead(self, kind: str, policy: str, setting: str = MAIN) -> tuple[float, float]:
        """Regret of a peer less ours over the seeds that it ran on, and half the 95 % interval."""
        theirs = self.regrets(kind, policy, setting)
        return paired(self.regrets(kind, OURS, setting)[: len(theirs)], theirs)

    def kinds(self, setting: str = MAIN) -> list[str]:
        """The kinds that a setting was run in."""
        return list(dict.fromkeys(kind for at, kind, _ in self.outcomes if at == setting))

    def policies(self, setting: str = MAIN) -> list[str]:
        """The policies that it was run with."""
        return list(dict.fromkeys(policy for at, _, policy in self.outcomes if at == setting))

    def alarms(self, kind: str) -> Rate:
        """Campaigns of ours in which drift was said, of all where nothing drifts, of the exposed elsewhere."""
        runs = [o for o in self.outcomes[MAIN, kind, OURS] if o.exposed or not KINDS[kind].drifts]
        return Rate(sum(bool(o.alarms) for o in runs), len(runs))

    def seconds(self, policy: str) -> list[float]:
        """Processor time of each campaign."""
        return [o.seconds for (at, _, who), runs in self.outcomes.items() if (at, who) == (MAIN, policy) for o in runs]

    def figures(self) -> list[Figure]:
        """The goals, each beside the best peer of the run that was played on all seeds."""
        return [*(self._regret(kind) for kind in self.kinds()), self._time()]

    def _regret(self, kind: str) -> Figure:
        peers = [policy for policy in self.policies() if policy not in (OURS, *SLOW)]
        best = min(peers, key=lambda policy: np.mean(self.regrets(kind, policy)))
        mean, half = mean_half_width(self.regrets(kind, OURS))
        return Figure(
            measure=f"regret, {kind}",
            unit="accuracy",
            ours=mean,
            interval=(mean - half, mean + half),
            peer=best,
            peer_value=float(np.mean(self.regrets(kind, best))),
            at_most=MOST.get(kind),
            ahead=self.ahead(kind, best),
        )

    def _time(self) -> Figure:
        slow = next((policy for policy in self.policies() if policy in SLOW), "two-fidelity GP")
        mean, half = mean_half_width(self.seconds(OURS))
        return Figure(
            measure="processor time of a campaign's decisions",
            unit="s",
            ours=mean,
            interval=(mean - half, mean + half),
            peer=slow,
            peer_value=float(np.mean(self.seconds(slow))),
            at_most=SECONDS,
        )


@dataclass(frozen=True)
class Choice:
    """What is played."""

    seeds: int
    """Campaigns of each sort."""
    slow_seeds: int
    """Campaigns of the slow peers."""
    first: int = SEEDS
    """First seed."""
    kinds: tuple[str, ...] = tuple(KINDS)
    """Kinds of world."""
    peers: tuple[str, ...] = tuple(name for name in POLICIES if name != OURS)
    """Who is played beside ours."""
    plan: Plan = HEADLINE
    """The budget."""
    other_seeds: int = 25
    """Campaigns with each of the other budgets, at the threshold of its own simulated null; 0 for none."""


def run(choice: Choice, file: str = NOWHERE) -> TrackB:
    """Play it, over all cores; what is played is kept in `file`."""
    outcomes: dict[tuple[str, str, str], list[Outcome]] = {}
    tasks = _tasks(choice, file)
    for task, outcome in zip(tasks, spread(played, tasks, file), strict=True):
        outcomes.setdefault((task.setting, task.kind, task.policy), []).append(outcome)
    return TrackB(outcomes)


def _tasks(choice: Choice, file: str) -> list[Task]:
    """Policies of one world one after the other, so that its best is looked for once."""
    where = [kind for kind in WHERE if kind in choice.kinds]
    other_plans = OTHERS if choice.other_seeds else {}
    others = dict(zip(other_plans, spread(Plan.calibrated, list(other_plans.values()), file), strict=True))
    blocks = [
        (MAIN, choice.plan, choice.kinds, (OURS, *choice.peers), choice.seeds),
        (MAIN, choice.plan, where, tuple(SLOW), choice.slow_seeds),
        *((name, plan, where, AGAINST, choice.other_seeds) for name, plan in others.items()),
    ]
    return [
        Task(setting, plan, kind, policy, seed)
        for setting, plan, kinds, policies, seeds in blocks
        for kind in kinds
        for seed in range(choice.first, choice.first + seeds)
        for policy in policies
    ]
