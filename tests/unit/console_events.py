"""A small recorded campaign, written event by event, for the tests of the console."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from schemas import events as e
from schemas.campaign import Campaign, Substrate
from schemas.envelope import Envelope, campaign_stream, candidate_stream, round_stream
from schemas.evidence import Basis, Calibration, Contrast, Coverage, ScopeAssessment, Submission
from schemas.policy import AxisBelief, Distrust, Estimate, Policy
from schemas.recipe import Recipe, differences
from schemas.scores import Cost, DomainScore, Receipt, Scores, Stamp
from services.console.campaign_file import load
from tests.unit.loopworld import source_of

DEMO = Path(__file__).parents[2] / "deploy/campaigns/demo.yaml"
CAMPAIGN = "demo-abcdefgh"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SHA = "0" * 64
BASIS = Basis(position=0, digest=SHA, seed=0)
STAMP = Stamp(engine="x", harness="y", max_new_tokens=96, max_length=256, template_sha256=SHA, precision="float32")
RECEIPT = Receipt(uri="receipts/x", sha256=SHA)


class Log:
    """Envelopes in order; `at` is the second of the campaign at which the next event happens."""

    def __init__(self, campaign: Campaign | None = None, id_: str = CAMPAIGN):
        self.campaign, self.id, self.at = campaign or load(DEMO).model_copy(update={"recipe": Recipe()}), id_, 0.0
        self.envelopes: list[Envelope] = []

    def say(self, subject: str, event, at: float | None = None):
        self.at = self.at + 1 if at is None else at
        version = 1 + sum(x.subject == subject for x in self.envelopes)
        n = len(self.envelopes) + 1
        self.envelopes.append(
            Envelope(
                id=UUID(int=n),
                source=source_of(event),
                type=type(event).__name__,
                subject=subject,
                time=BEGIN + timedelta(seconds=self.at),
                sequence=n,
                stream_version=version,
                correlationid=self.id,
                data=event.model_dump(mode="json"),
            )
        )

    def start(self):
        substrate = Substrate(base_sha256=SHA, code_sha256=SHA, base_uri="base", active_parameters=360_000)
        self.say(
            campaign_stream(self.id),
            e.CampaignStarted(
                campaign=self.campaign, constitution_sha256=self.campaign.constitution_sha256, substrate=substrate
            ),
        )

    def policy(
        self, round_: int, standing_from="base", standing=None, changed=(), distrusted=(), mode="recipe stabilisation"
    ):
        axes = tuple(
            AxisBelief(knob=a.knob, values=a.values, probabilities=tuple(1 / len(a.values) for _ in a.values))
            for a in self.campaign.constitution.space
        )
        policy = Policy(
            version=round_ - 1,
            round=round_,
            standing=standing or self.campaign.recipe,
            standing_from=standing_from,
            axes=axes,
            distrusted=distrusted,
            mode=mode,
        )
        why = f"{standing_from} stands because its target is higher."
        self.say(campaign_stream(self.id), e.PolicyUpdated(policy=policy, changed=tuple(changed), why=why, basis=BASIS))

    def propose(self, round_: int, slot: int, standing: Recipe, **changes) -> Recipe:
        recipe = standing
        for knob, value in changes.items():
            recipe = recipe.replace(knob, value)
        named = differences(standing, recipe, tuple(changes))
        self.say(
            self.of(round_, slot),
            e.RecipeProposed(
                round=round_,
                slot=slot,
                candidate=f"r{round_}s{slot}",
                recipe=recipe,
                changes=named,
                intervention=" + ".join(c.name for c in named) or "anchor",
                predicted=Estimate(mean=0.0, sd=0.1),
                compute=1.0,
                snapshot=SHA,
                seed=1,
                basis=BASIS,
            ),
        )
        return recipe

    def of(self, round_: int, slot: int) -> str:
        return candidate_stream(self.id, f"r{round_}s{slot}")

    def train(self, round_: int, slot: int, begin: float, end: float, attempt: int = 1):
        name = f"r{round_}s{slot}"
        self.say(self.of(round_, slot), e.TrainingStarted(candidate=name, attempt=attempt, worker="w"), at=begin)
        coverage = Coverage(modules={"q_proj": 2}, trainable=10, moved=2)
        cost = Cost(tokens=1000, compute=3.6e8, seconds=end - begin, device_seconds=end - begin)
        trained = e.CheckpointTrained(
            candidate=name, attempt=attempt, uri="a", sha256=SHA, coverage=coverage, loss=0.5, cost=cost
        )
        self.say(self.of(round_, slot), trained, at=end)

    def fail(self, round_: int, slot: int, *, terminal=True):
        name = f"r{round_}s{slot}"
        self.say(self.of(round_, slot), e.TrainingStarted(candidate=name, attempt=1, worker="w"))
        failed = e.TrainingFailed(
            candidate=name, attempt=1, error="OutOfMemory", message="m", terminal=terminal, cost=Cost(seconds=1.0)
        )
        self.say(self.of(round_, slot), failed)

    def score(
        self, candidate: str, kind: str, score: float, n: int = 600, seconds: float = 2.0, at: float | None = None
    ):
        domains = self.campaign.constitution.domains
        one = DomainScore(score=score, se=(score * (1 - score) / (n / len(domains))) ** 0.5, n=n // len(domains))
        total = Scores(score=score, se=(score * (1 - score) / n) ** 0.5, n=n, domains=dict.fromkeys(domains, one))
        reported = e.ScoresReported(
            candidate=candidate, kind=kind, scores=total, receipt=RECEIPT, stamp=STAMP, cost=Cost(seconds=seconds)
        )
        self.say(candidate_stream(self.id, candidate), reported, at=at)

    def choose(self, round_: int, *candidates: str, final: tuple[str, ...] = ()):
        chosen = tuple(Submission(candidate=c, reason=f"{c} is promising") for c in candidates)
        last = tuple(Submission(candidate=c, reason="last") for c in final)
        event = e.SubmissionsChosen(
            round=round_, closed_by="complete", confirm=chosen, external=chosen, final=last, basis=BASIS
        )
        self.say(round_stream(self.id, round_), event)

    def scope(self, scope="all", bayes=40.0, direction="inflated"):
        return ScopeAssessment(
            scope=scope,
            direction=direction,
            bayes_factor=bayes,
            posterior=bayes / (1 + bayes),
            level=0.1,
            slope=Estimate(mean=0.0, sd=0.1),
            highest_dev=Contrast(candidate="r1s0", dev=0.4, target=0.0),
            highest_target=Contrast(candidate="r1s0", dev=0.4, target=0.0),
        )

    def assess(self, round_: int, bayes: float, *, detected=False, cleared=False):
        assessed = e.DriftAssessed(
            round=round_,
            bayes_factor=bayes,
            posterior=bayes / (1 + bayes),
            threshold=10.0,
            scopes=(self.scope(bayes=bayes),),
            calibration=Calibration(offset=Estimate(mean=-0.1, sd=0.02), slope=Estimate(mean=0.3, sd=0.1)),
            gap=None,
            evidence=("r1s1",),
            words="Dev rose by 40 points where the target stood still.",
            basis=BASIS,
        )
        stream = round_stream(self.id, round_)
        self.say(stream, assessed)
        if detected:
            found = e.DriftDetected(
                round=round_,
                assessment=self.scope(bayes=bayes),
                threshold=10.0,
                evidence=("r1s1",),
                words="Dev no longer tracks the target.",
                basis=BASIS,
            )
            self.say(stream, found)
        if cleared:
            self.say(stream, e.DriftCleared(round=round_, scope="all", bayes_factor=bayes, words="Gone.", basis=BASIS))

    def finish(self, winner: str, gain: float = 0.17):
        event = e.CampaignFinished(
            winner=winner, gain=Estimate(mean=gain, sd=0.02), why=f"{winner} has the best target.", basis=BASIS
        )
        self.say(campaign_stream(self.id), event)


def two_rounds() -> Log:
    """A round that is misled, a drift, and a round that finds the target; one candidate of each round fails."""
    log = Log()
    first = log.campaign.recipe
    log.start()
    for kind, score in (("dev", 0.25), ("external", 0.17)):
        log.score("base", kind, score, at=10)
    log.policy(1)
    first_changes: tuple[dict[str, Any], ...] = ({}, {"traces": 1.0}, {"steps": 400}, {"lr": 6e-3})
    for slot, changes in enumerate(first_changes):
        log.propose(1, slot, first, **changes)
    log.train(1, 0, 20, 30)
    log.train(1, 1, 25, 40)
    log.train(1, 2, 30, 50)
    log.fail(1, 3)
    for slot, dev in enumerate((0.37, 0.62, 0.41)):
        log.score(f"r1s{slot}", "dev", dev)
    log.choose(1, "r1s1", "r1s2")
    for candidate, score in (("r1s1", 0.20), ("r1s2", 0.15)):
        log.score(candidate, "confirm", 0.6)
        log.score(candidate, "external", score)
    log.assess(1, 55.0, detected=True)
    traced = first.replace("traces", 1.0)
    distrust = (Distrust(scope="all", direction="inflated", level=0.1, since=1),)
    log.policy(2, "r1s1", traced, ["Traces stay on.", "Dev counts up to 10 points."], distrust, "proxy-aware")
    harder = {"difficulty": (1.0, 2.0, 0.5), "wordings": (1.0, 1.0, 1.0)}
    second_changes: tuple[dict[str, Any], ...] = ({}, harder, {"rank": 32})
    for slot, changes in enumerate(second_changes):
        log.propose(2, slot, traced, **changes)
    log.train(2, 0, 80, 95)
    log.train(2, 1, 80, 100)
    log.score("r2s0", "dev", 0.61)
    log.score("r2s1", "dev", 0.49)
    log.choose(2, "r2s1")
    log.score("r2s1", "confirm", 0.5)
    log.score("r2s1", "external", 0.34)
    log.assess(2, 80.0)
    return log


def finished() -> Log:
    """The two rounds, with the final query and the end."""
    log = two_rounds()
    log.choose(2, final=("base", "r2s1"))
    log.score("base", "final", 0.17)
    log.score("r2s1", "final", 0.34)
    log.finish("r2s1")
    return log
