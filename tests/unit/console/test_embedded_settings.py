"""What the services of an embedded run get of the environment of the command that started them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from eventstore.embedded.broker import EmbeddedBroker
from schemas.registry import SERVICES
from services.console.embedded.run_folder import RunFolder
from services.console.embedded.system import PASSED, Embedded, _page, _services
from services.runtime.settings import Settings

DECIDED = {
    *(
        "postgres",
        "password",
        "password_file",
        "kafka",
        "incarnation",
        "embedded",
        "artifacts",
        "work",
        "cache",
        "port",
    ),
    *(
        "port",
        "oracle_key_file",
        "anchor_key_file",
        "anchor_file",
        "anchor_public_key",
        "task_path",
        "metrics_port",
        "worker",
    ),
    *("kafka_protocol", "kafka_sasl_mechanism", "kafka_user", "kafka_password_file", "kafka_ca_file"),
    *("log_format", "kafka_cert_file", "kafka_key_file", "partitions", "replication", "host"),
}
"""Settings that the run decides by itself, or that its own broker and loopback addresses leave no room for."""


@pytest.fixture
def environments(tmp_path):
    def by_service():
        embedded = SimpleNamespace(
            folder=RunFolder(tmp_path),
            settings=Settings(postgres="", artifacts="", cache=tmp_path),
            ports={name: 0 for name in SERVICES if name != "console"},
            lock=0,
            page=7000,
            beside=None,
        )
        system = cast(Embedded, embedded)
        broker = cast(EmbeddedBroker, SimpleNamespace(address="", incarnation=""))
        return {command.name: command.env for command in (*_services(system, broker), _page(system, broker))}

    return by_service


def test_every_setting_is_passed_on_or_decided_by_the_run():
    passed = {name for names in PASSED.values() for name in names}
    assert passed.isdisjoint(DECIDED)
    assert passed | DECIDED == set(Settings.model_fields)


def test_a_service_gets_what_is_meant_for_it_and_nothing_that_is_meant_for_another(environments, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in (name for names in PASSED.values() for name in names):
        default = Settings.model_fields[name].default
        monkeypatch.setenv(f"AEVOLVE_{name.upper()}", f"{default or 'x'}")
    monkeypatch.setenv("AEVOLVE_WORKERS", "3")
    monkeypatch.setenv("AEVOLVE_ADVISOR_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("AEVOLVE_ENGINE_URL", "http://127.0.0.1:2/v1")
    given = environments()
    for service, environment in given.items():
        for meant, names in PASSED.items():
            for variable in (f"AEVOLVE_{name.upper()}" for name in names if name != "workers"):
                assert (variable in environment) == (meant in ("*", service)), (service, variable)
    assert given["oracle"]["AEVOLVE_ENGINE_KEY_FILE"] == str(tmp_path / "x")
    assert {name: env.get("AEVOLVE_WORKERS") for name, env in given.items() if name != "console"} == {
        "data": "1",
        "recipes": "1",
        "trainer": "3",
        "oracle": "3",
        "policy": "1",
    }


def test_without_variables_a_service_keeps_its_defaults(environments, monkeypatch):
    for name in (name for names in PASSED.values() for name in names):
        monkeypatch.delenv(f"AEVOLVE_{name.upper()}", raising=False)
    assert not [name for name in environments()["oracle"] if name.startswith("AEVOLVE_ENGINE")]
