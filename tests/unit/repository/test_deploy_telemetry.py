"""What watches the containers finds them: the files of deploy/telemetry and deploy/compose.yaml name one place."""

import re
from pathlib import Path, PurePosixPath

import pytest
import yaml

from tests.typed import there

DEPLOY = Path(__file__).parents[3] / "deploy"
PARTS = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
IMAGE_PORT = int(there(re.search(r"AEVOLVE_PORT=(\d+)", (DEPLOY / "Dockerfile").read_text()))[1])


def config(name):
    return yaml.safe_load((DEPLOY / "telemetry" / name).read_text())


def mounts(part):
    """Place in the container -> file or folder of deploy/ that lies there."""
    volumes = (volume.split(":") for volume in PARTS[part]["volumes"] if volume.startswith("./"))
    return {target: (DEPLOY / source).resolve() for source, target, _ in volumes}


def scraped(job):
    return next(one for one in config("prometheus.yml")["scrape_configs"] if one["job_name"] == job)


@pytest.mark.parametrize("part", ["prometheus", "grafana", "collector"])
def test_what_is_mounted_is_there_and_cannot_be_written(part):
    assert mounts(part)
    assert all(source.exists() for source in mounts(part).values())
    assert all(volume.endswith(":ro") for volume in PARTS[part]["volumes"] if volume.startswith("./"))


def test_prometheus_asks_the_exporter_where_it_listens():
    ((target,),) = (one["targets"] for one in scraped("aevolve-log")["static_configs"])
    name, _, port = target.partition(":")
    assert PARTS[name]["command"] == ["exporter"]
    assert PARTS[name]["environment"]["AEVOLVE_METRICS_PORT"] == int(port)
    assert set(PARTS["prometheus"]["profiles"]) <= set(PARTS[name]["profiles"])


def test_prometheus_asks_every_service_on_gpus_too():
    (found,) = scraped("aevolve")["dns_sd_configs"]
    assert found["port"] == IMAGE_PORT
    serving = {name: part for name, part in PARTS.items() if part.get("command", [])[:1] == ["serve"]}
    for name, part in serving.items():
        aliases = part["networks"]["inside"]["aliases"] if isinstance(part["networks"], dict) else []
        assert {name, *aliases} & set(found["names"]), name
        assert "AEVOLVE_PORT" not in part["environment"]
    assert set(found["names"]) <= serving.keys()


def test_prometheus_finds_its_settings_and_rules():
    (settings,) = (place for place, file in mounts("prometheus").items() if file.name == "prometheus.yml")
    assert settings == "/etc/prometheus/prometheus.yml"  # where the image looks
    for pattern in config("prometheus.yml")["rule_files"]:
        folder = mounts("prometheus")[str(PurePosixPath(settings).parent / PurePosixPath(pattern).parent)]
        assert list(folder.glob(PurePosixPath(pattern).name))


def test_grafana_finds_its_dashboards_and_prometheus():
    (provider,) = config("grafana/provisioning/dashboards/aevolve.yaml")["providers"]
    assert list(mounts("grafana")[provider["options"]["path"]].glob("*.json"))
    assert mounts("grafana")["/etc/grafana/provisioning"].name == "provisioning"  # where the image looks
    (source,) = config("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    assert source["url"] == f"http://prometheus:{PARTS['prometheus']['ports'][0].rpartition(':')[2]}"


def test_the_collector_takes_traces_where_they_are_sent():
    (command,) = PARTS["collector"]["command"]
    assert command.removeprefix("--config=") in mounts("collector")
    port = config("collector.yaml")["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rpartition(":")[2]
    for page in (
        DEPLOY / "compose.yaml",
        DEPLOY.parent / "docs" / "guides" / "deploy.md",
        DEPLOY / "telemetry" / "collector.yaml",
    ):
        assert re.findall(r"http://collector:(\d+)", page.read_text()) == [port], page


def test_whoever_asks_and_whoever_answers_are_on_one_network():
    for name in ("prometheus", "grafana", "collector", "exporter", "data", "recipes", "trainer", "oracle", "policy"):
        assert "inside" in PARTS[name]["networks"], name
