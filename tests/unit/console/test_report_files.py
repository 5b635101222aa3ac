import json

import pytest

from judgement.history import fold
from services.console.report.data import Clock, build
from services.console.report.marks import place, standing
from services.console.report.text import markdown
from services.console.report.write import write
from tests.unit.console_events import CAMPAIGN, DEMO, Log, finished, two_rounds


def data(log):
    return build(fold(CAMPAIGN, log.envelopes), log.envelopes, Clock())


def only_started():
    log = Log()
    log.start()
    return log


@pytest.mark.parametrize("log", [only_started, two_rounds, finished], ids=lambda make: make.__name__)
def test_the_three_files_are_written_at_every_stage(tmp_path, log):
    write(tmp_path / "new", CAMPAIGN, log().envelopes, Clock)
    assert json.loads((tmp_path / "new/report.json").read_text())["campaign"] == CAMPAIGN
    assert (tmp_path / "new/report.md").read_text().startswith(f"# Campaign {CAMPAIGN}")
    assert (tmp_path / "new/report.png").read_bytes().startswith(b"\x89PNG")


def test_the_clock_is_read_after_the_drawing(tmp_path):
    seen = []

    def clock():
        seen.append((tmp_path / "report.png").exists())
        return Clock()

    write(tmp_path, CAMPAIGN, finished().envelopes, clock)
    assert seen[-1] is True


def test_the_text_says_who_won_where_dev_misled_and_what_changed():
    text = markdown(data(finished()))
    assert "**r2s1** beats the base" in text
    assert "**+17.0 points**" in text
    assert "**Round 1.** Dev rose by 40 points where the target stood still." in text
    assert "| inflated | all | 55 to 1 | r1s0: dev +40.0, target +0.0 |" in text
    assert text.count("**declared now**") == 1
    assert "r1s1 has the highest dev and r2s1 the highest target score" in text
    assert "- Traces stay on." in text
    assert "| r1s3 | lr=0.006 | failed: OutOfMemory | - | - |" in text


def test_the_text_does_not_claim_what_is_not_so():
    text = markdown(data(two_rounds()))
    assert "not finished" in text
    assert "beats the base" not in text
    log = two_rounds()
    log.finish("base", gain=0.0)
    assert "No candidate is better than the base" in markdown(data(log))
    log = two_rounds()
    log.finish("r2s1", gain=0.03)
    assert "ahead of the base on the final set, which was asked once, but within chance" in markdown(data(log))


def test_a_null_twin_is_named():
    from services.console.campaign_file import load

    log = Log(load(DEMO, null_twin=True))
    log.start()
    assert "null twin" in markdown(data(log))


def test_the_line_goes_through_the_recipes_that_stood():
    assert [trial.get("candidate", "base") for _, trial in standing(data(finished()))] == ["base", "r1s1", "r2s1"]


@pytest.mark.parametrize("slots", [2, 4, 8])
def test_candidates_stand_side_by_side_inside_their_round(slots):
    places = [place(3, slot, slots) for slot in range(slots)]
    assert places == sorted(set(places))
    assert 2.6 < places[0] < 3 < places[-1] < 3.4
    assert places[0] + places[-1] == pytest.approx(6)
