"""A target behind a board: what is asked, what is believed of its answer, and what each failure is called."""

import hashlib
import re
import time
from pathlib import Path

import pytest

from judgement.statistics import domain_score
from schemas.targets import BoardTarget
from services.oracle.adapters import AdapterChanged
from services.oracle.boards import http as board_http
from services.oracle.boards.ask import ask, scores_of
from services.oracle.boards.board import (
    Answer,
    BoardDenied,
    BoardGarbled,
    BoardRefused,
    BoardUnreachable,
    Query,
    ScoreOutOfScale,
    SubmissionStatus,
)
from services.oracle.boards.http import token_for
from services.oracle.boards.job import key_of
from services.runtime.jobs.runner import Again
from services.runtime.storage.hashing import hash_folder
from tests.adapters import make_adapter, make_base
from tests.board_server import Board, serving

KEY = key_of("c-1", "r1s1", "external")


@pytest.fixture
def board():
    with serving(Board()) as running:
        yield running


@pytest.fixture
def asked(board, tmp_path):
    """Asks the board about one candidate, and again with each call."""
    adapter, base = make_adapter(tmp_path / "adapter"), make_base(tmp_path / "base")

    def ask_once(candidate="r1s1", tokens=None, sha256=None, **target):
        query = Query(
            target=BoardTarget(**{"url": board.url, "items": 250, "poll_seconds": 7, **target}),
            key=key_of("c-1", candidate, "external"),
            campaign="c-1",
            candidate=candidate,
            domains=("bits", "roman"),
            base=str(base),
            adapter=None if candidate == "base" else str(adapter),
            sha256=None if candidate == "base" else sha256 or hash_folder(adapter),
            module="q_proj",
            token_file=tokens,
            work=str(tmp_path / "work"),
            out=str(tmp_path / "receipts"),
            copies="none",
        )
        return ask(query, lambda _: None)

    return ask_once


def test_a_score_that_comes_at_once_is_the_answer(board, asked):
    board.score = lambda s: {"score": 0.75 if s.config()["r"] == 2 else 0.0, "metric": "v2"}
    answer = asked()
    assert isinstance(answer, Answer)
    assert (answer.scores.score, answer.scores.n, answer.scores.domains) == (0.75, 250, {})
    assert answer.scores.se == pytest.approx(0.0273, abs=1e-3)
    assert answer.stamp.engine == f"board {board.url}"
    assert answer.stamp.harness == "board protocol 1, metric v2"
    assert board.held[KEY].campaign == "c-1"
    assert board.held[KEY].candidate == "r1s1"


def test_the_receipt_is_the_boards_raw_answer_under_its_hash(asked):
    receipt = asked().receipt
    data = Path(receipt.uri).read_bytes()
    assert hashlib.sha256(data).hexdigest() == receipt.sha256 == Path(receipt.uri).stem
    assert b'"state": "scored"' in data


def test_a_board_that_needs_time_is_asked_again_after_the_pause_and_gets_the_adapter_once(board, asked):
    wait = {"seconds": float("inf")}
    board.delay = lambda _: wait["seconds"]
    assert asked() == asked() == Again(7.0)
    wait["seconds"] = 0.0
    assert isinstance(asked(), Answer)
    assert board.requests == [f"GET {KEY}", f"PUT {KEY}", f"GET {KEY}", f"GET {KEY}"]


def test_a_submission_whose_answer_was_lost_is_not_sent_again(board, asked):
    board.broken = [None, "drop"]
    with pytest.raises(BoardUnreachable):
        asked()
    assert isinstance(asked(), Answer)
    assert [r.split()[0] for r in board.requests] == ["GET", "PUT", "GET"]


def test_the_base_is_measured_by_the_same_way_in(board, asked):
    board.score = lambda s: {"score": 0.25 if s.config()["r"] == 1 else 0.75}
    assert asked("base").scores.score == 0.25
    assert asked("r1s1").scores.score == 0.75


def test_a_score_is_mapped_from_the_boards_scale(board, asked):
    board.score = lambda _: {"score": 15.0}
    scores = asked(lowest=-10, highest=90, items=None, se=5.0).scores
    assert (scores.score, scores.se, scores.n) == (0.25, 0.05, 1)


def test_what_the_board_knows_of_its_error_and_its_domains_is_taken(board, asked):
    board.score = lambda _: {
        "score": 30.0,
        "se": 2.0,
        "domains": {
            "bits": {"score": 20.0, "n": 50},
            "roman": {"score": 40.0, "se": 1.0, "n": 50},
            "x": {"score": 1, "n": 1},
        },
    }
    scores = asked(highest=100).scores
    assert (scores.score, scores.se) == (0.3, 0.02)
    assert set(scores.domains) == {"bits", "roman"}  # whatever else a board tells stays in the receipt
    assert scores.domains["bits"] == domain_score(10, 50)
    assert (scores.domains["roman"].score, scores.domains["roman"].se) == (0.4, 0.01)


def test_fewer_items_than_the_campaign_states_widen_the_error(board, asked):
    board.score = lambda _: {"score": 0.5, "n": 10}
    scores = asked().scores
    assert (scores.n, scores.se) == (10, domain_score(5, 10).se)


@pytest.mark.parametrize(
    ("broken", "failure", "message"),
    [
        ([503], BoardUnreachable, "answered 503; check that it runs"),
        ([429], BoardUnreachable, "answered 429"),
        ([None, 502], BoardUnreachable, "answered 502"),
        ([403], BoardDenied, "correct its line in the file of AEVOLVE_BOARD_TOKEN_FILE"),
        ([None, 422], BoardRefused, "answered 422: it does not accept this submission"),
        ([302], BoardRefused, "answered 302"),
        ([b"<html>"], BoardGarbled, "the whole body of its answer breaks docs/guides/boards.md"),
        ([b'{"key": "x", "state": "odd"}'], BoardGarbled, "state of its answer"),
        ([b'{"key": "x", "state": "scored"}'], BoardGarbled, "the whole body of its answer"),
        ([b'{"key": "x", "state": "scored", "score": NaN}'], BoardGarbled, "of its answer"),
        ([b'{"key": "x", "state": "waiting", "protocol": 2}'], BoardGarbled, "protocol of its answer"),
        ([b'{"key": "other", "state": "waiting"}'], BoardGarbled, "answered about another submission than"),
        ([b"[" * 2_000_000], BoardGarbled, "the whole body of its answer"),
    ],
)
def test_each_way_to_fail_has_its_class_and_says_what_to_do(board, asked, broken, failure, message):
    board.broken = broken
    with pytest.raises(failure, match=re.escape(message)):
        asked()
    assert isinstance(asked(), Answer)


def test_a_board_that_is_not_there_is_unreachable(board, asked):
    with pytest.raises(BoardUnreachable, match=r"does not answer .*check that it runs and that target.url is correct"):
        asked(url="http://127.0.0.1:9")


def test_a_board_that_says_nothing_is_not_waited_for_without_end(monkeypatch, asked):
    import socket

    monkeypatch.setattr(board_http, "DEADLINE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(BoardUnreachable, match="does not answer"):
        asked(url=f"http://127.0.0.1:{mute.getsockname()[1]}")


def test_a_board_that_trickles_its_answer_misses_the_deadline(monkeypatch, board, asked):
    monkeypatch.setattr(board_http, "DEADLINE_SECONDS", 0.3)
    board.broken = ["trickle"]
    start = time.monotonic()
    with pytest.raises(BoardUnreachable, match="does not answer"):
        asked()
    assert time.monotonic() - start < 1.5


def test_a_rejected_submission_names_the_answer_that_holds_the_reason(board, asked):
    board.rejects = "rank too high"
    with pytest.raises(BoardRefused, match=r"rejected r1s1; the reason is in its answer, .*\.json") as refused:
        asked()
    assert "rank" not in str(refused.value)  # what a stranger wrote is kept out of the log
    assert b"rank too high" in Path(str(refused.value).rpartition(" ")[2]).read_bytes()


@pytest.mark.parametrize("score", [-0.1, 1.5])
def test_a_score_out_of_scale_is_no_score(board, asked, score):
    board.score = lambda _: {"score": score}
    with pytest.raises(ScoreOutOfScale, match="start a campaign with the board's own scale"):
        asked()


def test_another_adapter_under_a_known_key_is_a_conflict_not_a_second_submission(board, asked, tmp_path):
    asked()
    make_adapter(tmp_path / "adapter", value=3.0)
    board.broken = [404]
    with pytest.raises(BoardRefused, match="answered 409"):
        asked()
    assert len(board.held) == 1


def test_an_adapter_that_is_not_the_one_that_was_trained_is_not_sent(board, asked, tmp_path):
    with pytest.raises(AdapterChanged, match=r"the trainer recorded 0000.*; train it again"):
        asked(sha256="0" * 64)
    assert board.held == {}


def test_a_board_gets_its_own_token_and_no_other(board, asked, tmp_path):
    board.token = "secret"
    tokens = tmp_path / "tokens"
    tokens.write_text("https://elsewhere.example other\n")
    with pytest.raises(BoardDenied, match="answered 401") as denied:
        asked(tokens=str(tokens))
    assert "secret" not in str(denied.value)
    tokens.write_text(f"https://elsewhere.example other\n{board.url}/ secret\n")
    assert isinstance(asked(tokens=str(tokens)), Answer)


def test_a_token_never_travels_in_clear_text(tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("http://board.example secret\nhttps://board.example secret\n")
    assert token_for("https://board.example", str(tokens)) == "secret"
    with pytest.raises(BoardDenied, match="would be sent unencrypted; use https"):
        token_for("http://board.example", str(tokens))


def test_the_key_is_that_of_campaign_candidate_and_kind():
    keys = {key_of(*of) for of in (("a", "b", "external"), ("a.b", "c", "external"), ("a", "b.c", "external"))}
    assert len(keys) == 3
    assert key_of("a", "b", "external") in keys


def test_keys_that_a_later_protocol_adds_are_ignored():
    said = SubmissionStatus.model_validate_json(b'{"key": "k", "state": "scored", "score": 1, "rank": 3}')
    assert scores_of(said, BoardTarget(url="http://x", items=4)).score == 1.0
