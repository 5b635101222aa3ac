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
from services.oracle.sandbox.limits import Limits
from services.oracle.sandbox.run import run

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
        tests, calls = f"{document['test']}\ncheck({function})\n", [function]
    elif "test_list" in document:
        tests = "\n".join(document["test_list"])
        program, helpers, calls = output, document.get("test_setup_code", ""), sorted(_called_functions(tests))
    else:
        raise CodeTaskUnknown(
            f"a document has the fields {', '.join(sorted(document))}; code tasks are known with prompt, test and "
            "entry_point (HumanEval), or with test_list (MBPP)"
        )
    return {METRIC: int(run(program, tests, calls, helpers, Limits()).passed)}


def _called_functions(tests: str) -> set[str]:
    """Functions that the tests call and do not define; the program must define them."""
    nodes = list(ast.walk(ast.parse(tests)))
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return called - stored - vars(builtins).keys()
