"""The folder of a run: its secrets, its record, its lock, and what may be run in it."""

import re
import stat

import pytest

from services.console.campaign_file import load
from services.console.commands.measurement import _key, _key_file
from services.console.embedded import run_folder
from services.console.embedded.demo import plan
from services.console.embedded.run_folder import Record, RunFolder, secret
from services.console.embedded.system import KEY_NAME, oracle_key
from services.runtime.user_error import UserError
from tests.unit.console_events import BEGIN, DEMO


def test_a_secret_is_made_once_and_only_for_us(tmp_path):
    file = secret(tmp_path / "secrets" / "data")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert len(file.read_text()) >= 32
    assert secret(file).read_text() == file.read_text()


def test_the_sealed_key_of_a_run_is_its_own_and_first_the_users(tmp_path):
    keys = [oracle_key(RunFolder(tmp_path / run), tmp_path / "cache") for run in ("one", "two")]
    assert keys[0].read_text() == keys[1].read_text() == (tmp_path / "cache" / KEY_NAME).read_text()
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    text = keys[0].read_text()
    assert oracle_key(RunFolder(tmp_path / "one"), tmp_path / "of another user").read_text() == text
    assert not (tmp_path / "of another user").exists()
    file = _key_file(None, [RunFolder(tmp_path / "one").state])
    assert file is not None
    assert _key(file) == text.encode()


def test_the_record_survives(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.record() == Record()
    record = Record(campaign="c", file=load(DEMO), sessions=[(BEGIN, BEGIN)])
    record.alive()
    folder.keep(record)
    assert folder.record() == record
    assert record.clock().sessions[0][1] > BEGIN


def test_a_second_run_in_the_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder, "GRACE", -4.0)
    folder = RunFolder(tmp_path)
    with folder.lock(), pytest.raises(UserError, match="a run is alive in this folder"), folder.lock():
        pass
    with folder.lock():
        pass


def test_nothing_to_resume_is_told(tmp_path):
    with pytest.raises(UserError, match=r"--resume: .*nothing was begun here"):
        plan(RunFolder(tmp_path), DEMO, {}, resume=True)


def test_a_finished_campaign_is_not_resumed_but_followed_by_another(tmp_path):
    folder = RunFolder(tmp_path)
    folder.keep(Record(campaign="demo-1", file=load(DEMO), reported=True))
    with pytest.raises(UserError, match="demo-1 is over"):
        plan(folder, DEMO, {}, resume=True)
    assert plan(folder, DEMO, {"seed": 3}, resume=False) == Record(
        file=load(DEMO, seed=3), beside=DEMO.absolute().parent
    )


def test_a_file_that_differs_from_the_resumed_campaign_is_noted_with_its_keys(tmp_path):
    folder = RunFolder(tmp_path)
    notes: list[str] = []
    folder.keep(Record(campaign="demo-1", file=load(DEMO)))
    recorded = plan(folder, DEMO, {}, resume=True, note=notes.append)
    assert notes == []
    changed = tmp_path / "changed.yaml"
    changed.write_text(DEMO.read_text().replace("seed: 0", "seed: 7").replace("  rounds: 4", "  rounds: 5", 1))
    assert plan(folder, changed, {}, resume=True, note=notes.append) == recorded
    assert re.search(r"recorded in seed, constitution\.rounds; the recorded campaign demo-1 goes on", notes.pop())
    words = DEMO.read_text().replace("lr: 3.0e-3", "lr: 2.0e-3").replace("max_length: 256", "max_length: 200")
    changed.write_text(words.replace("items: 1", "items: 2").replace("seed: 0", "seed: 7"))
    plan(folder, changed, {}, resume=True, note=notes.append)
    assert re.search(r"recorded in seed, model\.max_length, recipe\.lr, .*, .* and 2 more; ", notes.pop())
    changed.write_text("seed: [")
    assert plan(folder, changed, {}, resume=True, note=notes.append) == recorded
    assert "goes on as it was" in notes.pop()


def test_an_unfinished_campaign_is_resumed_as_it_was_and_never_left_behind(tmp_path):
    folder = RunFolder(tmp_path)
    held = Record(campaign="demo-1", file=load(DEMO, seed=9))
    folder.keep(held)
    assert plan(folder, DEMO, {"seed": None}, resume=True) == held
    with pytest.raises(UserError, match=r"--null-twin: a resumed campaign keeps its own"):
        plan(folder, DEMO, {"null_twin": True}, resume=True)
    with pytest.raises(UserError, match=r"unfinished campaign demo-1: go on with it by --resume"):
        plan(folder, DEMO, {}, resume=False)
