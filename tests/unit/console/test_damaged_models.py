"""A damaged folder of a model: every command and every job names the file and the remedy, without a traceback."""

import json
import re
import shutil
import struct
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from services.console.campaign_file import load
from services.console.cli import app
from services.oracle.score_job import SCORING
from services.runtime.jobs.runner import JobFailed
from services.runtime.storage.model_folders import INDEX, ModelDamaged, load_tokenizer, model_folder
from services.runtime.substrate import base_folder
from services.runtime.user_error import UserError
from services.trainer.adapter_job import TRAINING
from tests.tiny_models import make_chat_model

RUNNER = CliRunner()
ITEMS = "".join(json.dumps({"question": f"{n} + 1?", "answer": str(n + 1)}) + "\n" for n in range(300))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return make_chat_model(tmp_path_factory.mktemp("sound") / "base")


@pytest.fixture
def base(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "base")


@pytest.fixture
def campaign(base, tmp_path):
    (tmp_path / "items.jsonl").write_text(ITEMS)
    file = tmp_path / "campaign.yaml"
    done = RUNNER.invoke(
        app, ["init", "--model", str(base), "--train", str(tmp_path / "items.jsonl"), "--out", str(file)]
    )
    assert done.exit_code == 0, done.output
    return file


def shortened(file):
    file.write_bytes(file.read_bytes()[:-100])


def unreadable(file):
    file.unlink()
    file.mkdir()


def indexed(folder, **places):
    (folder / INDEX).write_text(json.dumps({"weight_map": places}))


DAMAGES = {
    "the tokenizer is missing": (lambda base: (base / "tokenizer.json").unlink(), "holds no tokenizer"),
    "the tokenizer is cut short": (lambda base: shortened(base / "tokenizer.json"), r"tokenizer\.json is damaged"),
    "the tokenizer is unreadable": (
        lambda base: unreadable(base / "tokenizer.json"),
        r"tokenizer\.json cannot be read",
    ),
    "the configuration is cut short": (lambda base: shortened(base / "config.json"), r"config\.json is damaged"),
    "the configuration is empty": (lambda base: (base / "config.json").write_text(""), r"config\.json is damaged"),
    "the configuration is a list": (lambda base: (base / "config.json").write_text("[]"), "holds no JSON object"),
    "the configuration is unreadable": (lambda base: unreadable(base / "config.json"), r"config\.json cannot be read"),
    "the configuration is binary": (lambda base: (base / "config.json").write_bytes(b"\xff\xfe"), "is damaged"),
    "the weights are cut short": (
        lambda base: shortened(base / "model.safetensors"),
        r"is cut short: [\d,]+ of [\d,]+",
    ),
    "the weights are empty": (
        lambda base: (base / "model.safetensors").write_bytes(b""),
        "less than its header|damaged",
    ),
    "the weights are a page": (lambda base: (base / "model.safetensors").write_text("<html>" * 9), "is damaged"),
    "the weights are unreadable": (lambda base: unreadable(base / "model.safetensors"), "cannot be read"),
    "the weights lack a file": (
        lambda base: indexed(base, lm_head="model-2.safetensors"),
        "names 'model-2.safetensors'",
    ),
    "the weights lack a tensor": (lambda base: indexed(base, gone="model.safetensors"), "lacks the tensor 'gone'"),
    "the index is no index": (lambda base: (base / INDEX).write_text("{}"), "holds no weight_map"),
    "the generation settings are broken": (
        lambda base: (base / "generation_config.json").write_text("{"),
        r"generation_config\.json is damaged",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_command_names_what_is_damaged(damage, base, campaign):
    harm, words = DAMAGES[damage]
    harm(base)
    with pytest.raises(UserError, match=words):
        load(campaign)  # as `start` and `run` do
    for command in ("try", "plan"):
        done = RUNNER.invoke(app, [command, str(campaign)])
        assert (done.exit_code, type(done.exception)) == (2, SystemExit), done.output
        assert "model.base: " in done.output
        assert str(base) in done.output


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_job_fails_by_name_and_is_not_tried_again(damage, base, monkeypatch):
    from schemas.campaign import Substrate

    monkeypatch.setattr("services.runtime.substrate.code_sha256", lambda: "0" * 64)
    DAMAGES[damage][0](base)
    order = Substrate(base_sha256="1" * 64, code_sha256="0" * 64, base_uri=str(base), active_parameters=1)
    with pytest.raises(JobFailed, match=DAMAGES[damage][1]) as failure:
        base_folder(order)
    assert failure.value.error in TRAINING.permanent & SCORING.permanent & TRAINING.uncharged


def test_a_tokenizer_of_another_form_is_named(base, campaign):
    (base / "tokenizer.json").write_text('{"model": {"type": "Dreamt"}}')
    with pytest.raises(ModelDamaged, match="no tokenizer can be made of its files"):
        load_tokenizer(model_folder(str(base)))
    done = RUNNER.invoke(app, ["try", str(campaign)])
    assert (done.exit_code, type(done.exception)) == (2, SystemExit), done.output
    assert "no tokenizer can be made" in done.output


@pytest.mark.parametrize("config", [{}, {"model_type": []}, {"model_type": "dreamt"}, {"hidden_size": "wide"}])
def test_a_configuration_of_no_model_is_named(config, base, campaign):
    content = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**content, **config} if config else {}))
    for command in ("try", "plan"):
        done = RUNNER.invoke(app, [command, str(campaign)])
        assert (done.exit_code, type(done.exception)) == (2, SystemExit), (command, done.output, done.exception)
        assert "model.base: " in done.output


def test_weights_of_another_shape_are_named(base, campaign):
    raw = (base / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + length])
    name, tensor = next((n, t) for n, t in header.items() if n != "__metadata__" and len(t["shape"]) == 2)
    header[name] = {**tensor, "shape": [tensor["shape"][0] * 2, tensor["shape"][1] // 2]}
    text = json.dumps(header).encode()
    (base / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])
    done = RUNNER.invoke(app, ["try", str(campaign)])
    assert (done.exit_code, type(done.exception)) == (2, SystemExit), (done.output, done.exception)
    assert "model.base: " in done.output


def test_a_first_campaign_names_what_it_cannot_read(base, campaign, tmp_path):
    (base / "tokenizer_config.json").write_text("{")
    (base / "chat_template.jinja").unlink()
    items = str(tmp_path / "items.train.jsonl")
    more = ["--train", items, "--eval", str(tmp_path / "items.eval.jsonl"), "--out", str(tmp_path / "second.yaml")]
    done = RUNNER.invoke(app, ["init", "--model", str(base), *more])
    assert (done.exit_code, type(done.exception)) == (2, SystemExit), done.output
    assert "tokenizer_config.json is damaged" in done.output


def test_a_sound_folder_is_tried(campaign):
    done = RUNNER.invoke(app, ["try", str(campaign), "--items", "1"])
    assert done.exit_code == 0, (done.output, done.exception)
    lines = done.stdout.strip().splitlines()
    first = next(at for at, line in enumerate(lines) if not line.startswith("note: "))
    assert re.fullmatch(r"loading .*base, asking 1 items of dev \.\.\.", lines[first])
    assert lines[first + 1].startswith("--- ")
    assert re.search(r"mean \d\.\d{3} of 1", lines[-1])


def test_a_trial_prints_its_line_first_and_no_warnings_of_libraries(campaign):
    code = (
        "import logging, sys, warnings\n"
        "import services.oracle.evaluate as module\n"
        "from services.console.cli import app\n"
        "def loud(job, report):\n"
        "    logging.getLogger('library').warning('kernel missing')\n"
        "    warnings.warn('old call', FutureWarning)\n"
        "    print('evaluating', flush=True)\n"
        "    raise module.model_folder('nowhere')\n"
        "module.evaluate = loud\n"
        f"app(['try', {str(campaign)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout.index("loading ") < done.stdout.index("evaluating")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("aevolve: ModelMissing: model.base: 'nowhere'")
