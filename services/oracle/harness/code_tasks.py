"""lm-eval's tasks of writing code, scored in the sandbox: the share of programs that pass their tests (pass@1).

lm-eval itself would run them in its own process (`code_eval`). Two shapes of documents are known: HumanEval's, where
the output goes on with a prompt, and MBPP's, where it is the program.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping, Sequence
from typing import Any

from services.oracle.job import CodeRefused
from services.runtime.sandbox.limits import Limits
from services.runtime.sandbox.run import run

METRIC = "pass@1"

FENCE = "```"
"""What a chat model puts around code; the first one ends a completion."""


class CodeTaskUnknown(Exception):
    """A document whose tests we do not know how to run."""


def sandboxed(config: Mapping[str, Any], *, run_code: bool) -> dict[str, Any]:
    """A task's configuration with its metric and its filters replaced by ours; the task no longer runs unsafe code.

    Raises `CodeRefused` unless the constitution allows it.
    """
    if not run_code:
        raise CodeRefused(
            f"tasks: {config['task']!r} runs code that the model wrote, and constitution.run_code is false; set it to "
            "true, or leave the task out"
        )
    ours = {
        "unsafe_code": False,
        "process_results": passes,
        "metric_list": [{"metric": METRIC, "aggregation": "mean", "higher_is_better": True}],
        "filter_list": None,
    }
    return {**config, **ours}


def passes(document: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, int]:
    """Whether the first output passes the document's tests, as lm-eval's metric.

    Raises `SandboxUnavailable` or `CodeTaskUnknown`.
    """
    output = outputs[0]
    if {"prompt", "test", "entry_point"} <= document.keys():
        prompt, function = document["prompt"], document["entry_point"]
        program, helpers = prompt + output.partition(FENCE)[0], prompt
        tests, calls = f"{document['test']}\ncheck({function})\n", {function}
    elif "test_list" in document:
        tests = "\n".join(document["test_list"])
        program, helpers = output, "\n".join([*document.get("test_imports", ()), document.get("test_setup_code", "")])
        calls = _functions_under_test(tests, helpers, document.get("code"))
    else:
        raise CodeTaskUnknown(
            f"a document has the fields {', '.join(sorted(document))}; code tasks are known with prompt, test and "
            "entry_point (HumanEval), or with test_list (MBPP)"
        )
    return {METRIC: int(run(program, tests, sorted(calls), helpers, Limits()).passed)}


def _functions_under_test(tests: str, helpers: str, solution: str | None) -> set[str]:
    """Functions that the tests use and the task leaves to the program: those of its own solution, where it has one.

    Nothing that the tests or their helpers bind is among them: the program cannot replace it. Raises `CodeTaskUnknown`
    where the helpers import names that cannot be known before they run.
    """
    own = _bound_names(tests) | _bound_names(helpers)
    used = {node.id for node in ast.walk(ast.parse(tests)) if isinstance(node, ast.Name)} - own
    if solution is not None and (solved := used & _bound_names(solution)):
        return solved
    if "*" in own:
        raise CodeTaskUnknown("a document without `code` imports `*` for its tests; name what it imports")
    return used - vars(builtins).keys()


def _bound_names(source: str) -> set[str]:
    """Names that a text assigns, imports or defines anywhere; `*` for an import of everything."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.arg(arg=name) | ast.AsyncFunctionDef(name=name) | ast.ExceptHandler(name=str(name)):
                names.add(name)
            case ast.Import(names=imported) | ast.ImportFrom(names=imported):
                names |= {(alias.asname or alias.name).partition(".")[0] for alias in imported}
    return names
