"""A service that cannot reach what it needs says so in one message and exits with 2."""

import subprocess
import sys

import pytest

from eventstore.embedded.broker import EmbeddedBroker
from services.console.embedded.system import clean_environment
from tests.conftest import PASSWORDS

NOBODY = "127.0.0.1:1"


@pytest.fixture(scope="module")
def kafka():
    with EmbeddedBroker() as broker:
        yield broker.address


def serve(**variables):
    env = {**clean_environment(), **{f"AEVOLVE_{name.upper()}": value for name, value in variables.items()}}
    command = [sys.executable, "-m", "services.console", "serve", "policy"]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kafka": NOBODY}, ("AEVOLVE_KAFKA", NOBODY, "start the broker")),
        ({"postgres": f"postgresql://{NOBODY}/log"}, ("AEVOLVE_POSTGRES", NOBODY, "start the database")),
        ({"password": "guessed"}, ("AEVOLVE_POSTGRES", "refuses this service", "aevolve migrate")),
        ({"port": "high"}, ("AEVOLVE_PORT", "'high'")),
    ],
)
def test_what_cannot_be_reached_is_named_with_the_remedy(database, kafka, wrong, words):
    right = {"postgres": database, "password": PASSWORDS["policy"], "kafka": kafka, "embedded": "true"}
    ended = serve(**(right | wrong))
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert all(word in ended.stderr for word in words)
