"""Kafka and PostgreSQL that prove who they are and ask who we are: a campaign over both, and what each side refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from eventstore.integrity.anchors import make_key, read_key
from schemas.registry import SERVICES
from tests.brokers import ForeignBroker, apache
from tests.certificates import Authority
from tests.cluster import Cluster, until
from tests.kafka.broker import ApacheKafka, free_addresses
from tests.postgres import server
from tests.unit.loopworld import campaign

pytestmark = pytest.mark.broker("apache")

MODULES = "org.apache.kafka.common.security"
PROPERTIES = """\
listeners=BROKER://{{broker}},CONTROLLER://{{controller}},TLS://{tls},LOGIN://{login},STRANGER://{stranger}
advertised.listeners=BROKER://{{broker}},TLS://{tls},LOGIN://{login},STRANGER://{stranger}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,LOGIN:SASL_SSL,STRANGER:SSL
ssl.keystore.type=PEM
ssl.keystore.location={folder}/kafka.store
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ours.pem
listener.name.stranger.ssl.keystore.type=PEM
listener.name.stranger.ssl.keystore.location={folder}/stranger.store
listener.name.tls.ssl.client.auth=required
listener.name.login.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.login.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required user_aevolve="of-kafka";
listener.name.login.scram-sha-256.sasl.jaas.config={modules}.scram.ScramLoginModule required;
listener.name.login.scram-sha-512.sasl.jaas.config={modules}.scram.ScramLoginModule required;
"""
"""One listener asks for a certificate, one for a password, and one has a certificate of another host."""
USERS = [f"{mechanism}=[name=aevolve,password=of-kafka]" for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")]


@dataclass
class World:
    """Both servers, and every file that has to do with them."""

    folder: Path
    kafka: dict[str, str]
    """Address by listener."""
    postgres: server.TlsPostgres
    ca: Path
    other: Path
    """The certificate of an authority that has signed nothing here."""

    @property
    def login(self) -> dict[str, str]:
        """The settings of a service that may come in, without its database role's password."""
        return {
            "AEVOLVE_KAFKA": self.kafka["login"],
            "AEVOLVE_KAFKA_PROTOCOL": "SASL_SSL",
            "AEVOLVE_KAFKA_USER": "aevolve",
            "AEVOLVE_KAFKA_PASSWORD_FILE": str(self.folder / "password"),
            "AEVOLVE_KAFKA_CA_FILE": str(self.ca),
            "AEVOLVE_POSTGRES": self.postgres.address(self.ca),
        }

    def aevolve(self, *arguments: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
        """The command with a service's settings, some of them changed or, with None, not set."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("AEVOLVE_")}
        env |= self.login | {"AEVOLVE_PASSWORD_FILE": str(self.folder / "secrets" / "console")}
        for name, value in changes.items():
            env.pop(f"AEVOLVE_{name.upper()}", None)
            env |= {f"AEVOLVE_{name.upper()}": value} if value is not None else {}
        command = [sys.executable, "-m", "services.console", *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)


NO_LOGIN = {"kafka_protocol": "SSL", "kafka_user": None, "kafka_password_file": None}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    if lack := server.missing():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(lack)
    folder = tmp_path_factory.mktemp("tls")
    ours, other = Authority(folder, "ours"), Authority(folder, "other")
    for name, host in (("kafka", "127.0.0.1"), ("stranger", "elsewhere.example")):
        certificate, key = ours.issue(name, host)
        (folder / f"{name}.store").write_bytes(key.read_bytes() + certificate.read_bytes())
    ours.issue("client")
    other.issue("forged")
    (folder / "password").write_text("of-kafka\n")
    addresses = dict(zip(("tls", "login", "stranger"), free_addresses(3), strict=True))
    apache(folder / "kafka")  # skips where it cannot run
    kafka = ApacheKafka(folder / "kafka", PROPERTIES.format(folder=folder, modules=MODULES, **addresses), *USERS)
    with kafka, server.TlsPostgres(folder / "postgres", *ours.issue("postgres", "127.0.0.1"), ours.file) as postgres:
        yield World(folder, {**addresses, "broker": kafka.address}, postgres, ours.file, other.file)


@pytest.fixture(scope="module")
def prepared(world):
    """The world with a schema and roles, made by `aevolve migrate` over TLS."""
    done = world.aevolve("migrate", world.postgres.owner(world.ca), "--secrets", str(world.folder / "secrets"))
    assert done.returncode == 0, done.stderr
    return world


@pytest.fixture(scope="module")
async def campaign_over_tls(prepared):
    """A whole campaign, with one service that signs the heads; its state."""
    make_key(prepared.folder / "anchor.key")
    passwords = {name: (prepared.folder / "secrets" / name).read_text() for name in SERVICES}
    broker, dsn = ForeignBroker(prepared.kafka["login"]), prepared.login["AEVOLVE_POSTGRES"]
    cluster = Cluster(prepared.folder / "cluster", dsn, passwords, broker, **prepared.login)
    client = f"&sslcert={prepared.folder / 'client.pem'}&sslkey={prepared.folder / 'client.key'}"
    cluster.extra["AEVOLVE_POSTGRES"] = dsn + client
    cluster.start("data")
    cluster.extra["AEVOLVE_POSTGRES"] = dsn
    cluster.start("recipes", "trainer", "policy")
    cluster.extra["AEVOLVE_ANCHOR_KEY_FILE"] = str(prepared.folder / "anchor.key")
    cluster.start("oracle")
    try:
        async with await cluster.console() as console:
            await cluster.begin(console, "secure", campaign(rounds=1))
            yield await until(console, "secure", lambda history: history.finished is not None, 120)
    finally:
        cluster.stop()


async def test_a_campaign_runs_over_sasl_and_tls_to_its_end(campaign_over_tls):
    assert sorted(campaign_over_tls.assessments) == [1]


async def test_the_console_reads_log_letters_and_anchors_over_tls(prepared, campaign_over_tls):
    assert prepared.aevolve("status").stdout.count("secure") == 1
    assert prepared.aevolve("dead-letters", "list").stderr == "no dead letters\n"
    key = read_key(prepared.folder / "anchor.key").public.hex()
    found = prepared.aevolve("verify", "--anchors-from-kafka", "--public-key", key)
    assert found.returncode == 0
    assert "anchors that agree" in found.stdout


async def test_every_session_of_the_database_is_encrypted(prepared, campaign_over_tls):
    plain = prepared.login["AEVOLVE_POSTGRES"].split("?")[0] + "?sslmode=disable"
    refused = prepared.aevolve("status", postgres=plain)
    assert refused.returncode == 2
    assert "no encryption" in refused.stderr


async def test_a_service_that_must_show_the_database_a_certificate_is_refused_without(prepared):
    refused = prepared.aevolve("serve", "data", password_file=str(prepared.folder / "secrets" / "data"))
    assert refused.returncode == 2
    assert "AEVOLVE_POSTGRES" in refused.stderr
    assert "requires a valid client certificate" in refused.stderr


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_each_mechanism_opens(world, mechanism):
    assert world.aevolve("dead-letters", "list", kafka_sasl_mechanism=mechanism).returncode == 0


def test_a_certificate_opens_where_one_is_asked_for(world):
    listener = {"kafka": world.kafka["tls"], **NO_LOGIN}
    ours = {"kafka_cert_file": str(world.folder / "client.pem"), "kafka_key_file": str(world.folder / "client.key")}
    assert world.aevolve("dead-letters", "list", **listener, **ours).returncode == 0
    forged = {"kafka_cert_file": str(world.folder / "forged.pem"), "kafka_key_file": str(world.folder / "forged.key")}
    for files in ({}, forged):
        refused = world.aevolve("dead-letters", "list", **listener, **files)
        assert refused.returncode == 2
        assert refused.stderr.startswith(f"aevolve: AEVOLVE_KAFKA: {world.kafka['tls']}")
        assert len(refused.stderr.splitlines()) == 1


KAFKA_REFUSALS = {
    "an authority that is not the broker's": (
        lambda world: {"kafka_ca_file": str(world.other)},
        ("it does not prove who it is (unable to get local issuer certificate)", "AEVOLVE_KAFKA_CA_FILE"),
    ),
    "a certificate of another host": (
        lambda world: {"kafka": world.kafka["stranger"], **NO_LOGIN},
        ("it does not prove who it is (IP address mismatch, certificate is not valid for '127.0.0.1'.)",),
    ),
    "a wrong password": (
        lambda world: {"kafka_password_file": str(world.folder / "kafka.key")},
        ("it refuses user aevolve", "AEVOLVE_KAFKA_PASSWORD_FILE"),
    ),
    "a wrong password by PLAIN": (
        lambda world: {"kafka_password_file": str(world.folder / "kafka.key"), "kafka_sasl_mechanism": "PLAIN"},
        ("it refuses user aevolve", "AEVOLVE_KAFKA_PASSWORD_FILE"),
    ),
    "a broker without TLS": (
        lambda world: {"kafka": world.kafka["broker"]},
        ("AEVOLVE_KAFKA_PROTOCOL",),
    ),
    "a broker with TLS, asked without": (
        lambda world: {"kafka": world.kafka["tls"], **NO_LOGIN, "kafka_protocol": "PLAINTEXT", "kafka_ca_file": None},
        ("AEVOLVE_KAFKA_PROTOCOL",),
    ),
}


@pytest.mark.parametrize("command", [("serve", "policy"), ("dead-letters", "list")], ids=" ".join)
@pytest.mark.parametrize("case", KAFKA_REFUSALS)
def test_a_kafka_that_is_not_to_be_believed_is_told(prepared, case, command):
    changes, words = KAFKA_REFUSALS[case]
    refused = prepared.aevolve(*command, **changes(prepared))
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    last = refused.stderr.splitlines()[-1]
    assert "AEVOLVE_KAFKA: 127.0.0.1:" in last
    assert all(word in last for word in words)


POSTGRES_REFUSALS = {
    "an authority that is not the server's": (
        lambda world: world.postgres.address(world.other),
        "the server does not prove who it is (self-signed certificate in certificate chain): name its CA",
    ),
    "a certificate of another host": (
        lambda world: world.postgres.address(world.ca, host="localhost"),
        "the server does not prove who it is (Hostname mismatch, certificate is not valid for 'localhost'.)",
    ),
    "no file": (lambda world: world.postgres.address(Path("none.pem")), "sslrootcert=none.pem is no file"),
}


@pytest.mark.parametrize("command", [("serve", "policy"), ("status",)], ids=" ".join)
@pytest.mark.parametrize("case", POSTGRES_REFUSALS)
def test_a_database_that_is_not_to_be_believed_is_told(prepared, case, command):
    dsn, words = POSTGRES_REFUSALS[case]
    refused = prepared.aevolve(*command, postgres=dsn(prepared))
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert words in refused.stderr.splitlines()[-1]


@pytest.mark.parametrize("case", POSTGRES_REFUSALS)
def test_the_owners_commands_are_told_too(world, tmp_path, case):
    dsn, words = POSTGRES_REFUSALS[case]
    (tmp_path / "log.jsonl").touch()
    for command in (
        ("migrate", dsn(world), "--secrets", str(tmp_path / "s")),
        ("import", "log.jsonl", "--dsn", dsn(world)),
    ):
        refused = world.aevolve(*(word.replace("log.jsonl", str(tmp_path / "log.jsonl")) for word in command))
        assert refused.returncode == 2
        assert words in refused.stderr.splitlines()[-1]
