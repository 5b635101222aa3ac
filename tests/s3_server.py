"""A server of the S3 protocol in this process (moto), and a way to it on which uploads are cut off."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Thread

from botocore.session import Session
from moto.server import ThreadedMotoServer

KEYS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests only", "AWS_DEFAULT_REGION": "us-east-1"}
"""Of the environment; moto lets anybody in."""


class Server:
    """A server, and a bucket `artifacts` in it."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.up()
        self.client.create_bucket(Bucket="artifacts")

    def up(self) -> None:
        self.server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self.server.start()
        _, self.port = self.server.get_host_and_port()

    def down(self) -> None:
        """Stop answering; what is stored stays."""
        self.server.stop()

    @property
    def environment(self) -> dict[str, str]:
        return {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}"}

    @property
    def client(self):
        places = {"endpoint_url": self.environment["AWS_ENDPOINT_URL"], "region_name": "us-east-1"}
        return Session().create_client("s3", aws_access_key_id="tests", aws_secret_access_key="tests only", **places)

    def names(self, prefix: str = "") -> list[str]:
        found = self.client.list_objects_v2(Bucket="artifacts", Prefix=prefix)
        return [thing["Key"] for thing in found.get("Contents", [])]


class Cutting:
    """A way to a server that breaks off a connection once so many bytes went up, as often as it is told to."""

    def __init__(self, server: Server, after: int, times: int) -> None:
        self.target, self.after, self.times = ("127.0.0.1", server.port), after, times
        self.cut = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.environment = {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.listener.getsockname()[1]}"}
        Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                here, there = self.listener.accept()[0], socket.create_connection(self.target)
                Thread(target=self._up, args=(here, there), daemon=True).start()
                Thread(target=self._down, args=(there, here), daemon=True).start()

    def _up(self, source: socket.socket, sink: socket.socket) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(4096):
                passed += len(data)
                if passed > self.after and self.cut < self.times:
                    self.cut += 1
                    break
                sink.sendall(data)
        self._close(source, sink)

    def _down(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(4096):
                sink.sendall(data)
        self._close(source, sink)

    def _close(self, *ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
