"""The server of the profile `s3` of deploy/compose.yaml, where it is installed: each service has a key of its own."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
import s3fs

from services.runtime.storage import object_store
from services.runtime.storage.object_store import StoreDenied
from tests.brokers import broker
from tests.cluster import SERVICES, Cluster, until
from tests.conftest import PASSWORDS
from tests.unit.loopworld import campaign
from tests.unit.repository.test_deploy import COMPOSE, DEPLOY, rights

pytestmark = pytest.mark.skipif(
    shutil.which("versitygw") is None,
    reason="versitygw is not installed: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0",
)

PORT = 27_070


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Folder of the secrets, while the server runs as compose would start it."""
    folder = tmp_path_factory.mktemp("s3")
    keys, iam, data = folder / "secrets", folder / "iam", folder / "data"
    subprocess.run([DEPLOY / "secrets.sh", keys], check=True)
    iam.mkdir()
    data.mkdir()
    shutil.copy(keys / "s3.users", iam / "users.json")
    places = {"/run/secrets": keys, "--iam-dir /iam": f"--iam-dir {iam}", " /data": f" {data}", ":7070": f":{PORT}"}
    command = COMPOSE["services"]["s3"]["entrypoint"][-1].replace("$$", "$")
    for inside, here in places.items():
        command = command.replace(inside, str(here))
    server = subprocess.Popen(["sh", "-c", command])
    answering(f"http://127.0.0.1:{PORT}/health")
    subprocess.run([sys.executable, DEPLOY / "s3" / "prepare.py"], env=os.environ | client(keys, "root"), check=True)
    yield keys
    server.terminate()
    server.wait(15)


def answering(url, seconds=30):
    end = time.monotonic() + seconds
    while True:
        try:
            return urllib.request.urlopen(url)
        except urllib.error.URLError:
            assert time.monotonic() < end, f"{url} does not answer"
            time.sleep(0.1)


def client(keys, user):
    return {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}", "AWS_SHARED_CREDENTIALS_FILE": str(keys / f"s3.{user}")}


@pytest.fixture
def become(keys, monkeypatch):
    def as_user(user):
        for name, value in client(keys, user).items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()

    return as_user


def may(question, *arguments):
    try:
        question(*arguments)
    except StoreDenied:
        return False
    return True


@pytest.mark.parametrize("user", ["data", "trainer", "oracle", "console"])
def test_a_service_reads_and_writes_what_the_policy_says_and_nothing_else(become, user):
    for kind in sorted({kind for _, kind in rights()}):
        url = f"s3://artifacts/{kind}/x"
        become("root")
        object_store.write(url, b"x")
        become(user)
        object_store.check_store("s3://artifacts")
        assert may(object_store.read, url) == ((user, kind) in rights())
        assert may(object_store.write, f"{url}-of-{user}", b"x") == rights().get((user, kind), False)


async def test_a_campaign_runs_with_these_rights(keys, database, tmp_path):
    with broker(tmp_path) as its_broker:
        cluster = Cluster(tmp_path, database, PASSWORDS, its_broker, AEVOLVE_ARTIFACTS="s3://artifacts")
        store = await cluster.console()
        try:
            for service in SERVICES:
                has_key = (keys / f"s3.{service}").exists()
                cluster.start(service, **(client(keys, service) if has_key else {}))
            await cluster.begin(store, "c", campaign(rounds=1))
            await until(store, "c", lambda history: history.finished is not None)
        finally:
            await store.close()
            cluster.stop()
