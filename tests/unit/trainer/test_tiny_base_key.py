"""The key under which the tiny base is cached covers every file that decides what it has learnt."""

from services.trainer.tiny_base.make import ROOT, source_files


def test_the_key_covers_puzzles_split_and_training():
    names = {file.relative_to(ROOT).as_posix() for file in source_files()}
    needed = {
        "tasks/puzzles/draw.py",
        "tasks/puzzles/units.py",
        "tasks/split.py",
        "services/trainer/tiny_base/pretrain.py",
    }
    assert needed <= names
    assert all(file.is_file() for file in source_files())
