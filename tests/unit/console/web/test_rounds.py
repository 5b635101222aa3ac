"""The rounds of a recorded campaign as a page: picture and table agree, and nothing sealed is shown."""

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgement.history import fold
from schemas import events as e
from schemas.envelope import candidate_stream
from schemas.scores import Receipt
from services.console.report.data import ROUND_EVENTS, course
from services.console.report.text import percent
from services.console.web.charts import Scale, around, rounds_chart
from services.console.web.rounds import samples
from services.oracle.receipts import Line, write
from tests.typed import there
from tests.unit.console_events import CAMPAIGN, finished, two_rounds
from tests.unit.recorded_log import RecordedLog, browser, recorded

RECORDED = Path(__file__).parents[3] / "recorded" / "demo.jsonl"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def store():
    return recorded(RECORDED)


@pytest.fixture(scope="module")
def campaign(store):
    return store.envelopes[0].correlationid


@pytest.fixture(scope="module")
def report(store, campaign):
    return course(fold(campaign, store.envelopes), store.envelopes)


def text(page):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_the_course_needs_no_other_events_than_it_says(store, campaign, report):
    few = [x for x in store.envelopes if x.type in ROUND_EVENTS]
    assert course(fold(campaign, store.envelopes), few) == report


def test_the_page_shows_every_candidate_in_the_picture_and_its_numbers_in_a_table(store, campaign, report):
    page = browser(store).get(f"/rounds/{campaign}").text
    table = text(page[page.index('<details id="numbers">') : page.index("</details>")])
    candidates = [c for r in report["rounds"] for c in r["candidates"]]
    assert candidates
    for c in candidates:
        assert f"{c['candidate']} {percent(c['dev'])}" in table
        if c["external"]:
            assert percent(c["external"]) in table
            assert f">{c['candidate']}</text>" in page


def test_the_picture_says_what_it_shows(store, campaign, report):
    page = browser(store).get(f"/rounds/{campaign}").text
    title, words = there(re.search(r'role="img" aria-labelledby="(\S+) (\S+)"', page)).groups()
    assert f'<title id="{title}">' in page
    described = page[page.index(f'<desc id="{words}">') :]
    for round_ in report["rounds"]:
        for found in round_["drift"]["detected"]:
            assert found["assessment"]["scope"] in described[: described.index("</desc>")]


def test_drifts_and_policies_are_marked_on_the_axis(report):
    chart = rounds_chart(report)
    detected = sum(len(r["drift"]["detected"]) for r in report["rounds"])
    assert sum(n.kind == "drift" and n.text.startswith("drift: ") for n in chart.notes) == detected
    versions = [r["policy"]["version"] for r in report["rounds"] if r["policy"]]
    assert [n.text.split(":")[0] for n in chart.notes if "policy v" in n.text] == [f"policy v{v}" for v in versions]


def test_every_score_lies_within_its_error_bar_and_the_picture(report):
    chart = rounds_chart(report)
    assert all(m.top < m.y < m.bottom and 0 < m.x < chart.width and m.bottom < chart.height for m in chart.marks)


@pytest.mark.parametrize("make", [two_rounds, finished], ids=lambda make: make.__name__)
def test_a_campaign_can_be_looked_at_at_every_stage(make):
    envelopes = make().envelopes
    for length in range(1, len(envelopes) + 1):
        held = browser(RecordedLog(envelopes[:length]))
        assert held.get(f"/rounds/{CAMPAIGN}").status_code == 200


def test_before_anything_is_measured_the_axis_shows_all_percents():
    begun = two_rounds().envelopes[:1]
    chart = rounds_chart(course(fold(CAMPAIGN, begun), begun))
    assert not chart.marks
    assert [text for _, text in chart.ticks] == ["0", "20", "40", "60", "80", "100"]


def test_a_loss_is_shown_while_it_trains():
    log = two_rounds()
    log.say(candidate_stream(CAMPAIGN, "r2s2"), e.TrainingStarted(candidate="r2s2", attempt=1, worker="w"))
    store = RecordedLog(log.envelopes)
    store.live = {candidate_stream(CAMPAIGN, "r2s2"): {"step": 7, "steps": 100, "loss": 1.5}}
    page = browser(store).get(f"/rounds/{CAMPAIGN}").text
    assert "training 7/100" in page
    assert "1.500" in page


def test_what_keeps_a_rounds_data_away_is_told_as_text():
    store = RecordedLog(two_rounds().envelopes)
    store.live = {f"{CAMPAIGN}/round/2": {"error": "SourceFailed", "message": f"paths: no file is called {HOSTILE}"}}
    page = browser(store).get(f"/rounds/{CAMPAIGN}").text
    assert "round 2 has no data yet: SourceFailed: paths: no file" in page
    assert HOSTILE not in page
    assert HOSTILE in unescape(page)


def test_a_page_is_drawn_anew_when_the_campaign_has_moved_and_only_then(monkeypatch):
    log = two_rounds()
    store = RecordedLog(log.envelopes[:-1])
    held, reads, read = browser(store), [], store.read

    def listening(**part):
        reads.append(part)
        return read(**part)

    monkeypatch.setattr(store, "read", listening)
    address = f"/rounds/{CAMPAIGN}"
    first, drawing = held.get(address).text, len(reads)
    again, looking = held.get(address).text, len(reads) - drawing
    assert again == first
    assert looking == 1, "of what is new, and nothing else"
    store.envelopes.append(log.envelopes[-1])
    assert held.get(address).text != first
    now = held.get(address).text
    store.live = {candidate_stream(CAMPAIGN, "r2s2"): {"step": 7, "steps": 100, "loss": 1.5}}
    assert held.get(address).text != now


def test_a_candidate_shows_its_recipe_with_what_differs(store, campaign):
    proposed = [x.event for x in store.envelopes if x.type == "RecipeProposed" and x.event.changes]
    page = text(browser(store).get(f"/rounds/{campaign}/{proposed[0].candidate}").text)
    for change in proposed[0].changes:
        assert change.knob in page
    receipt = next(
        x.event.receipt
        for x in store.envelopes
        if x.type == "ScoresReported" and x.event.candidate == proposed[0].candidate
    )
    assert receipt.sha256 in page


def test_an_unknown_candidate_is_not_found(store, campaign):
    answer = browser(store).get(f"/rounds/{campaign}/r9s9")
    assert answer.status_code == 404
    assert "r9s9" in answer.text
    assert browser(store).get("/rounds/no-such").status_code == 404


@pytest.fixture
def answered(store, campaign, tmp_path):
    """The recorded campaign with receipts on this machine: each names its set in every answer."""
    scored = [x for x in store.envelopes if x.type == "ScoresReported"]
    held = {x.id: _answered(x, tmp_path / "receipts") for x in scored}
    return RecordedLog([held.get(x.id, x) for x in store.envelopes]), [x.event for x in held.values()], tmp_path


def _answered(envelope, folder):
    """A score with a receipt of three hostile answers, the first of them wrong."""
    name, kind = envelope.data["candidate"], envelope.data["kind"]
    output = f"{HOSTILE} the answers of {kind}"
    lines = [Line(domain="bits", item=f"{name}{n}", output=output, correct=n > 0, answer="0" * 64) for n in range(3)]
    return envelope.model_copy(update={"data": {**envelope.data, "receipt": write(lines, folder).model_dump()}})


def test_a_hostile_answer_is_shown_as_text(answered, campaign):
    store, _, artifacts = answered
    page = browser(store, artifacts).get(f"/rounds/{campaign}/base").text
    assert HOSTILE not in page
    assert HOSTILE in unescape(page)
    tags = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append(tag)

    Parser().feed(page)
    assert "img" not in tags


def test_only_answers_on_dev_are_shown(answered, campaign):
    store, scored, artifacts = answered
    for name in {event.candidate for event in scored}:
        page = browser(store, artifacts).get(f"/rounds/{campaign}/{name}").text
        assert "the answers of dev" in page
        for kind in ("confirm", "external", "final"):
            assert f"the answers of {kind}" not in page


@pytest.mark.parametrize("kind", ["confirm", "external", "final"])
def test_a_sealed_receipt_is_never_opened_for_samples(answered, kind):
    _, scored, _ = answered
    event = next(event for event in scored if event.kind == kind)
    with pytest.raises(ValueError, match="sealed"):
        samples(event, [])


def test_a_receipt_that_was_altered_shows_nothing_but_that(answered):
    _, scored, _ = answered
    event = next(event for event in scored if event.kind == "dev")
    Path(event.receipt.uri).write_text("{}\n")
    assert "its hash is" in samples(event, [])


def test_a_receipt_that_is_elsewhere_is_said_to_be(answered):
    _, scored, _ = answered
    event = scored[0].model_copy(update={"kind": "dev", "receipt": Receipt(uri="/none/x.jsonl", sha256="0" * 64)})
    assert samples(event, []) == "The receipt is not on this machine: /none/x.jsonl"


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.integers(2, 10))
def test_ticks_are_round_and_within_the_scale(low, span, wanted):
    ticks = Scale(low, low + span, 0, 100).ticks(wanted)
    assert all(low - 1e-6 <= tick <= low + span + 1e-6 for tick in ticks)
    assert len(ticks) <= wanted + 2


@given(st.lists(st.floats(0, 100), max_size=8))
def test_a_scale_holds_its_values(values):
    scale = around(values, 0.0, 100.0)
    assert all(-0.1 <= scale(value) <= 100.1 for value in values)


def test_a_receipt_in_a_store_that_cannot_be_asked_shows_nothing_but_that(answered):
    _, scored, _ = answered
    event = scored[0].model_copy(update={"kind": "dev", "receipt": Receipt(uri="nope://b/x.jsonl", sha256="0" * 64)})
    assert str(samples(event, [])).startswith("nope://b/x.jsonl: no library for it is installed")
