"""The exporter runs where it was given a port, and nowhere else."""

import socket
from types import SimpleNamespace
from typing import cast

import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from eventstore.embedded.broker import EmbeddedBroker
from services.console.cli import app
from services.console.embedded.run_folder import RunFolder
from services.console.embedded.system import Embedded, _services
from services.console.telemetry.exporter import _serve
from services.runtime.settings import Settings
from services.runtime.user_error import UserError


def commands(tmp_path, **settings):
    folder, own = RunFolder(tmp_path), Settings(**settings)
    system = SimpleNamespace(folder=folder, settings=own, ports={"policy": 1}, page=None, lock=0, beside=None)
    broker = SimpleNamespace(address="localhost:1", incarnation="i")
    return {c.name: c for c in _services(cast(Embedded, system), cast(EmbeddedBroker, broker))}


def test_an_embedded_run_has_an_exporter_where_it_was_given_a_port(tmp_path):
    assert set(commands(tmp_path)) == {"policy"}
    found = commands(tmp_path, metrics_port=9464, log_format="json")
    assert found["exporter"].argv == ("services.console", "exporter")
    assert found["exporter"].env["AEVOLVE_METRICS_PORT"] == "9464"
    assert found["exporter"].env["AEVOLVE_PASSWORD_FILE"] == str(tmp_path / "state" / "secrets" / "exporter")
    assert {c.env["AEVOLVE_LOG_FORMAT"] for c in found.values()} == {"json"}


def test_without_a_port_nothing_is_shown(monkeypatch):
    monkeypatch.setenv("AEVOLVE_POSTGRES", "postgresql://127.0.0.1:1/none")
    monkeypatch.delenv("AEVOLVE_METRICS_PORT", raising=False)
    done = CliRunner().invoke(app, ["exporter"])
    assert done.exit_code == 2
    assert "AEVOLVE_METRICS_PORT" in done.output


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="name a free port"):
        _serve("127.0.0.1", taken.getsockname()[1], CollectorRegistry())
