"""A run of the search benchmark that is cut short goes on where it stopped."""

import pytest

from benchmarks.search import kept
from benchmarks.search.kept import ResultStore
from benchmarks.search.pooled import spread


def doubled(task):
    if task < 0:
        raise ValueError(f"{task} is below 0")
    return 2 * task


def test_what_was_done_before_a_failure_is_not_done_again(tmp_path):
    file = str(tmp_path / "kept.sqlite")
    with pytest.raises(ValueError, match="below 0"):
        spread(doubled, [1, 2, 3, -1], file)
    with ResultStore(file) as found:
        assert [found.find(doubled, task) for task in (1, 2, 3, -1)] == [2, 4, 6, None]
        found.add(doubled, 2, "kept")
    assert spread(doubled, [1, 2, 3, 4], file) == [2, "kept", 6, 8]


def test_results_of_other_code_do_not_count(tmp_path, monkeypatch):
    with ResultStore(str(tmp_path / "kept.sqlite")) as found:
        found.add(doubled, 1, 2)
        monkeypatch.setattr(kept, "code", lambda: "other")
        assert found.find(doubled, 1) is None
