"""A board that answers after the round has closed: its score counts in the next one, and is told even after the end."""

from __future__ import annotations

import threading

import pytest

from audit.exposure import exposures
from audit.projections import check
from schemas.campaign import Budget
from schemas.recipe import Recipe
from schemas.targets import BoardTarget
from tests.board_server import Board, serving
from tests.brokers import broker
from tests.cluster import Cluster, log_of, until
from tests.conftest import PASSWORDS
from tests.unit.loopworld import World, campaign

BUDGET = Budget(external_queries=9, external_per_round=2, confirm_per_round=2, board_seconds=3)
PATIENCE = 120


@pytest.fixture
def board():
    with serving(Board()) as its_board:
        yield its_board


def worth(submission):
    """What the small world says of a submission."""
    config = submission.config()
    recipe = Recipe.model_validate(config["recipe"]) if "recipe" in config else None
    return {"score": World().scores(submission.candidate, recipe, "external", config.get("seed", 0)).score}


@pytest.fixture
def late(board):
    """The board, which scores whom it is open to."""
    board.score = worth
    board.open = {"base"}
    board.everybody = threading.Event()

    def delay(submission):
        return 0.0 if board.everybody.is_set() or submission.candidate in board.open else float("inf")

    board.delay = delay
    return board


def against(board):
    """A campaign whose target is the board."""
    target = BoardTarget(url=board.url, items=600, poll_seconds=0.2)
    return campaign(rounds=2, budget=BUDGET, target=target)


@pytest.fixture
async def cluster(database, tmp_path):
    with broker(tmp_path / "broker") as its_broker:
        services = Cluster(tmp_path / "cluster", database, PASSWORDS, its_broker)
        services.start()
        yield services
        services.stop()


async def test_a_score_that_comes_late_counts_from_the_next_assessment_on_and_after_the_end_is_still_told(
    cluster, stores, late
):
    console = await stores("console")
    await cluster.begin(console, "late", against(late))
    history = await until(console, "late", lambda h: 1 in h.assessments, PATIENCE)
    asked = [s.candidate for s in history.submissions[1].external]
    assert asked
    assert {t.candidate for t in history.measured("external")} == {"base"}
    assert history.assessments[1].evidence == ()
    late.open = {"base", *asked}  # an hour later, so to say
    history = await until(console, "late", lambda h: all("external" in h.trials[c].scores for c in asked), PATIENCE)
    assert 2 not in history.assessments
    history = await until(console, "late", lambda h: 2 in h.assessments, PATIENCE)
    assert set(history.assessments[2].evidence) == set(asked)

    history = await until(console, "late", lambda h: h.finished is not None, PATIENCE)
    last = [s.candidate for s in history.submissions[2].external if s.candidate not in asked]
    assert last
    assert not any("external" in history.trials[c].scores for c in last)
    end = history.position
    late.everybody.set()
    history = await until(console, "late", lambda h: all("external" in h.trials[c].scores for c in last), PATIENCE)
    after = [e.type for e in await log_of(console, "late") if e.sequence > end]
    assert after == ["ScoresReported"] * len(last)
    assert len(late.held) == history.reserved("external") == 1 + len(asked) + len(last)
    assert [r.split()[0] for r in late.requests].count("PUT") == len(late.held)
    ledger = {x.candidate: x.state for x in exposures(await log_of(console, "late")) if x.kind == "external"}
    assert ledger == {"base": "answered", **dict.fromkeys([*asked, *last], "late")}
    assert (await check(console)).deviations == []
