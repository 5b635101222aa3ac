"""How the settings of TLS and SASL are read: what fits together, and what is said of what does not."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError
from typer.testing import CliRunner

from eventstore.connect import tls_fault
from services.console.cli import app
from services.runtime.kafka.preflight import check_connection
from services.runtime.kafka.security import client_options
from services.runtime.settings import BadSetting, Settings
from tests.certificates import Authority
from tests.typed import there


@pytest.fixture
def files(tmp_path):
    """An authority's certificate, one of ours with its key, a password."""
    ours = Authority(tmp_path, "ca")
    cert, key = ours.issue("client")
    (tmp_path / "password").write_text("secret\n")
    return {"ca": ours.file, "cert": cert, "key": key, "password": tmp_path / "password", "none": tmp_path / "none"}


def options(files, **settings):
    """What aiokafka's clients are given; a setting of a file is told by the file's name here."""
    told = {name: files.get(value, value) for name, value in settings.items()}
    return client_options(Settings(**{f"kafka_{name}": value for name, value in told.items()}))


def test_nothing_is_set_by_default(files):
    assert options(files) == {"security_protocol": "PLAINTEXT", "ssl_context": None}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_a_user_logs_in_with_the_password_of_a_file(files, protocol, mechanism):
    found = options(files, protocol=protocol, sasl_mechanism=mechanism, user="aevolve", password_file="password")
    assert (found["security_protocol"], found["sasl_mechanism"]) == (protocol, mechanism)
    assert (found["sasl_plain_username"], found["sasl_plain_password"]) == ("aevolve", "secret")
    assert (found["ssl_context"] is not None) == (protocol == "SASL_SSL")


def test_a_broker_is_believed_by_its_authority_and_its_name_alone(files):
    context = options(files, protocol="SSL", ca_file="ca", cert_file="cert", key_file="key")["ssl_context"]
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert [dict(sum(found["subject"], ())) for found in context.get_ca_certs()] == [{"commonName": "ca"}]
    assert options(files, protocol="SSL")["ssl_context"].verify_mode == ssl.CERT_REQUIRED  # by the system's own


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"user": "aevolve"}, "KAFKA_USER: aevolve; PLAINTEXT does not use it: unset it, or set AEVOLVE_KAFKA_PROT"),
        ({"protocol": "SSL", "password_file": "password"}, "KAFKA_PASSWORD_FILE: .*password; SSL does not use it"),
        ({"ca_file": "ca"}, "KAFKA_CA_FILE: .*ca.pem; PLAINTEXT does not use it: .*PROTOCOL=SSL"),
        ({"protocol": "SASL_SSL"}, "KAFKA_USER: not set; AEVOLVE_KAFKA_PROTOCOL=SASL_SSL needs it"),
        (
            {"protocol": "SASL_SSL", "user": "a"},
            "KAFKA_PASSWORD_FILE: not set; AEVOLVE_KAFKA_PROTOCOL=SASL_SSL needs it",
        ),
        ({"protocol": "SASL_SSL", "user": "a", "password_file": "none"}, "KAFKA_PASSWORD_FILE: .*No such file"),
        ({"protocol": "SSL", "ca_file": "none"}, "KAFKA_CA_FILE: .*none; .*No such file.*name a PEM file"),
        ({"protocol": "SSL", "ca_file": "password"}, "KAFKA_CA_FILE: .*password; .*name a PEM file"),
        ({"protocol": "SSL", "key_file": "key"}, "KAFKA_CERT_FILE: not set; the key .*client.key cannot be used"),
        (
            {"protocol": "SSL", "cert_file": "cert", "key_file": "none"},
            "KAFKA_CERT_FILE: .*No such file.*belong together",
        ),
        ({"protocol": "SSL", "cert_file": "cert"}, "KAFKA_CERT_FILE: .*client.pem; .*PEM files that belong together"),
    ],
)
def test_settings_that_do_not_fit_together_name_the_variable_and_the_remedy(files, settings, words):
    with pytest.raises(BadSetting, match=f"AEVOLVE_{words}"):
        options(files, **settings)


@pytest.mark.parametrize(
    "command", [("dead-letters", "list"), ("verify", "--anchors-from-kafka", "--public-key", "00" * 32)]
)
def test_the_console_ends_with_2(monkeypatch, command):
    monkeypatch.setenv("AEVOLVE_KAFKA_PROTOCOL", "SASL_SSL")
    result = CliRunner().invoke(app, list(command))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("aevolve: AEVOLVE_KAFKA_USER: not set; ")
    monkeypatch.setenv("AEVOLVE_KAFKA_PROTOCOL", "TLS")
    result = CliRunner().invoke(app, list(command))
    assert result.exit_code == 2
    assert result.stderr.startswith("aevolve: AEVOLVE_KAFKA_PROTOCOL: 'TLS'; ")


async def test_an_address_that_is_none_is_told():
    with pytest.raises(BadSetting, match=r"AEVOLVE_KAFKA: localhost:high; .*give HOST:PORT"):
        await check_connection(Settings(kafka="localhost:high"))


async def test_every_address_that_does_not_answer_is_named():
    with pytest.raises(KafkaConnectionError, match=r"127.0.0.1:1: .*; 127.0.0.1:2: "):
        await check_connection(Settings(kafka="127.0.0.1:1,127.0.0.1:2"))


@asynccontextmanager
async def tls_server(folder, *hosts, greeting):
    """A server with a certificate for these hosts; it says `greeting` in the clear first, where there is one."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*Authority(folder, "authority").issue("server", *hosts))

    async def answer(reader, writer):
        try:
            if greeting:
                await reader.read(8)
                writer.write(greeting)
                await writer.start_tls(context)
            await reader.read()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=None if greeting else context)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


REFUSALS = [
    ("ca.pem", ["127.0.0.1"], "unable to get local issuer certificate"),
    ("authority.pem", ["elsewhere.example"], "IP address mismatch, certificate is not valid for '127.0.0.1'"),
]


@pytest.mark.parametrize(("ca", "hosts", "words"), REFUSALS)
async def test_a_broker_that_does_not_prove_who_it_is_is_told(files, tmp_path, ca, hosts, words):
    async with tls_server(tmp_path, *hosts, greeting=b"") as address:
        with pytest.raises(BadSetting, match=f"AEVOLVE_KAFKA: {address}; it does not prove who it is .{words}"):
            await check_connection(Settings(kafka=address, kafka_protocol="SSL", kafka_ca_file=tmp_path / ca))


@pytest.mark.parametrize(("ca", "hosts", "words"), REFUSALS)
async def test_a_database_that_does_not_prove_who_it_is_is_told(files, tmp_path, ca, hosts, words):
    async with tls_server(tmp_path, *hosts, greeting=b"S") as address:
        dsn = f"postgresql://user:secret@{address}/log?sslmode=verify-full&sslrootcert={tmp_path / ca}"
        with pytest.raises(ssl.SSLError) as caught:
            await asyncpg.connect(dsn)
    assert there(tls_fault(dsn, caught.value)).startswith(f"the server does not prove who it is ({words}")


def test_a_file_that_the_address_of_the_database_names_in_vain_is_told(files):
    dsn = "postgresql://localhost/log?sslrootcert={}&sslcert={}"
    assert tls_fault(dsn.format(files["ca"], "gone.pem"), OSError()) == "sslcert=gone.pem is no file: name a PEM file"
    assert tls_fault(dsn.format(files["ca"], files["cert"]), OSError()) is None
    fault = tls_fault(dsn.format(files["ca"], files["cert"]), ssl.SSLError(1, "what"))
    assert "no TLS with the server" in there(fault)
