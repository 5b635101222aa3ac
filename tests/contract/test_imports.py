"""Imports point one way: schemas <- judgement, tasks <- eventstore <- services <- audit <- console <- aevolve."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "judgement", "tasks", "eventstore", "sizing", "services", "audit", "aevolve")
MAY_IMPORT = {
    "schemas": {"schemas"},
    "judgement": {"schemas", "judgement"},
    "tasks": {"schemas", "tasks"},
    "eventstore": {"schemas", "judgement", "tasks", "eventstore"},
    "sizing": {"schemas", "judgement", "tasks", "eventstore", "services", "sizing"},
    "audit": {"schemas", "judgement", "tasks", "eventstore", "services", "audit"},
    "services": {"schemas", "judgement", "tasks", "eventstore", "services", "sizing", "audit"},
}
SERVICES = ("data", "recipes", "trainer", "oracle", "policy", "runtime")
HEAVY = ("torch", "transformers", "peft", "lm_eval", "datasets", "matplotlib", "confluent_kafka")


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    return modules | {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}


def ours(modules: set[str]) -> set[str]:
    return {m for m in modules if m.split(".")[0] in PACKAGES}


@pytest.mark.parametrize("package", list(MAY_IMPORT))
def test_lower_packages_never_import_higher_ones(package):
    for path in (ROOT / package).rglob("*.py"):
        strangers = {m for m in ours(imported(path)) if m.split(".")[0] not in MAY_IMPORT[package]}
        assert not strangers, f"{path.relative_to(ROOT)} imports {strangers}"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_never_imports_another(service):
    for path in (ROOT / "services" / service).rglob("*.py"):
        theirs = {m.split(".")[1] for m in imported(path) if m.startswith("services.")}
        assert theirs <= {service, "runtime"}, f"{path.relative_to(ROOT)} imports {theirs}"


def test_only_the_console_imports_the_audit_which_imports_no_console():
    for path in (ROOT / "services").rglob("*.py"):
        if not path.is_relative_to(ROOT / "services" / "console"):
            assert not {m for m in imported(path) if m.split(".")[0] == "audit"}, path.relative_to(ROOT)
    for package in ("audit", "sizing"):
        for path in (ROOT / package).rglob("*.py"):
            assert not {m for m in imported(path) if m.startswith("services.console")}, path.relative_to(ROOT)


def test_no_module_imports_itself_through_others_not_even_inside_a_function():
    """Imports below `if TYPE_CHECKING` are no imports."""
    graph = {module(path): needed(path) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    while leaves := {name for name, needs in graph.items() if not needs & graph.keys()}:
        graph = {name: needs for name, needs in graph.items() if name not in leaves}
    circle = {name: sorted(needs & graph.keys()) for name, needs in graph.items()}
    assert not circle, f"these modules import each other, or lead to such: {circle}"


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def needed(path: Path) -> set[str]:
    """Our modules that a file imports."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            inner = {name for name in names if (ROOT / name.replace(".", "/")).with_suffix(".py").exists()}
            inner |= {name for name in names if (ROOT / name.replace(".", "/")).is_dir()}
            found |= inner
            if len(inner) < len(names):
                found.add(node.module)
    return ours(found) - {module(path)}


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_the_contracts_load_no_heavy_library_and_no_io_library():
    loaded = loaded_by("import schemas.envelope, schemas.campaign")
    assert not loaded & {*HEAVY, "numpy", "scipy", "asyncpg", "aiokafka", "faststream", "yaml"}


@pytest.mark.parametrize(
    "statement",
    [
        "import judgement.history, judgement.drift.assess, judgement.search.trust, tasks.puzzles.scorer",
        "import eventstore.store, eventstore.relay",
        "import services.console.cli",
        *(f"import services.{name}.app" for name in SERVICES if name != "runtime"),
    ],
)
def test_nothing_but_a_job_loads_torch(statement):
    assert not loaded_by(statement) & set(HEAVY)
