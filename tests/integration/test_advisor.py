"""The question to an advisor, over HTTP, in a process of its own: whatever answers, the job ends in one known way."""

import hashlib
import json
import socket

import pytest

from schemas.advisor import AdvisorRule
from services.recipes.advisor import MOST_BYTES, Question
from services.runtime.jobs.runner import JobFailed, JobRunner
from tests.advisors import advice, endpoint, says, sends

CHANGES = ("traces=1", "rank=32")


@pytest.fixture(scope="module")
def runner():
    return JobRunner(["services.recipes.advisor"])


@pytest.fixture
def server():
    with endpoint() as running:
        yield running


def question(url, **more):
    rule = AdvisorRule(model="adviser", seconds=30, slots=2)
    given = {"url": url, "key_file": None, "rule": rule, "seed": 2**32 - 1, "max_changes": 2, "round": 2}
    return Question(**{**given, "changes": CHANGES, "evidence": {"trials": []}, **more})


async def ask(runner, asked, seconds=20):
    return await runner.run("services.recipes.advisor:ask", asked, lambda _: None, seconds)


async def failure(runner, asked, seconds=20):
    with pytest.raises(JobFailed) as failed:
        await ask(runner, asked, seconds)
    return failed.value


async def test_a_good_answer_is_read_and_its_bytes_are_named(runner, server):
    server.reply = says(advice(("traces=1",), ("rank=32", "traces=1")))
    said = await ask(runner, question(server.url))
    assert [p.changes for p in said.proposals] == [("traces=1",), ("rank=32", "traces=1")]
    assert (said.model, said.words) == ("adviser-8b", "Dev misleads in cipher.")
    body = json.dumps({"model": "adviser-8b", "choices": [{"message": {"content": server_content(said)}}]}).encode()
    assert said.answer == hashlib.sha256(body).hexdigest()


def server_content(said):
    return advice(*(p.changes for p in said.proposals), words=said.words)


async def test_the_question_is_deterministic_and_asks_for_a_strict_schema(runner, server):
    for _ in range(2):
        await ask(runner, question(server.url))
    (path, _, first), (_, _, second) = server.requests
    assert path == "/v1/chat/completions"
    assert first == second
    assert (first["model"], first["temperature"], first["seed"]) == ("adviser", 0, 2**31 - 1)
    form = first["response_format"]["json_schema"]
    assert form["strict"] is True
    proposal = form["schema"]["properties"]["proposals"]["items"]
    assert proposal["properties"]["changes"]["items"]["enum"] == list(CHANGES)
    assert set(proposal["required"]) == set(proposal["properties"])
    given = json.loads(first["messages"][1]["content"])
    assert given == {"round": 2, "slots": 2, "max_changes": 2, "changes": list(CHANGES), "evidence": {"trials": []}}


async def test_the_key_is_sent_as_a_bearer_and_only_where_there_is_one(runner, server, tmp_path):
    key = tmp_path / "key"
    key.write_text("sk-1234\n")
    await ask(runner, question(server.url, key_file=key))
    await ask(runner, question(server.url))
    assert [headers.get("Authorization") for _, headers, _ in server.requests] == ["Bearer sk-1234", None]


@pytest.mark.parametrize(
    "content",
    [
        "I would raise the learning rate. Ada Lovelace",
        "{}",
        None,
        json.dumps({"proposals": [], "words": "w", "score": 1.0}),
        json.dumps({"proposals": [{"changes": "rank=32", "reason": "r"}], "words": "w"}),
        json.dumps({"proposals": [{"changes": ["rank=32"] * 17, "reason": "r"}], "words": "w"}),
        json.dumps({"proposals": [{"changes": [], "reason": "r"}] * 65, "words": "w"}),
        "[" * 100_000,
        '{"proposals": [], "words": "\\ud800"}',
    ],
    ids=["prose", "nothing", "silence", "more", "text", "long", "many", "deep", "half a character"],
)
async def test_an_answer_of_another_form_is_unusable_and_never_quoted(runner, server, content):
    server.reply = says(content)
    failed = await failure(runner, question(server.url))
    assert failed.error == "AnswerUnusable"
    assert "another form than the one asked for" in failed.message
    assert "Ada" not in failed.message


@pytest.mark.parametrize("body", [b"\xff\xfe", b"<html>", b"", b'{"choices": []}'])
async def test_a_body_that_is_no_completion_is_unusable(runner, server, body):
    server.reply = sends(200, body)
    assert (await failure(runner, question(server.url))).error == "AnswerUnusable"


async def test_an_enormous_answer_is_read_up_to_a_bound(runner, server):
    def pour(handler):
        handler.send_response(200)
        handler.end_headers()
        while not server.released.is_set():  # without an end; the reader hangs up
            try:
                handler.wfile.write(b"x" * 65536)
            except OSError:
                return

    server.reply = pour
    failed = await failure(runner, question(server.url))
    assert (failed.error, str(MOST_BYTES) in failed.message) == ("AnswerUnusable", True)


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
async def test_a_refusal_says_its_status(runner, server, status):
    server.reply = sends(status, b"go away, Ada")
    failed = await failure(runner, question(server.url))
    assert (failed.error, f"status {status}" in failed.message) == ("EndpointFailed", True)
    assert "Ada" not in failed.message


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirection_is_not_followed(runner, server, status):
    with endpoint() as elsewhere:
        server.reply = sends(status, b"", Location=f"{elsewhere.url}/chat/completions")
        failed = await failure(runner, question(server.url))
        assert failed.error == "EndpointFailed"
        assert "a redirection is not followed" in failed.message
        assert elsewhere.requests == []


async def test_where_nobody_listens_the_address_is_named_as_the_thing_to_correct(runner):
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    failed = await failure(runner, question(f"http://127.0.0.1:{port}/v1"))
    assert failed.error == "EndpointUnreachable"
    assert failed.message.startswith("AEVOLVE_ADVISOR_URL: the endpoint gave no answer (Connection refused)")


async def test_an_answer_that_is_not_http_is_no_answer(runner, server):
    server.reply = lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH Ada\r\n\r\n")
    failed = await failure(runner, question(server.url))
    assert (failed.error, "Ada" in failed.message) == ("EndpointUnreachable", False)


@pytest.mark.parametrize("drips", [False, True], ids=["silent", "dripping"])
async def test_who_is_slower_than_the_deadline_is_not_waited_for(runner, server, drips):
    def wait(handler):
        handler.send_response(200)
        handler.end_headers()
        while not server.released.wait(0.05):
            if drips:
                try:
                    handler.wfile.write(b" ")
                except OSError:
                    return

    server.reply = wait
    assert (await failure(runner, question(server.url), seconds=1.0)).error == "DeadlinePassed"


async def test_an_answer_that_trickles_in_misses_the_campaigns_deadline(runner, server):
    def trickle(handler):
        handler.send_response(200)
        handler.end_headers()
        while not server.released.wait(0.05):
            try:
                handler.wfile.write(b" ")
            except OSError:
                return

    server.reply = trickle
    asked = question(server.url)
    asked = asked.model_copy(update={"rule": asked.rule.model_copy(update={"seconds": 1.0})})
    failed = await failure(runner, asked)
    assert (failed.error, "TimeoutError" in failed.message) == ("EndpointUnreachable", True)


async def test_an_installation_without_address_or_key_says_what_to_set(runner, tmp_path):
    failed = await failure(runner, question(None))
    assert (failed.error, failed.message.partition(":")[0]) == ("AdvisorUnset", "AEVOLVE_ADVISOR_URL")
    failed = await failure(runner, question("http://127.0.0.1:1/v1", key_file=tmp_path / "none"))
    assert (failed.error, failed.message.partition(":")[0]) == ("AdvisorUnset", "AEVOLVE_ADVISOR_KEY_FILE")


async def test_what_a_terminal_would_obey_is_taken_out_and_long_words_are_cut(runner, server):
    words = "a\u001b[2Jb\u0000\u202ec\nd" + "e" * 9000
    server.reply = says(advice(("ra\u0007nk=32",), words=words), model="m\u001b]0;x\u0007")
    said = await ask(runner, question(server.url))
    assert said.words.startswith("a[2Jbc\ndeee")
    assert (len(said.words), said.words[-3:]) == (8000, "...")
    assert (said.proposals[0].changes, said.model) == (("rank=32",), "m]0;x")
