"""What `vllm serve` answers, around a small model: the protocol of `services.oracle.engines.client`, well or badly.

As a command it takes the arguments of `vllm`; in a test, `serving` runs it in a thread with the ways in which it fails.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


class Model:
    """The base and its adapters, one answer at a time."""

    def __init__(self, folder: str, name: str, room: int = 256) -> None:
        torch.set_num_threads(1)
        self.folder, self.name, self.room = folder, name, room
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.models = {name: self.base()}
        self.roots = {name: folder}
        self.lock = threading.Lock()

    def base(self):
        return AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32).eval()

    def cards(self):
        cards: list[dict[str, str | int | None]] = [
            {"id": name, "owned_by": "stub", "parent": self.name, "root": self.roots[name]} for name in self.models
        ]
        cards[0] |= {"parent": None, "max_model_len": self.room}
        return {"object": "list", "data": cards}

    def load(self, name: str, folder: str) -> None:
        assert name not in self.models
        self.models[name] = PeftModel.from_pretrained(self.base(), folder).eval().merge_and_unload()
        self.roots[name] = folder

    @torch.inference_mode()
    def complete(self, asked: dict[str, Any]) -> dict[str, Any]:
        written = [self.choice(asked, place, prompt) for place, prompt in enumerate(asked["prompt"])]
        usage = {"completion_tokens": sum(tokens for _, tokens in written)}
        return {"model": asked["model"], "choices": [choice for choice, _ in reversed(written)], "usage": usage}

    def choice(self, asked: dict[str, Any], place: int, prompt: list[int]) -> tuple[dict[str, Any], int]:
        model, ids = self.models[asked["model"]], torch.tensor([prompt])
        if asked.get("echo"):
            choice = {"index": place, "text": "", "logprobs": self.logprobs(model, ids), "finish_reason": "length"}
            written = []
        else:
            assert (asked["temperature"], asked["top_p"]) == (0.0, 1.0)
            end = self.tokenizer.eos_token_id
            ends = [end, *asked.get("stop_token_ids", ())]
            limits = {"max_new_tokens": asked["max_tokens"], "eos_token_id": ends}
            written = model.generate(input_ids=ids, do_sample=False, **limits)[0, ids.shape[1] :].tolist()
            if written[-1] in ends[1:]:  # as vLLM does: the end token is not part of the text
                written.pop()
            text = str(self.tokenizer.decode(written, skip_special_tokens=True))
            for stop in asked.get("stop", ()):
                text = text.partition(stop)[0]
            choice = {"index": place, "text": text, "finish_reason": "stop" if written[-1:] == [end] else "length"}
        return choice, len(written)

    def logprobs(self, model, ids) -> dict[str, Any]:
        told = model(input_ids=ids).logits[0].log_softmax(-1)
        rows = range(ids.shape[1])
        own = [None, *(float(told[at - 1, ids[0, at]]) for at in rows[1:]), 0.0]
        top = [None, *({"top": float(told[at - 1].max()), "own": own[at]} for at in rows[1:]), {"own": 0.0}]
        return {"token_logprobs": own, "top_logprobs": top}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        model = self.server.model
        paths = {"/v1/models": model.cards, "/version": lambda: {"version": "0.1"}}
        self.answer(200, paths[self.path]()) if self.allowed() else self.answer(401, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.allowed():
            getattr(self, self.path.rpartition("/")[2])(self.server.model, body)
        else:
            self.answer(401, {})

    def tokenize(self, model, body) -> None:
        ids = model.tokenizer(body["prompt"])["input_ids"]
        self.answer(200, {"tokens": [*ids, 7] if self.server.fault == "tokenizer" else ids})

    def load_lora_adapter(self, model, body) -> None:
        fault = self.server.fault
        try:
            with model.lock:
                model.load(body["lora_name"], self.server.foreign if fault == "foreign" else body["lora_path"])
        except (AssertionError, RuntimeError, ValueError):
            return self.answer(500, {"error": {"message": "AssertionError"}})
        return self.answer(200, "Success")

    def unload_lora_adapter(self, model, body) -> None:
        del model.models[body["lora_name"]]
        self.answer(200, "Success")

    def completions(self, model, body) -> None:
        fault, number = self.server.fault, next(self.server.questions)
        if fault == "slow":
            time.sleep(3)
        if fault == "tired" and number == 1:
            return self.answer(503, {})
        if fault == "exchanged" and number == 1:  # what vLLM's open route `/adapters` does
            model.roots[body["model"]] = self.server.foreign
        if fault == "trickle" or (fault == "gone" and number >= 1):
            return self.trickle() if fault == "trickle" else self.close_connection_now()
        if fault == "garbage" or (fault == "stumbles" and number == 0):
            return self.answer(200, "<html>hello</html>")
        if fault == "nothing":
            return self.answer(200, {"model": body["model"], "choices": [], "usage": {"completion_tokens": 0}})
        if body["model"] not in model.models:
            return self.answer(404, {"error": {"message": "no such model"}})
        with model.lock:
            said = model.complete(body)
        return self.answer(200, said | ({"model": model.name} if fault == "deaf" else {}))

    def trickle(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        with suppress(OSError):
            for _ in range(100):
                self.wfile.write(b" ")
                time.sleep(0.05)
        self.close_connection = True

    def close_connection_now(self) -> None:
        self.close_connection = True
        self.connection.close()

    def allowed(self) -> bool:
        return not self.server.key or self.headers.get("Authorization") == f"Bearer {self.server.key}"

    def answer(self, status: int, said) -> None:
        raw = (said if isinstance(said, str) else json.dumps(said)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    fault, key, foreign = "", "", ""
    model: Model

    def __init__(self, *given) -> None:
        super().__init__(*given)
        self.questions = count()

    def handle_error(self, *_) -> None:
        """A client that has hung up is part of the tests."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class SocketServer(Server):
    """Listens on a path."""

    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's asks for the name of the host


@contextmanager
def serving(model: Model, fault: str = "", key: str = "") -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.model, server.fault, server.key = model, fault, key
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    """`vllm serve FOLDER --served-model-name=NAME --uds=PATH ...`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("serve")
    parser.add_argument("folder")
    for name in ("--served-model-name", "--uds", "--max-model-len"):
        parser.add_argument(name)
    given, _ = parser.parse_known_args()
    about = {"argv": sys.argv[1:], "pid": os.getpid(), "secret": os.environ.get("AEVOLVE_PASSWORD")}
    with Path(os.environ["STUB_TOLD"]).open("a") as told:
        told.write(json.dumps(about) + "\n")
    server = SocketServer(given.uds, Handler)
    server.key = os.environ["VLLM_API_KEY"]
    server.model = Model(given.folder, given.served_model_name, int(given.max_model_len))
    server.serve_forever()
