"""`code_sha256` covers what shapes a result: each module that a job imports is listed, or exempt with a reason."""

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

from services.runtime.storage.hashing import hash_source
from services.runtime.substrate import CODE
from tests.typed import there

ROOT = Path(__file__).parents[2]
OURS = ("schemas", "judgement", "tasks", "eventstore", "sizing", "services", "audit")
JOBS = ("services.data.snapshot", "services.trainer.engine", "services.oracle.evaluate")
LISTED = [name for names in CODE.values() for name in names]

CONTRACT = "a contract: what is recorded with it is compared with every release, and orders hold its values"
DECIDES = "decides what is ordered, not what comes of it; decisions are replayed"
PLUMBING = "starts and watches processes; the ranks compute"
ORDER = "the order and its result: plain data"
READS = "says where this process finds things"
ESTIMATES = "estimates memory for a refusal before the work"
EXEMPT = {
    "judgement.deciders": DECIDES,
    "judgement.history": DECIDES,
    "judgement.stamp_correction": DECIDES,
    "judgement.statistics": "intervals of scores for people and judgement; verdicts are recorded in receipts",
    "judgement.trial": DECIDES,
    "schemas": CONTRACT,
    "sizing": ESTIMATES,
    "services.data.collect.card": "describes a finished snapshot",
    "services.data.core": DECIDES,
    "services.data.job": ORDER,
    "services.runtime.folders": "names folders of this host",
    "services.oracle.job": ORDER,
    "services.oracle.reference": "decides whether the base is measured too",
    "services.oracle.stamp": "describes a score; it hashes what it describes",
    "services.runtime.http_client": "transport",
    "services.runtime.jobs": PLUMBING,
    "services.runtime.parent_watch": PLUMBING,
    "services.runtime.ports": PLUMBING,
    "services.runtime.settings": READS,
    "services.runtime.storage.object_store": "transport; what it brings must have the recorded hash",
    "services.runtime.telemetry": "log lines and traces",
    "services.trainer.distributed.launch": PLUMBING,
    "services.trainer.distributed.rank": PLUMBING,
    "services.trainer.job": ORDER,
    "services.trainer.preflight": "refuses an order before the work",
}
"""Module or package -> why an edit of it cannot change a result."""


def source(module: str) -> Path | None:
    place = ROOT.joinpath(*module.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


def imported(module: str) -> set[str]:
    """Our modules that a module names: by imports anywhere in it, or in a registry's strings `module:name`."""
    file = source(module)
    assert file is not None, module
    names = set[str]()
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.ImportFrom(module=str(package)):
                names |= {package, *(f"{package}.{alias.name}" for alias in node.names)}
            case ast.Import():
                names |= {alias.name for alias in node.names}
            case ast.Constant(value=str(text)) if "." in text and " " not in text:
                names.add(text.partition(":")[0])
    return {name for name in names if name.split(".")[0] in OURS and source(name)}


def closure(starts: tuple[str, ...]) -> set[str]:
    """Modules that are imported from these, directly or not; the `__init__` of a package is a docstring."""
    found, waiting = set[str](), list(starts)
    while waiting:
        if (module := waiting.pop()) not in found:
            found.add(module)
            waiting += imported(module)
    return {module for module in found if there(source(module)).name != "__init__.py"}


def within(module: str, names) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


@pytest.mark.parametrize("name", [*LISTED, *EXEMPT])
def test_a_named_module_exists(name):
    assert find_spec(name) is not None, f"{name} was moved or removed: correct CODE or EXEMPT"
    hash_source(name)


@pytest.mark.parametrize("job", JOBS)
def test_each_module_of_a_job_shapes_its_result_or_is_exempt_by_reason(job):
    open_ = {module for module in closure((job,)) if not within(module, (*LISTED, *EXEMPT))}
    assert not open_, "add them to services.runtime.substrate.CODE, or to EXEMPT with a reason"


def test_no_module_is_both_listed_and_exempt():
    assert not [name for name in EXEMPT if within(name, LISTED)]


def test_what_decides_or_transports_is_not_hashed():
    for name in ("services.trainer.steps", "services.oracle.app", "services.oracle.boards.job", "services.data.app"):
        assert not within(name, LISTED)
