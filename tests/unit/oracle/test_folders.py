"""Task files can call Python in the oracle's jobs: where they may come from."""

import os

import pytest

from services.runtime.folders import PACKAGES, FolderRefused, task_folder
from services.runtime.settings import Settings


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with task files beside what jobs write, and no variable set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AEVOLVE_TASK_PATH", raising=False)
    for folder in ("tasks", "elsewhere/tasks", "runs/artifacts/adapters", "runs/work/job"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def test_the_working_folder_and_our_own_task_files_are_taken_where_nothing_is_said(place):
    assert task_folder("tasks", Settings()) == place / "tasks"
    assert task_folder(str(place / "tasks"), Settings()) == place / "tasks"
    assert task_folder("deploy/campaigns/guards", Settings()) == PACKAGES / "deploy/campaigns/guards"


@pytest.mark.parametrize("include", ["runs/artifacts/adapters", "runs/work/job", "tasks/../runs/artifacts", "link"])
def test_no_file_of_a_job_is_taken_for_a_task(place, include):
    (place / "link").symlink_to(place / "runs" / "artifacts" / "adapters")
    with pytest.raises(FolderRefused, match="where jobs write"):
        task_folder(include, Settings())


@pytest.mark.parametrize("include", ["/etc", "..", "tasks/../..", "out", "services/oracle"])
def test_a_folder_outside_of_those_that_the_operator_names_is_refused(place, include):
    (place / "elsewhere" / "out").symlink_to("/etc")
    settings = Settings(task_path=str(place / "elsewhere"))
    with pytest.raises(FolderRefused, match="AEVOLVE_TASK_PATH"):
        task_folder(include, settings)
    with pytest.raises(FolderRefused):
        task_folder(str(place / "tasks"), settings)


def test_several_folders_may_be_named(place):
    settings = Settings(task_path=os.pathsep.join((str(place / "none"), str(place / "elsewhere"))))
    assert task_folder("tasks", settings) == place / "elsewhere" / "tasks"
