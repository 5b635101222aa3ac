"""Dashboards, alerts and the documentation name metrics that exist, and the documentation names them all."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from services.console.telemetry.metrics import CAMPAIGN_METRICS, SYSTEM
from services.runtime.telemetry.metrics import REGISTRY
from tests.promql import metrics, used

ROOT = Path(__file__).parents[3]
HERE = ROOT / "deploy" / "telemetry"
DASHBOARDS = sorted((HERE / "grafana" / "dashboards").glob("*.json"))


def declared():
    """Names of all our metrics, as they are shown."""
    by_services = {f.name + ("_total" if f.type == "counter" else "") for f in REGISTRY.collect()}
    ours = {name for name in by_services if name.startswith("aevolve_")}
    return ours | {family.name for family in (*SYSTEM, *CAMPAIGN_METRICS)}


def test_the_documentation_lists_every_metric_and_no_other():
    listed = re.findall(r"^\| `(aevolve_\w+)", (ROOT / "docs" / "guides" / "telemetry.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(declared())


def test_every_alert_is_explained_and_has_a_test():
    rules = yaml.safe_load((HERE / "rules" / "aevolve.yml").read_text())
    alerts = sorted(rule["alert"] for group in rules["groups"] for rule in group["rules"])
    _, _, table = (ROOT / "docs" / "guides" / "operating.md").read_text().partition("## What to do for each alert")
    assert sorted(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == alerts
    cases = yaml.safe_load((HERE / "tests" / "aevolve_test.yml").read_text())["tests"]
    fired = {rule["alertname"] for case in cases for rule in case["alert_rule_test"] if rule.get("exp_alerts")}
    assert sorted(fired) == alerts


def test_names_follow_prometheus_conventions():
    for name in declared():
        assert re.fullmatch(r"aevolve_[a-z_]+", name)
        assert not name.endswith(("_ms", "_milliseconds", "_percent", "_count")), name


def test_dashboards_and_alerts_name_metrics_that_are_declared():
    assert metrics(used(HERE)) <= declared()
    assert len(metrics(used(HERE))) > 30  # the parser finds them


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.name)
def test_a_dashboard_asks_the_provisioned_source_and_explains_its_panels(file):
    (source,) = yaml.safe_load((HERE / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    dashboard = json.loads(file.read_text())
    for panel in dashboard["panels"]:
        assert panel["datasource"]["uid"] == source["uid"]
        assert panel["title"]
        assert panel["description"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {source["uid"]}
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in dashboard["panels"]]
    assert len(set(places)) == len(places)


def test_the_collectors_pipelines_use_parts_that_are_configured():
    config = yaml.safe_load((HERE / "collector.yaml").read_text())
    for pipeline in config["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= set(config[kind])
    assert set(config["service"]["extensions"]) <= set(config["extensions"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("test", "rules", "tests/aevolve_test.yml"),
        ("check", "rules", "rules/aevolve.yml"),
        ("check", "config", "prometheus.yml"),
    ],
    ids=" ".join,
)
def test_promtool_agrees(arguments):
    program = os.environ.get("AEVOLVE_PROMTOOL") or shutil.which("promtool")
    if not program:
        lack = "promtool is not at hand: install Debian's package prometheus, or name the program in AEVOLVE_PROMTOOL"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(lack)
    done = subprocess.run([program, *arguments], cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
