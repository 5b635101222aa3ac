"""The audit of a recorded campaign as a page: a story, the decision taken again, other thresholds, one file."""

import asyncio
import json
import re
from html import unescape
from itertools import pairwise
from pathlib import Path

import pytest

from audit.decision import find
from audit.outcome import outcome
from audit.recompute import is_decision
from audit.replay import under
from judgement.history import fold
from schemas.base import canonical_json
from services.console.web import audit
from services.console.web.charts import gauge
from services.console.web.decision_page import causality
from tests.unit.recorded_log import RecordedLog, browser, recorded

RECORDED = Path(__file__).parents[3] / "recorded" / "demo.jsonl"


@pytest.fixture(scope="module")
def store():
    return recorded(RECORDED)


@pytest.fixture(scope="module")
def campaign(store):
    return store.envelopes[0].correlationid


@pytest.fixture(scope="module")
def shift(store):
    """The first policy after a drift."""
    drift = next(x for x in store.envelopes if x.type == "DriftDetected")
    return next(x for x in store.envelopes if x.type == "PolicyUpdated" and x.sequence > drift.sequence)


def text(page):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def touched(store):
    """The log with ten points more in the first candidate's dev score."""
    at = next(i for i, x in enumerate(store.envelopes) if x.type == "ScoresReported" and x.data["candidate"] == "r1s0")
    data = json.loads(canonical_json(store.envelopes[at].data))
    for score in (data["scores"], *data["scores"]["domains"].values()):
        score["score"] = min(1.0, score["score"] + 0.1)
    return RecordedLog([x if i != at else x.model_copy(update={"data": data}) for i, x in enumerate(store.envelopes)])


def test_every_decision_has_a_page(store, campaign):
    page = browser(store).get(f"/audit/{campaign}").text
    kinds = {x.type: x for x in store.envelopes if is_decision(x)}
    for envelope in kinds.values():
        address = f"/audit/{campaign}/{envelope.id}"
        assert address in page
        assert envelope.type in browser(store).get(address).text


def test_a_shift_is_told_from_belief_to_verdict(store, campaign, shift):
    page = browser(store).get(f"/audit/{campaign}/policy:{shift.event.policy.version}").text
    parts = ("Belief before", "Evidence", "Drift test", "Changes", "Outcome")
    places = [page.index(f"<h2>{part}</h2>") for part in parts]
    assert places == sorted(places)
    told = text(page)
    assert shift.event.why in told
    for said in shift.event.changed:
        assert said in told
    assessed = next(x.event for x in store.envelopes if x.type == "DriftAssessed")
    assert f"drift is declared from {assessed.threshold:.3g}" in told


def test_the_evidence_is_drawn_for_each_domain(store, campaign, shift):
    page = browser(store).get(f"/audit/{campaign}/{shift.id}").text
    for domain in (*store.envelopes[0].event.campaign.constitution.domains, "all"):
        assert f'<title id="domain-{domain}">' in page
        assert f'<details id="numbers-{domain}">' in page


def test_nothing_later_than_its_basis_counts_as_evidence(store, campaign, shift):
    page = browser(store).get(f"/audit/{campaign}/{shift.id}").text
    evidence = page[page.index("<h2>Evidence</h2>") : page.index("<h2>Drift test</h2>")]
    later = {x.data["candidate"] for x in store.envelopes if x.type == "RecipeProposed" and x.sequence > shift.sequence}
    assert later
    assert not [name for name in later if name in evidence]


def test_the_bar_reaches_the_threshold_only_where_the_test_does(store):
    assessed = next(x.event for x in store.envelopes if x.type == "DriftAssessed")
    for factor in (0.0, 0.5, assessed.threshold * 0.9, assessed.threshold, 1e9):
        bar = gauge(assessed.model_copy(update={"bayes_factor": factor}))
        assert bar.reached == (bar.start + bar.width >= bar.threshold) == (factor >= assessed.threshold)


def test_recomputing_says_identical(store, campaign, shift):
    answer = browser(store).get(f"/audit/{campaign}/{shift.id}/again", headers={"X-Part": "yes"})
    assert "identical: " in answer.text
    assert "<html" not in answer.text


def test_without_script_the_answer_is_a_page(store, campaign, shift):
    answer = browser(store).get(f"/audit/{campaign}/{shift.id}/again")
    assert "identical: " in answer.text
    assert answer.text.startswith("<!doctype html>")


def test_recomputing_on_touched_evidence_says_where_it_differs(store, campaign, shift):
    answer = browser(touched(store)).get(f"/audit/{campaign}/{shift.id}/again")
    assert "DIFFERENT in" in answer.text
    assert "<code>basis.digest</code>" in answer.text


def test_another_threshold_is_answered_as_by_the_command(store, campaign):
    found = under(store.envelopes, {"drift.threshold": "1e+10"})
    assert found.findings
    answer = text(browser(store).get(f"/audit/{campaign}/what-if?exponent=10", headers={"X-Part": "yes"}).text)
    assert "from Bayes factor 10,000,000,000:" in answer
    for round_, words in found.findings:
        assert f"round {round_}: {words}" in answer
    for proposal in found.proposals:
        assert proposal.recorded in answer
        assert proposal.same or proposal.then in answer


def test_the_threshold_in_force_changes_nothing(store, campaign):
    page = browser(store).get(f"/audit/{campaign}/policy:0").text
    assert 'type="range"' in page
    law = store.envelopes[0].event.campaign.constitution
    assert under(store.envelopes, {"drift.threshold": f"{law.drift.threshold:.17g}"}).findings == []


@pytest.mark.parametrize("given", ["", "x", "nan", "-1", "0", "13", "inf"])
def test_a_threshold_that_cannot_be_is_told(store, campaign, given):
    answer = browser(store).get(f"/audit/{campaign}/what-if?exponent={given}")
    assert answer.status_code == 400
    assert "exponent: " in answer.text


def test_the_file_to_keep_needs_nothing_else(store, campaign, shift):
    answer = browser(store).get(f"/audit/{campaign}/{shift.id}/export")
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert not re.findall(r'(?:href|src|action)="', answer.text)
    assert not re.findall(r"<script|@import|url\(", answer.text)
    assert "identical: " in answer.text
    assert shift.event.why in unescape(answer.text)


def walk(node):
    yield node
    for effect in node.effects:
        yield from walk(effect)


def test_the_graph_holds_each_cause_and_ends_at_the_next_policy(store, shift):
    nodes = list(walk(causality(store.envelopes, shift)))
    assert nodes[0].envelope.type == "CampaignStarted"
    assert [n.envelope.id for n in nodes if n.here] == [shift.id]
    ids = [n.envelope.id for n in nodes]
    assert len(ids) == len(set(ids))
    for node in nodes:
        assert all(effect.envelope.causationid == node.envelope.id for effect in node.effects)
    after = [n.envelope for n in nodes if n.envelope.type == "PolicyUpdated" and n.envelope.sequence > shift.sequence]
    assert len(after) <= 1


def test_what_follows_one_from_the_other_is_one_list(store, campaign, shift):
    graph = causality(store.envelopes, shift)
    spine = graph.chain
    assert shift.id in [step.envelope.id for step in spine], "the way to the decision is never indented"
    for cause, effect in pairwise(spine):
        assert cause.effects == (effect,)
    assert len(spine[-1].effects) != 1
    page = browser(store).get(f"/audit/{campaign}/{shift.id}").text
    listed = re.findall(r'<span class="quiet">(\d+)</span>', page.partition('id="graph"')[2].partition("</details>")[0])
    assert sorted(map(int, listed)) == sorted(node.envelope.sequence for node in walk(graph))


def test_the_verdict_is_out_until_a_round_has_ended(store, campaign, shift):
    begun = [x for x in store.envelopes if x.sequence <= shift.sequence + 3]
    said = outcome(fold(campaign, begun), begun, find(begun, str(shift.id)))
    assert said.words == ("No round has ended since: the verdict is still out.",)


def test_the_verdict_names_the_winner_and_what_became_of_each_drift(store, campaign, shift):
    said = " ".join(outcome(fold(campaign, store.envelopes), store.envelopes, shift).words)
    end = store.envelopes[-1].event
    assert f"{end.winner} won" in said
    cleared = {x.event.scope for x in store.envelopes if x.type == "DriftCleared"}
    for distrust in shift.event.policy.distrusted:
        again = f"Dev in {distrust.scope} was believed again"
        assert (again in said) == (distrust.scope in cleared)


def test_an_unknown_decision_or_campaign_is_told(store, campaign):
    assert "names 0 decisions" in unescape(browser(store).get(f"/audit/{campaign}/policy:99").text)
    assert browser(store).get("/audit/no-such/policy:1").status_code == 404


async def test_pages_are_served_while_a_decision_is_taken_again():
    import threading

    go = threading.Event()
    waiting = asyncio.create_task(audit.in_background(lambda: go.wait(20)))
    await asyncio.sleep(0)
    go.set()  # the loop runs on: it could not set this, if it were waiting itself
    assert await waiting is True
    assert audit._THREAD._max_workers == 1
