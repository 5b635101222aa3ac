"""Every example runs to its report: shortened, and with a random model in place of the pretrained one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.chat_model import make_chat_model
from tests.processes import PATIENCE, until

EXAMPLES = Path(__file__).parents[2] / "examples"
AEVOLVE = (sys.executable, "-m", "services.console")
NOT_RUN = {"gsm8k": "its data set and its model are on a hub"}


def examples():
    return sorted(file.parent.name for file in EXAMPLES.glob("*/campaign.yaml"))


def shortened(name, base):
    """The example with few items, steps and rounds; its search keeps its axes."""
    campaign = yaml.safe_load((EXAMPLES / name / "campaign.yaml").read_text())
    campaign["model"] |= {"base": str(base), "max_length": 512, "max_new_tokens": 8}
    campaign["recipe"] |= {"steps": 2, "batch": 4, "rank": 2, "group": 4}
    law = campaign["constitution"]
    law |= {"rounds": 1, "candidates": 2}
    law["evaluation"] = {kind: {"items": 4} for kind in law["evaluation"]}
    law["budget"] |= {"external_queries": 2, "external_per_round": 1, "confirm_per_round": 1}
    law["drift"] = {"threshold": 2}
    for axis in law["space"]:
        if axis["knob"] in ("steps", "rank"):
            axis["values"] = [1, 2]
    for suite in law["suites"]:
        for scorer in suite.get("score", ()) if isinstance(suite.get("score"), list) else ():
            if scorer.get("match"):  # a random model never writes the rewarded form, and equal rewards teach nothing
                scorer["pattern"] = "[0-9]"
    for source in law["data"]["sources"]:
        if "rows_per_round" in source:
            source["rows_per_round"] = 40
    return campaign


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The reports of all examples, run side by side by one embedded system."""
    folder = tmp_path_factory.mktemp("examples")
    base, run = make_chat_model(folder / "chat"), folder / "run"
    names = [name for name in examples() if name not in NOT_RUN]
    environment = {**os.environ, "AEVOLVE_TASK_PATH": os.pathsep.join(str(EXAMPLES / name) for name in names)}
    output = (folder / "up.txt").open("w")
    up = subprocess.Popen([*AEVOLVE, "up", "--out", str(run)], env=environment, stdout=output, stderr=output)
    try:
        until(lambda: "start a campaign with" in (folder / "up.txt").read_text())
        ids = {}
        for name in names:
            file = folder / f"{name}.yaml"
            file.write_text(yaml.safe_dump(shortened(name, base)))
            started = aevolve("start", str(file), "--run", str(run), environment=environment)
            ids[name] = started.stdout.split()[-1]
        until(lambda: all(over(ids[name], run, environment) for name in names))
        for name, campaign in ids.items():
            aevolve("report", campaign, "--run", str(run), "--out", str(folder / name), environment=environment)
        yield {name: json.loads((folder / name / "report.json").read_text()) for name in names}
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(PATIENCE)


def aevolve(*arguments, environment):
    done = subprocess.run([*AEVOLVE, *arguments], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
    return done


def over(campaign, run, environment):
    lines = aevolve("events", "--campaign", campaign, "--run", str(run), environment=environment).stdout
    return " CampaignFinished " in lines


def test_the_list_of_examples_names_them_all():
    listed = (EXAMPLES / "README.md").read_text()
    assert [name for name in examples() if f"[{name}]({name}/" not in listed] == []


@pytest.mark.parametrize("name", [name for name in examples() if name not in NOT_RUN])
def test_an_example_runs_to_its_report(name, reports):
    """A random model may answer so alike that GRPO can learn nothing; all other candidates are trained and scored."""
    candidates = [c for r in reports[name]["rounds"] for c in r["candidates"]]
    assert {c["failed"] for c in candidates} <= {None, "RewardsEqual"}, candidates
    assert any(c["dev"] for c in candidates), candidates
    assert reports[name]["finished"]
    assert reports[name]["base"]["final"] is not None
