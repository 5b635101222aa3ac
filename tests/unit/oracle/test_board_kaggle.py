"""Kaggle through the official client, against a fake with its signatures. Nothing here was ever sent to Kaggle."""

import inspect
import json
import re
import sys
import zipfile
from datetime import UTC, datetime
from enum import Enum
from types import SimpleNamespace

import pytest
from requests import ConnectionError as NoConnection
from requests import HTTPError, Response

from schemas.targets import KaggleTarget
from services.oracle.boards import kaggle as board_kaggle
from services.oracle.boards.ask import ask
from services.oracle.boards.board import Answer, BoardDenied, BoardGarbled, BoardRefused, BoardUnreachable, Query
from services.oracle.boards.job import key_of
from services.oracle.boards.kaggle import RECORDED, STATES, ClientMissing, open_client
from services.oracle.boards.submission_zip import AdapterUnfit
from services.runtime.jobs.runner import Again
from services.runtime.storage.hashing import hash_folder
from tests.adapters import make_adapter, make_base

KEY = key_of("c-1", "r1s1", "external")
Status = Enum("Status", {"PENDING": 0, "COMPLETE": 1, "ERROR": 2})


class Client:
    """What the official client does, as far as we use it."""

    def __init__(self):
        self.listed, self.sent, self.fault = [], [], None
        self.limits = SimpleNamespace(num_today=0, num_total=3, num_allowed_now=5, limited_by_total=False)

    def competition_submissions(self, competition, group=None, sort=None, page_number=-1, page_token="", page_size=20):
        if self.fault:
            raise self.fault
        return self.listed[:page_size] or None

    def competition_get_submission_limits(self, competition_name):
        return self.limits

    def competition_submit(self, file_name, message, competition, quiet=False, sandbox=False):
        with zipfile.ZipFile(file_name) as archive:
            self.sent.append((file_name.rpartition("/")[2], archive.namelist(), message, competition))
        self.listed.insert(0, submission(message))
        return SimpleNamespace(message="Successfully submitted", ref=7)


def submission(message, status="PENDING", score="", **more):
    said = {
        "ref": 7,
        "date": datetime(2026, 1, 1, tzinfo=UTC),
        "status": Status[status],
        "public_score": score,
        "private_score": "0.99",
        "description": message,
        "error_description": "",
        "file_name": "submission.zip",
        "total_bytes": 10,
        "submitted_by": "a person",
    }
    return SimpleNamespace(**{**said, **more})


def failing(status):
    response = Response()
    response.status_code = status
    return HTTPError("words of a stranger", response=response)


@pytest.fixture
def client(monkeypatch):
    fake = Client()
    monkeypatch.setattr(board_kaggle, "open_client", lambda: fake)
    return fake


@pytest.fixture
def asked(client, tmp_path):
    base = make_base(tmp_path / "base")

    def ask_once(rank=2, **target):
        adapter = make_adapter(tmp_path / "adapter", rank=rank)
        query = Query(
            target=KaggleTarget(competition="some-challenge", items=250, **target),
            key=KEY,
            campaign="c-1",
            candidate="r1s1",
            domains=(),
            base=str(base),
            adapter=str(adapter),
            sha256=hash_folder(adapter),
            module="q_proj",
            token_file=None,
            work=str(tmp_path / "work"),
            out=str(tmp_path / "receipts"),
            copies="none",
        )
        return ask(query, lambda _: None)

    return ask_once


def test_an_adapter_is_submitted_once_and_asked_about_until_its_score_is_there(client, asked):
    assert asked() == asked() == Again(60.0)
    message = f"aevolve {KEY} c-1 r1s1"
    files = ["adapter_config.json", "adapter_model.safetensors"]
    assert client.sent == [("submission.zip", files, message, "some-challenge")]
    client.listed[0] = submission(message, "COMPLETE", "0.852")
    answer = asked()
    assert isinstance(answer, Answer)
    assert (answer.scores.score, answer.scores.n) == (0.852, 250)
    assert answer.stamp.engine == "kaggle some-challenge"
    assert len(client.sent) == 1


def test_after_a_crash_the_list_of_submissions_is_searched_before_anything_is_sent(client, asked):
    others = [submission("by hand", "COMPLETE", "0.1"), submission(f"aevolve {key_of('c-1', 'r1s2', 'external')} x")]
    client.listed = [*others, submission(f"aevolve {KEY} c-1 r1s1", "COMPLETE", "0.5")]
    assert asked().scores.score == 0.5
    assert client.sent == []


def test_with_no_submission_left_today_the_query_waits_unsent(client, asked):
    client.limits.num_allowed_now = 0
    assert asked() == Again(60.0)
    assert client.sent == []
    client.limits.num_allowed_now = 1
    assert asked() == Again(60.0)
    assert len(client.sent) == 1


def test_the_receipt_holds_neither_the_private_score_nor_a_persons_name(client, asked):
    client.listed = [submission(f"aevolve {KEY} c-1 r1s1", "COMPLETE", "0.5")]
    kept = json.loads(open(asked().receipt.uri).read())
    assert kept["public_score"] == "0.5"
    assert kept["status"] == "COMPLETE"
    assert not {"0.99", "a person"} & set(kept.values())


def test_a_rank_above_the_competitions_is_refused_before_a_submission_is_spent(client, asked):
    with pytest.raises(AdapterUnfit, match="r: 33; the target takes 32 at most"):
        asked(rank=33)
    with pytest.raises(AdapterUnfit, match="the target takes 10: lower rank"):
        asked(max_bytes=10)
    assert client.sent == []


@pytest.mark.parametrize(
    ("listed", "failure", "message"),
    [
        (("ERROR", ""), BoardRefused, "kaggle some-challenge rejected r1s1"),
        (("COMPLETE", ""), BoardGarbled, "submission 7 is COMPLETE and its score is not a number"),
        (("COMPLETE", "nan"), BoardGarbled, "its score is not a number"),
    ],
)
def test_a_submission_without_a_score_is_told_apart(client, asked, listed, failure, message):
    client.listed = [submission(f"aevolve {KEY} c-1 r1s1", *listed)]
    with pytest.raises(failure, match=re.escape(message)):
        asked()


@pytest.mark.parametrize(
    ("fault", "failure", "message"),
    [
        (failing(401), BoardDenied, "correct the credentials and accept the rules"),
        (failing(404), BoardRefused, "check target.competition"),
        (failing(429), BoardUnreachable, "does not answer (429)"),
        (failing(503), BoardUnreachable, "does not answer (503)"),
        (NoConnection("words of a stranger"), BoardUnreachable, "does not answer (ConnectionError)"),
    ],
)
def test_each_way_to_fail_has_its_class_and_says_what_to_do(client, asked, fault, failure, message):
    client.fault = fault
    with pytest.raises(failure, match=re.escape(message)) as failed:
        asked()
    assert "stranger" not in str(failed.value)


def test_whoever_has_not_joined_the_competition_is_told_so(client, asked):
    client.limits = SimpleNamespace(num_today=0, num_total=0, num_allowed_now=0, limited_by_total=False)
    with pytest.raises(BoardDenied, match="join the competition and accept its rules"):
        asked()


def test_an_upload_that_failed_is_tried_again(client, asked, monkeypatch):
    failed = SimpleNamespace(message="Could not submit to competition", ref=0)
    monkeypatch.setattr(client, "competition_submit", lambda *_, **__: failed)
    with pytest.raises(BoardUnreachable, match="the upload failed"):
        asked()


def test_without_the_client_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "kaggle.api.kaggle_api_extended", None)
    with pytest.raises(ClientMissing, match=r"pip install 'aevolve\[kaggle\]'"):
        open_client()


def test_the_fake_has_the_signatures_states_and_fields_of_the_real_client(monkeypatch, tmp_path):
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    from kaggle.api import kaggle_api_extended as real
    from kagglesdk.competitions.types.competition_api_service import (
        ApiCreateSubmissionResponse,
        ApiSubmission,
        ApiSubmissionLimits,
    )
    from kagglesdk.competitions.types.submission_status import SubmissionStatus

    for name in ("competition_submissions", "competition_get_submission_limits", "competition_submit"):
        ours, theirs = (inspect.signature(getattr(one, name)).parameters for one in (Client, real.KaggleApi))
        assert list(ours) == list(theirs), name
    assert {status.name for status in SubmissionStatus} == set(STATES)
    assert all(hasattr(ApiSubmission(), field) for field in (*RECORDED, "public_score"))
    assert ApiCreateSubmissionResponse().ref == 0
    assert {"num_total", "num_allowed_now"} <= set(dir(ApiSubmissionLimits()))


def test_the_real_client_without_credentials_is_denied_with_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BoardDenied, match="no credentials; set KAGGLE_API_TOKEN"):
        open_client()
