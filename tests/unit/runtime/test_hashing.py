"""Hashes of content: moved files keep theirs, changed ones do not."""

from __future__ import annotations

import hashlib
import shutil
import sys

import pytest

from services.runtime.storage.hashing import hash_file, hash_folder, hash_source


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "one.txt").write_text("1")
    (tmp_path / "a" / "deep" / "two.txt").write_text("2")
    return tmp_path / "a"


def test_a_file_is_hashed_by_its_bytes(folder) -> None:
    assert hash_file(folder / "one.txt") == hashlib.sha256(b"1").hexdigest()


def test_a_moved_folder_keeps_its_hash(folder, tmp_path) -> None:
    before = hash_folder(folder)
    assert hash_folder(shutil.copytree(folder, tmp_path / "b")) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "one.txt").write_text("x"),
        lambda folder: (folder / "one.txt").rename(folder / "other.txt"),
        lambda folder: (folder / "deep" / "two.txt").unlink(),
        lambda folder: (folder / "three.txt").write_text(""),
    ],
)
def test_any_change_of_a_folder_changes_its_hash(folder, change) -> None:
    before = hash_folder(folder)
    change(folder)
    assert hash_folder(folder) != before


def test_a_missing_folder_is_named(tmp_path) -> None:
    with pytest.raises(NotADirectoryError, match="nowhere"):
        hash_folder(tmp_path / "nowhere")


def test_source_is_hashed_without_running_it(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "somepackage"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("raise SystemExit")
    before = hash_source("somepackage", "tasks.item")
    assert "somepackage.part" not in sys.modules
    (package / "notes.md").write_text("not source")
    assert hash_source("tasks.item", "somepackage") == before
    (package / "part.py").write_text("raise SystemExit(1)")
    assert hash_source("somepackage", "tasks.item") != before


def test_an_unknown_module_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match="'nosuchmodule' has no source"):
        hash_source("nosuchmodule")
