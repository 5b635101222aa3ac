"""Commands look for `runs/demo` below the working folder, so each test has an empty one."""

import pytest


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
