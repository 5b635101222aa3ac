"""`import aevolve` is the public Python API: its names and signatures are kept, and it loads nothing heavy."""

import inspect
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import aevolve
from aevolve.cli import PACKAGES, foreign_package
from services.runtime.user_error import UserError

ROOT = Path(__file__).parents[2]
LOG = ROOT / "tests" / "recorded" / "demo.jsonl"
NAMES = {
    "EVENTS",
    "Campaign",
    "ChainBroken",
    "Envelope",
    "Head",
    "History",
    "Log",
    "Recipe",
    "Recomputed",
    "UserError",
    "__version__",
    "load",
    "load_campaign",
    "verify",
}
SIGNATURES = {
    "load": "(source: 'str | Path') -> 'Log'",
    "load_campaign": (
        "(path: 'Path', *, with_base: 'bool' = True, note: 'Note | None' = None, **overrides: 'Any') -> 'Campaign'"
    ),
    "verify": "(source: 'str | Path') -> 'Head'",
    "Log": "(envelopes: 'tuple[Envelope, ...]') -> None",
    "Log.events": "(self, campaign: 'str | None' = None) -> 'list[Envelope]'",
    "Log.history": "(self, campaign: 'str | None' = None) -> 'History'",
    "Log.replay": "(self, campaign: 'str | None' = None) -> 'list[Recomputed]'",
}


def test_the_public_names_are_these():
    assert set(aevolve.__all__) == NAMES
    assert set(dir(aevolve)) == NAMES
    assert all(getattr(aevolve, name) is not None for name in NAMES)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = aevolve.nothing


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_is_kept(name):
    first, _, method = name.partition(".")
    public = getattr(aevolve, first)
    assert str(inspect.signature(getattr(public, method) if method else public)) == SIGNATURES[name]


def test_the_version_is_the_installed_one():
    assert aevolve.__version__ == version("aevolve")


def test_importing_it_loads_no_library():
    code = "import sys, aevolve\nprint([m for m in ('torch', 'pydantic', 'numpy', 'asyncpg') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_a_file_is_loaded_folded_and_replayed():
    log = aevolve.load(LOG)
    assert log.campaigns == [log.history().id]
    assert log.history().finished is not None
    assert log.events()[0].type == "CampaignStarted"
    assert all(decision.identical for decision in log.replay())
    with pytest.raises(UserError, match="'nobody' is not in the log"):
        log.events("nobody")


def test_a_run_folder_is_loaded_by_its_copy_of_the_log(tmp_path):
    (tmp_path / "log.jsonl").write_text(LOG.read_text().splitlines(keepends=True)[0])
    assert len(aevolve.load(tmp_path).envelopes) == 1


def test_a_file_without_hashes_cannot_be_verified():
    with pytest.raises(UserError, match="aevolve export"):
        aevolve.verify(LOG)


def test_every_shipped_package_is_typed_and_checked_for_its_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found = {name.removesuffix("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert set(PACKAGES) == found - {"aevolve", "deploy"}
    assert all((ROOT / name / "py.typed").is_file() for name in (*PACKAGES, "aevolve"))
    assert foreign_package() is None


@pytest.mark.parametrize("name", ["schemas", "services"])
def test_a_foreign_package_ahead_on_the_path_is_reported_by_name_and_place(name, tmp_path):
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\nfrom aevolve.cli import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert f"aevolve: module {name} is loaded from {tmp_path / name}, not from this installation" in done.stderr
    assert "Traceback" not in done.stderr
