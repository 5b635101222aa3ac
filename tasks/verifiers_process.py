"""The part of a verifiers suite that runs in the process of user code: it loads the taskset and judges answers.

A task is asked in one turn and judged by its rewards alone, which needs neither a model nor a server: the answer is the
only reply of a finished trace.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from types import ModuleType
from typing import Any

MOST = 200_000
"""Tasks of a taskset that are read."""


class TasksetRefused(ValueError):
    """A taskset that cannot be measured in one turn without a model."""


def rows(module: ModuleType, attribute: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The tasks as `rows` of `prompt` (text or turns), `answer` and `index`, and the number of `unread` ones by reason.

    A taskset that cannot be used is `refused` instead.
    """
    try:
        tasks = _tasks(module, attribute, json.dumps(options))
    except TasksetRefused as refused:
        return {"refused": str(refused)}
    read, unread = [], dict[str, int]()
    for index, task in enumerate(tasks):
        prompt = _prompt(task.data)
        if isinstance(prompt, _Unasked):
            unread[prompt.reason] = unread.get(prompt.reason, 0) + 1
            continue
        answer = getattr(task.data, "answer", None)
        has_text = isinstance(answer, (str, int, float)) and not isinstance(answer, bool)
        read.append({"index": index, "prompt": prompt, "answer": str(answer) if has_text else ""})
    return {"rows": read, "unread": unread}


def score(
    module: ModuleType, attribute: str, options: Mapping[str, Any], indexes: Sequence[int], completions: Sequence[str]
) -> list[float | None]:
    """The weighted sum of the rewards of each answer, within [0, 1]; None where no reward applies."""
    tasks = _tasks(module, attribute, json.dumps(options))
    return asyncio.run(_scores([tasks[index] for index in indexes], completions))


async def _scores(tasks: Sequence[Any], completions: Sequence[str]) -> list[float | None]:
    return [await _score(task, completion) for task, completion in zip(tasks, completions, strict=True)]


async def _score(task: Any, completion: str) -> float | None:
    import verifiers.v1 as vf  # noqa: PLC0415 - ten seconds, and not everywhere
    from verifiers.v1.state import state_cls  # noqa: PLC0415

    nodes = [vf.MessageNode(message=message) for message in _messages(task.data)]
    nodes.append(vf.MessageNode(message=vf.AssistantMessage(content=completion), sampled=True))
    for at, node in enumerate(nodes[1:]):
        node.parent = at
    trace = vf.Trace(
        task=vf.TraceTask(type=type(task).__name__, data=task.data, key=task.key, hash=task.hash),
        agent=vf.AgentInfo(config=vf.AgentConfig()),
        state=state_cls(type(task))(),
        nodes=nodes,
        root_reply=completion,
        is_completed=True,
        ok=True,
    )
    await task.score(trace)
    if all(reward is None for reward in trace.rewards.values()):
        return None
    return 0.0 if math.isnan(trace.reward) else min(1.0, max(0.0, trace.reward))


@lru_cache(maxsize=4)
def _tasks(module: ModuleType, attribute: str, options: str) -> list[Any]:
    """The tasks of the taskset that a module has. Raises `TasksetRefused`."""
    taskset = _taskset(module, attribute, json.loads(options))
    if not taskset.bounded:
        raise TasksetRefused(f"{attribute} is infinite; subclass it with a load() that ends")
    tasks = list(islice(taskset, MOST + 1))
    if not tasks:
        raise TasksetRefused(f"{attribute} has no task; check its options")
    if len(tasks) > MOST:
        raise TasksetRefused(f"{attribute} has more than {MOST} tasks; subclass it with a shorter load()")
    _judged_offline(taskset, tasks[0])
    return tasks


def _taskset(module: ModuleType, attribute: str, options: Mapping[str, Any]) -> Any:
    import verifiers.v1 as vf  # noqa: PLC0415
    from verifiers.v1.utils.generic import concrete_type  # noqa: PLC0415

    target: Any = module
    for part in attribute.split("."):
        target = getattr(target, part, None)
    if isinstance(target, vf.Taskset) and not options:
        return target
    if isinstance(target, type) and issubclass(target, vf.Taskset):
        config = concrete_type(target, vf.TasksetConfig, origin=vf.Taskset) or vf.TasksetConfig
        try:
            return target(config(**options))
        except (TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise TasksetRefused(f"{attribute} does not take the options {json.dumps(options)}: {reason}") from error
    names = [name for name, value in vars(module).items() if isinstance(value, type) and issubclass(value, vf.Taskset)]
    raise TasksetRefused(
        f"{attribute} is no Taskset of {module.__name__}, which has {', '.join(names) or 'none'}; name one"
        f"{', and no options beside an instance' if isinstance(target, vf.Taskset) else ''}"
    )


def _judged_offline(taskset: Any, task: Any) -> None:
    """Refuse tasks that need tools, a container or another model."""
    rewards = task.hooks("reward")
    parameters = {reward.__name__: inspect.signature(reward).parameters.get("runtime") for reward in rewards}
    needing = [name for name, parameter in parameters.items() if parameter and parameter.default is parameter.empty]
    name = type(task).__name__
    if task.NEEDS_CONTAINER or needing:
        raise TasksetRefused(f"{name} needs a container{f' ({needing[0]})' if needing else ''}; it cannot be used")
    if type(taskset).toolsets(taskset.config) or type(task).toolsets(task.config):
        raise TasksetRefused(f"{name} needs tools, so it is asked in several turns; it cannot be used")
    if task.plugged_judges():
        raise TasksetRefused(f"{name} is judged by a model; it cannot be used")
    if not rewards:
        raise TasksetRefused(f"{name} has no reward; give it a method with @vf.reward, or name a scorer")


class _Unasked:
    """A task that cannot be asked; `reason` is the name under which it is counted."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def _messages(data: Any) -> list[Any]:
    import verifiers.v1 as vf  # noqa: PLC0415

    system = [vf.SystemMessage(content=data.system_prompt)] if data.system_prompt else []
    turns = [vf.UserMessage(content=data.prompt)] if isinstance(data.prompt, str) else data.prompt or []
    return [*system, *turns]


def _prompt(data: Any) -> str | list[dict[str, str]] | _Unasked:
    if isinstance(data.prompt, str) and not data.system_prompt:
        return data.prompt if data.prompt.strip() else _Unasked("no_prompt")
    turns = []
    for message in _messages(data):
        if message.role == "tool" or getattr(message, "tool_calls", None):
            return _Unasked("tool_calls")
        content = message.content
        if isinstance(content, list):
            texts = [getattr(part, "text", None) for part in content]
            content = None if None in texts else "\n".join(str(text) for text in texts)
        if not isinstance(content, str):
            return _Unasked("not_text")
        turns.append({"role": message.role, "content": content})
    return turns if any(turn["role"] == "user" for turn in turns) else _Unasked("no_prompt")
