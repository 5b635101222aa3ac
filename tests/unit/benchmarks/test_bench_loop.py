"""What the benchmark of the real loop makes of its campaigns' reports."""

import json

import pytest
import yaml

from benchmarks.loop import __main__ as loop
from benchmarks.loop.results import Results, alarms, final, lost_shares
from benchmarks.loop.runs import Run, planned, played, shortened
from schemas.campaign import Campaign


def report(score, alarms=0, *, base=False):
    scores = {"score": score}
    return {
        "winner": {"final": None if base else scores},
        "base": {"final": scores},
        "rounds": [
            {"drift": {"detected": ["drift"] * alarms}, "data": data(3)},
            {"drift": {"detected": []}, "data": data(4)},
            {"drift": {"detected": []}, "data": data(9, reused=True)},
            {"drift": {"detected": []}, "data": None},
        ],
        "cost": {"tokens": 900},
        "seconds": {"train": 9.0},
    }


def data(lost, *, reused=False):
    sources = [{"source": "mine", "lost_share": lost / 100}, {"source": "whole", "lost_share": 0.0}]
    return {"sources": sources, "reused": reused}


def results(ours, greedy, drift=(1, 1), null=(0, 0)):
    runs = {Run("trust", s): record(v, a) for s, (v, a) in enumerate(zip(ours, drift, strict=True))}
    runs |= {Run(name, s): record(v) for name in ("dev_greedy", "random") for s, v in enumerate(greedy)}
    return Results(runs | {Run("trust", s, null_twin=True): record(0.5, a) for s, a in enumerate(null)})


def play(run, *_, **__):
    return {
        **report(0.5),
        "winner": dict.fromkeys(("candidate", "recipe", "dev", "external")) | {"final": {"score": 0.5}},
        **dict.fromkeys(("campaign", "external_queries", "constitution_sha256")),
        "seed": run.seed,
        "null_twin": run.null_twin,
        "gain": {"mean": 0.1, "sd": 0.01},
    }


def record(final, alarms=0):
    return {"final": final, "alarms": alarms}


def test_every_campaign_is_the_demo_with_one_difference_and_the_same_budget():
    runs = list(planned(2))
    assert len(runs) == len({run.name for run in runs}) == 8
    laws = [Campaign.model_validate(run.campaign()).constitution for run in runs]
    assert len({law.budget.model_dump_json() for law in laws}) == 1
    assert {law.search for law in laws} == {"trust", "dev_greedy", "random"}
    assert {(law.rounds, law.candidates) for law in laws} == {(laws[0].rounds, laws[0].candidates)}


def test_the_base_is_the_final_choice_where_nothing_beat_it():
    assert final(report(0.3)) == final(report(0.3, base=True)) == 0.3
    assert alarms(report(0.3, alarms=2)) == 2


def test_lost_shares_are_counted_once_where_data_is_reused():
    assert lost_shares(report(0.3)) == {"mine": 0.04, "whole": 0.0}


def test_a_lead_counts_only_with_its_whole_interval():
    ahead = next(f for f in results((0.30, 0.31), (0.20, 0.20)).figures() if f.peer == "dev_greedy")
    assert ahead.ahead[0] == pytest.approx(0.105)
    assert ahead.met == (ahead.ahead[0] > ahead.ahead[1])
    behind = next(f for f in results((0.20, 0.31), (0.20, 0.20)).figures() if f.peer == "dev_greedy")
    assert not behind.met


def test_an_alarm_of_a_null_twin_misses_the_goal_and_four_of_five_alarms_meet_theirs():
    clean = results((0.3,) * 5, (0.2,) * 5, drift=(1, 1, 0, 2, 1), null=(0,) * 5).figures()
    assert [f.met for f in clean[:2]] == [True, True]
    loud = results((0.3,) * 5, (0.2,) * 5, drift=(1, 1, 0, 0, 1), null=(0, 0, 1, 0, 0)).figures()
    assert [f.met for f in loud[:2]] == [False, False]


def test_a_campaign_that_has_ended_is_read_and_not_run_again(tmp_path):
    home = tmp_path / "trust-3"
    home.mkdir()
    (home / "report.json").write_text(json.dumps(report(0.25)))
    assert final(played(Run("trust", 3), tmp_path)) == 0.25
    assert not (tmp_path / "trust-3.yaml").exists()


def test_the_file_of_a_campaign_can_be_loaded():
    whole = Run("random", 1).campaign()
    for campaign in (whole, shortened(whole)):
        Campaign.model_validate(yaml.safe_load(yaml.safe_dump(campaign)))


def test_short_campaigns_leave_the_figures_of_whole_ones_alone(tmp_path, monkeypatch):
    out = tmp_path / "loop.json"
    monkeypatch.setattr("sys.argv", ["loop", "--quick", "--out", str(out), "--folder", str(tmp_path / "runs")])
    monkeypatch.setattr(loop, "played", play)
    assert loop.main() == 0
    assert not out.exists()
    assert len(json.loads((tmp_path / "runs-quick" / "results.json").read_text())["campaigns"]) == 4


def test_a_campaign_of_an_earlier_result_file_is_not_run_again_unless_its_file_changed(tmp_path, monkeypatch, capsys):
    played_now = []

    def played(run, *_, **__):
        played_now.append(run.name)
        return play(run)

    monkeypatch.setattr(loop, "played", played)
    out = tmp_path / "loop.json"
    command = ["loop", "--seeds", "1", "--out", str(out), "--folder", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [*command, "--search", "trust"])
    assert loop.main() == 0
    assert played_now == ["trust-0", "null-trust-0"]

    records = json.loads(out.read_text())
    records["campaigns"]["null-trust-0"]["file_sha256"] = "of another file"
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps(records))
    played_now.clear()
    monkeypatch.setattr("sys.argv", [*command, "--earlier", str(earlier)])
    assert loop.main() == 0
    assert played_now == ["dev_greedy-0", "random-0", "null-trust-0"]
    assert "100 tokens/s, records lost: mine 4.0 %, whole 0.0 %" in capsys.readouterr().out
