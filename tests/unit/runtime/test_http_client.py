"""The HTTP client: a deadline for the whole answer, no redirects, a proxy only on request, the system's authorities."""

from __future__ import annotations

import datetime as dt
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.runtime import http_client
from services.runtime.http_client import Answer, NoAnswer, send


@contextmanager
def serving(reply, certificate=None):
    """A server whose handler is `reply(handler)`; yields its port and the requests it has read."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.work()

        def do_PUT(self):
            self.work()

        def work(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            requests.append((self.command, self.path, dict(self.headers), body))
            reply(self)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """A client that has hung up is part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def says(status, body=b"", **headers):
    def reply(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def trickles(head):
    def reply(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + head)
        for _ in range(100):
            handler.wfile.write(b"x")
            time.sleep(0.05)

    return reply


def get(port, **given):
    options = {"seconds": 5.0, "most_bytes": 1000, **given}
    return send("GET", f"http://127.0.0.1:{port}/path", {"X-Own": "1"}, **options)


@pytest.mark.parametrize("head", [b"Content-Length: 100\r\n\r\n", b"X-Long: "], ids=["body", "headers"])
def test_a_server_that_trickles_bytes_misses_the_deadline(head):
    with serving(trickles(head)) as (port, _):
        start = time.monotonic()
        with pytest.raises(NoAnswer) as failure:
            get(port, seconds=0.3)
        assert failure.value.timed_out
        assert time.monotonic() - start < 1.5


def test_an_answer_is_read_up_to_a_bound():
    with serving(says(200, b"x" * 5000)) as (port, requests):
        assert get(port) == Answer(200, b"x" * 1000)
    ((method, path, headers, _),) = requests
    assert (method, path, headers["X-Own"], headers["Accept-Encoding"]) == ("GET", "/path", "1", "identity")
    assert headers["Host"] == f"127.0.0.1:{port}"


def test_a_stream_is_sent_with_the_length_that_its_header_states():
    with serving(says(201)) as (port, requests):
        url = f"http://127.0.0.1:{port}/"
        answer = send("PUT", url, {"Content-Length": "6"}, iter([b"abc", b"def"]), seconds=5.0, most_bytes=10)
    assert (answer.status, requests[0][3]) == (201, b"abcdef")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(status):
    with serving(says(200)) as (other, strangers), serving(says(status, Location=f"http://127.0.0.1:{other}/")) as own:
        assert get(own[0]).status == status
        assert strangers == []


def test_a_server_that_is_not_there_is_named_by_the_cause():
    with serving(says(200)) as (port, _):
        pass
    with pytest.raises(NoAnswer, match="ConnectionRefusedError") as failure:
        get(port)
    assert (failure.value.timed_out, failure.value.strerror) == (False, "Connection refused")


def test_what_is_not_http_is_no_answer_and_is_not_quoted():
    answer = b"SSH-2.0-OpenSSH words\r\n\r\n"
    with serving(lambda handler: handler.wfile.write(answer)) as (port, _), pytest.raises(NoAnswer) as failure:
        get(port)
    assert "words" not in str(failure.value)


def test_a_proxy_of_the_environment_is_used_on_request_only(monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with serving(says(200, b"direct")) as (port, _), serving(says(200, b"proxy")) as (proxy, requests):
        monkeypatch.setenv("http_proxy", f"http://user:pass%21@127.0.0.1:{proxy}")
        assert get(port).body == b"direct"
        assert get(port, use_proxy=True).body == b"proxy"
        assert requests[0][1] == f"http://127.0.0.1:{port}/path"
        assert requests[0][2]["Proxy-Authorization"].startswith("Basic ")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert get(port, use_proxy=True).body == b"direct"


@pytest.fixture
def certificate(tmp_path):
    """A file with a self-signed certificate for `localhost` and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "server.pem"
    private = serialization.PrivateFormat.TraditionalOpenSSL
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())
    )
    return file


def test_a_certificate_must_be_signed_by_a_trusted_authority(certificate, monkeypatch):
    with serving(says(200, b"secret"), certificate) as (port, _):
        url = f"https://localhost:{port}/"
        http_client._trusted.cache_clear()
        with pytest.raises(NoAnswer, match="SSLCertVerificationError"):
            send("GET", url, {}, seconds=5.0, most_bytes=10)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        http_client._trusted.cache_clear()
        assert send("GET", url, {}, seconds=5.0, most_bytes=10) == Answer(200, b"secret")
    http_client._trusted.cache_clear()
