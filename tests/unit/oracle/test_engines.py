"""A server that computes the answers: the same scores as here, and a class for every way in which it fails."""

from __future__ import annotations

import json
import os
import pickle
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from schemas.campaign import ItemSet
from schemas.campaign import Model as AskedModel
from schemas.tasks import TaskList, TaskScore
from services.oracle.app import main
from services.oracle.engines import vllm
from services.oracle.engines.client import (
    EngineDenied,
    EngineGarbled,
    EngineMismatched,
    EngineSilent,
    EngineUnreachable,
)
from services.oracle.engines.registry import check_engine, engine_kind
from services.oracle.engines.vllm import served_name
from services.oracle.evaluate import evaluate
from services.oracle.job import (
    AdapterRefused,
    EngineUse,
    EvaluationJob,
    ListedSet,
    PromptTooLong,
    SealedSet,
    TokenizerUnfit,
)
from services.runtime.jobs.runner import JobFailed
from services.runtime.settings import BadSetting, Settings
from services.runtime.storage.hashing import hash_folder
from services.runtime.storage.model_folders import PickledWeights
from services.runtime.storage.trained_folders import AdapterMissing, AdapterUnsafe, form
from tests.dummy_engine import ANSWER
from tests.engine_server import Model, serving
from tests.tiny_models import DOMAINS, make_adapter, make_model
from tests.typed import there

SHA = "ab" * 32
NAME = served_name(SHA)


@dataclass
class Here:
    """A base, its adapters, and a server's model of it."""

    base: Path
    adapters: list[Path]
    served: Model
    job: EvaluationJob

    def of(self, adapter: Path | None, use: EngineUse | None = None, **differs) -> EvaluationJob:
        given = {"adapter": str(adapter), "sha256": hash_folder(adapter)} if adapter else {}
        return self.job.model_copy(update={**given, "engine": use or EngineUse(), **differs})


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Here:
    folder = tmp_path_factory.mktemp("engines")
    (folder / "key").write_bytes(b"0123456789abcdef")
    base = make_model(folder / "base")
    adapters = [make_adapter(base, folder / f"adapter{n}", n) for n in range(2)]
    job = EvaluationJob(
        candidate="r1s0",
        base=str(base),
        base_sha256=SHA,
        sets=(SealedSet(kind="dev", spec=ItemSet(items=6), nonce="n"),),
        domains=DOMAINS,
        key_file=str(folder / "key"),
        max_length=128,
        max_new_tokens=8,
        out=str(folder / "receipts"),
        copies="none",
    )
    return Here(base, adapters, Model(str(base), NAME), job)


def remote(server, **differs) -> EngineUse:
    return EngineUse(**{"kind": "remote", "url": server.url, "seconds": 30.0, **differs})


def outputs(evaluated) -> list[str]:
    lines = Path(evaluated.measured[0].receipt.uri).read_text().splitlines()
    return [json.loads(line)["output"] for line in lines]


def measure(job: EvaluationJob):
    return evaluate(job, lambda _: None)


def test_a_server_gives_the_answers_and_tokens_of_this_process_for_the_base_and_each_adapter(here) -> None:
    said = []
    with serving(here.served) as server:
        for adapter in (None, *here.adapters):
            ours, theirs = measure(here.of(adapter)), measure(here.of(adapter, remote(server)))
            assert outputs(ours) == outputs(theirs)
            assert ours.measured[0].receipt == theirs.measured[0].receipt
            assert ours.measured[0].tokens == theirs.measured[0].tokens
            said.append(tuple(outputs(theirs)))
        assert list(here.served.models) == [NAME]
    assert len(set(said)) == 3


def test_the_engine_stands_in_the_stamp_so_that_scores_of_two_are_never_compared(here) -> None:
    with serving(here.served) as server:
        theirs = measure(here.of(None, remote(server))).measured[0].stamp
    ours = measure(here.of(None)).measured[0].stamp
    assert theirs.engine == "stub 0.1, profile plain, 64 at a time, remote"
    assert ours.engine.startswith("transformers ")
    assert ours.template_sha256 == theirs.template_sha256


def test_a_server_that_is_tired_for_a_moment_is_asked_again(here) -> None:
    with serving(here.served, "tired") as server:
        assert outputs(measure(here.of(None, remote(server)))) == outputs(measure(here.of(None)))
        assert next(server.questions) == 3  # of two requests, one sent twice


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("slow", EngineSilent, r"gave no complete answer in 0\.5 s; raise AEVOLVE_ENGINE_SECONDS"),
        ("trickle", EngineSilent, r"gave no complete answer in 0\.5 s"),
        ("gone", EngineUnreachable, "does not answer .*AEVOLVE_ENGINE_URL"),
        ("garbage", EngineGarbled, "answered /completions with something other than JSON"),
        ("nothing", EngineGarbled, "something other than one text for each prompt"),
        ("deaf", EngineMismatched, f"was asked for r1s0-.*, and {NAME} answered"),
        ("tokenizer", EngineMismatched, "encodes differently"),
        ("foreign", EngineMismatched, "serves .*adapter1' on .* not .*adapter0 on"),
        ("exchanged", EngineMismatched, "serves .*adapter1' on .* not .*adapter0 on"),
    ],
)
def test_each_failure_of_a_server_has_a_class_and_the_next_candidate_is_measured(
    here, fault, error, words, monkeypatch
) -> None:
    monkeypatch.setattr("services.oracle.engines.client.PAUSES", (0.01,))
    with serving(here.served, fault) as server:
        server.foreign = str(here.adapters[1])
        use = remote(server, seconds=0.5) if fault in ("slow", "trickle") else remote(server)
        with pytest.raises(error, match=words):
            measure(here.of(here.adapters[0], use))
        server.fault = ""
        assert measure(here.of(here.adapters[1], remote(server))).measured
    assert list(here.served.models) == [NAME]


def test_a_server_that_is_not_there_is_unreachable(here, monkeypatch) -> None:
    monkeypatch.setattr("services.oracle.engines.client.PAUSES", (0.01,))
    with serving(here.served) as server:
        use = remote(server)
    with pytest.raises(EngineUnreachable, match="ConnectionRefusedError"):
        measure(here.of(None, use))


@pytest.mark.parametrize(
    ("differs", "words"),
    [({"base_sha256": "cd" * 32}, "--served-model-name base-cdcdcdcd"), ({"max_length": 512}, "--max-model-len 512")],
)
def test_a_server_of_another_base_or_with_less_room_is_refused(here, differs, words) -> None:
    with serving(here.served) as server, pytest.raises(EngineMismatched, match=words):
        measure(here.of(None, remote(server), **differs))


def test_an_adapter_that_a_server_or_this_process_cannot_load_is_refused(here, tmp_path, monkeypatch) -> None:
    other = make_adapter(make_model(tmp_path / "wide", width=64), tmp_path / "adapter", 3)
    with serving(here.served) as server, pytest.raises(AdapterRefused, match=r"lora_A.weight has the shape \[4, 128\]"):
        measure(here.of(other, remote(server)))
    monkeypatch.setattr("services.oracle.engines.remote.check_layers", lambda *_: None)
    with serving(here.served) as server, pytest.raises(AdapterRefused, match="status 500"):
        measure(here.of(other, remote(server)))
    with pytest.raises(AdapterRefused, match="does not fit the base"):
        measure(here.of(other))


def test_a_key_is_sent_and_never_in_clear_text_to_another_machine(here, tmp_path) -> None:
    key = tmp_path / "key"
    key.write_text("secret\n")
    with serving(here.served, key="secret") as server:
        assert measure(here.of(None, remote(server, key_file=str(key)))).measured
        with pytest.raises(EngineDenied, match="AEVOLVE_ENGINE_KEY_FILE"):
            measure(here.of(None, remote(server)))
    with pytest.raises(EngineDenied, match="would be sent unencrypted"):
        measure(here.of(None, EngineUse(kind="remote", url="http://vllm.example/v1", key_file=str(key))))


def test_a_prompt_is_never_cut_for_a_server(here) -> None:
    with serving(here.served) as server, pytest.raises(PromptTooLong):
        measure(here.of(None, remote(server), max_length=16))


def test_choices_are_compared_by_a_servers_log_probabilities_as_here(here, tmp_path) -> None:
    rows = [{"q": "1 + 1 =", "choices": [" 2", " 3"], "answer": n % 2} for n in range(4)]
    (tmp_path / "rows.json").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "sums.yaml").write_text(
        "task: sums\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.json}}\ntest_split: test\n"
        "output_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: choices\ndoc_to_target: answer\n"
        "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\nmetadata: {version: 1.0}\n"
    )
    tasks = TaskList(tasks=(TaskScore(task="sums", metric="acc"),), include=str(tmp_path))
    job = {"sets": (), "lists": (ListedSet(kind="external", tasks=tasks),)}
    with serving(here.served) as server:
        theirs = measure(here.of(None, remote(server), **job)).measured[0]
    ours = measure(here.of(None, **job)).measured[0]
    assert ours.scores == theirs.scores
    said = [
        [json.loads(line)["outputs"] for line in Path(taken.receipt.uri).read_text().splitlines()]
        for taken in (ours, theirs)
    ]
    for mine, other in zip(*said, strict=True):
        for (likelihood, greedy), (again, same) in zip(mine, other, strict=True):
            assert float(likelihood) == pytest.approx(float(again), abs=1e-4)
            assert greedy == same


class Trap:
    """Pickled, it would leave a mark as it is read."""

    def __reduce__(self):
        return (open, (os.environ["TRAP"], "w"))


@pytest.mark.parametrize(
    ("name", "error"), [("adapter_model.bin", PickledWeights), ("adapter_model.safetensors", AdapterUnsafe)]
)
def test_a_pickle_in_place_of_safetensors_is_refused_and_never_read(here, tmp_path, name, error, monkeypatch) -> None:
    monkeypatch.setenv("TRAP", str(tmp_path / "sprung"))
    folder = make_adapter(here.base, tmp_path / "adapter", 0)
    (folder / "adapter_model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(error, match=name):
        measure(here.of(folder))
    assert not (tmp_path / "sprung").exists()


def test_an_adapter_without_weights_is_missing(here, tmp_path) -> None:
    folder = make_adapter(here.base, tmp_path / "adapter", 0)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(AdapterMissing, match=r"holds no adapter_model\.safetensors"):
        form(folder)


def test_a_whole_checkpoint_is_measured_in_the_bases_place_and_by_no_server(here, tmp_path) -> None:
    other = make_model(tmp_path / "full", seed=5)
    for file in other.glob("tokenizer*"):
        file.unlink()
    assert form(other) == "full"
    assert outputs(measure(here.of(other))) != outputs(measure(here.of(None)))
    with serving(here.served) as server, pytest.raises(AdapterRefused, match="AEVOLVE_ENGINE=hf"):
        measure(here.of(other, remote(server)))


def test_a_tokenizer_that_leaves_its_begin_token_out_is_refused_unless_it_says_so(here, tmp_path) -> None:
    folder = make_model(tmp_path / "base")
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"post_processor": None}))
    with pytest.raises(TokenizerUnfit, match="does not put '<bos>' before a text"):
        measure(here.of(None, base=str(folder)))
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"add_bos_token": False}))
    assert measure(here.of(None, base=str(folder))).measured


def test_a_chat_template_is_part_of_the_stamp_and_of_what_is_asked(here, tmp_path) -> None:
    folder = make_model(tmp_path / "base")
    stamps = []
    for template in ("{{ messages[0].content }}", "{{ bos_token }}{{ messages[0].content }}"):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.chat_template = template
        tokenizer.save_pretrained(folder)
        job = here.of(None, base=str(folder), profile="thinking", max_length=256)
        stamps.append(measure(job).measured[0].stamp.template_sha256)
    assert len({*stamps, measure(here.of(None)).measured[0].stamp.template_sha256}) == 3


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Iterator[Path]:
    """A `vllm` that is the test's own server; the file that it notes its starts in."""
    about = tmp_path / "site" / "vllm-0.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.0\n")
    (about / "entry_points.txt").write_text("[console_scripts]\nvllm = tests.engine_server:main\n")
    monkeypatch.syspath_prepend(str(about.parent))
    root = Path(__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(about.parent), str(root))))
    monkeypatch.setenv("STUB_TOLD", str(tmp_path / "told"))
    monkeypatch.setenv("AEVOLVE_PASSWORD", "of the database")
    monkeypatch.setattr(vllm, "_warm", [])
    yield tmp_path / "told"
    for server in vllm._warm:
        server.stop()


@pytest.fixture
def foreign(tmp_path, monkeypatch) -> None:
    """Another package that registers the engine `dummy`."""
    about = tmp_path / "site" / "foreign-0.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 0.0\n")
    (about / "entry_points.txt").write_text("[aevolve.engines]\ndummy = tests.dummy_engine:Dummy\n")
    monkeypatch.syspath_prepend(str(about.parent))


def test_an_engine_of_another_package_measures_under_its_own_name(here, foreign, monkeypatch) -> None:
    monkeypatch.setenv("AEVOLVE_ENGINE", "dummy")
    settings = Settings()
    check_engine(settings)
    use = engine_kind(settings.engine).prepare(here.base, SHA, AskedModel(), settings)
    measured = measure(here.of(None, use))
    assert set(outputs(measured)) == {ANSWER}
    assert measured.measured[0].stamp.engine == "dummy 1"


def test_an_engine_that_nobody_registered_ends_the_service_with_its_name_and_the_known_ones(monkeypatch) -> None:
    with pytest.raises(BadSetting, match=r"^AEVOLVE_ENGINE: vlm; give one of hf, vllm, remote, or install"):
        check_engine(Settings(engine="vlm"))
    monkeypatch.setenv("AEVOLVE_ENGINE", "vlm")
    monkeypatch.setenv("AEVOLVE_WORKERS", "0")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2


def started(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_oracles_own_server_is_started_once_and_stays_warm_between_jobs(here, tmp_path, installed) -> None:
    settings = Settings(work=tmp_path / "work", engine="vllm", engine_seconds=30)
    for adapter in here.adapters:
        use = vllm.warm(here.base, SHA, AskedModel(max_length=128), settings)
        measured = measure(here.of(adapter, use))
        assert outputs(measured) == outputs(measure(here.of(adapter)))
    assert measured.measured[0].stamp.engine == "stub 0.1, profile plain, 64 at a time, memory 0.85, rank 256"
    (told,) = started(installed)
    assert {"--max-num-seqs=64", "--gpu-memory-utilization=0.85", f"--served-model-name={NAME}"} <= {*told["argv"]}
    assert told["secret"] is None
    folder = Path(there(use.unix_socket)).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    vllm.warm(here.base, SHA, AskedModel(max_length=64), settings)
    with pytest.raises(ProcessLookupError):
        os.kill(there(use.pid), 0)
    assert not folder.exists()


def test_a_server_that_ends_as_it_starts_is_named_with_its_log(here, tmp_path, installed, monkeypatch) -> None:
    monkeypatch.setattr("services.oracle.engines.client.PAUSES", (0.01,))
    (tmp_path / "config.json").write_text("{}")
    use = vllm.warm(tmp_path, SHA, AskedModel(max_length=128), Settings(work=tmp_path / "work"))
    with pytest.raises(EngineUnreachable, match=r"ended as it started; see .*vllm\.log"):
        measure(here.of(None, use))


def test_a_server_is_not_started_without_a_model(tmp_path, installed) -> None:
    with pytest.raises(JobFailed, match=r"model\.base: .* holds no config\.json"):
        vllm.warm(tmp_path / "nowhere", SHA, AskedModel(), Settings(work=tmp_path / "work"))
    assert not installed.exists()


@pytest.mark.parametrize(("positions", "expected"), [(1024, 130), (129, 129), (None, 128)])
def test_a_servers_context_has_two_places_more_than_an_answer_needs_where_the_model_has_them(
    tmp_path, positions, expected
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": positions} if positions else {}))
    assert vllm.context(tmp_path, 128) == expected


def test_linear_layers_are_named_without_embedding_and_output(here) -> None:
    names = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert vllm.layers(here.base) == names


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
def test_an_adapter_outside_the_layers_is_refused_by_a_server_that_would_leave_it_out(here, tmp_path, target) -> None:
    config = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=[target, "q_proj"])
    get_peft_model(AutoModelForCausalLM.from_pretrained(here.base), config).save_pretrained(tmp_path / "adapter")
    with serving(here.served) as server, pytest.raises(AdapterRefused, match=rf"{target}.*AEVOLVE_ENGINE=hf"):
        measure(here.of(tmp_path / "adapter", remote(server)))


@pytest.mark.skipif("vllm" in sys.modules, reason="vLLM is installed here")
def test_vllm_must_be_installed(tmp_path) -> None:
    with pytest.raises(JobFailed, match=r"install aevolve\[gpu\]"):
        vllm.warm(tmp_path, SHA, AskedModel(), Settings(work=tmp_path))
