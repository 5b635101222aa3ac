"""A server of the S3 protocol in this process (moto), that may fail, hold back or cut off what passes through it."""

from __future__ import annotations

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
