"""A stand-in for `verifiers` 0.4 with the part of its interface that a single-turn task needs."""

from __future__ import annotations

from pathlib import Path

V1 = """
from typing import Any, Generic, TypeVar
from pydantic import BaseModel, ConfigDict, Field

class UserMessage(BaseModel):
    role: str = "user"
    content: Any

class SystemMessage(UserMessage):
    role: str = "system"

class AssistantMessage(UserMessage):
    role: str = "assistant"
    tool_calls: Any = None

class ToolMessage(UserMessage):
    role: str = "tool"

class TaskData(BaseModel):
    model_config = ConfigDict(frozen=True)
    idx: int | None = None
    prompt: Any = None
    system_prompt: str | None = None

class TaskConfig(BaseModel):
    pass

class TasksetConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")
    task: TaskConfig = TaskConfig()

class State(BaseModel):
    pass

D, C, T = TypeVar("D"), TypeVar("C"), TypeVar("T")

def reward(weight=1.0):
    def mark(function):
        function.reward, function._vf_weight = True, weight
        return function
    return mark

class Task(Generic[D]):
    NEEDS_CONTAINER = False
    key = hash = "hash"

    def __init__(self, data, config=None):
        self.data, self.config = data, config

    def hooks(self, kind):
        return [getattr(self, name) for name in sorted(dir(type(self))) if hasattr(getattr(type(self), name), kind)]

    def plugged_judges(self):
        return []

    @classmethod
    def toolsets(cls, config):
        return []

    async def score(self, trace, runtime=None):
        for hook in self.hooks("reward"):
            trace.rewards[hook.__name__] = Reward(score=await hook(trace), weight=hook._vf_weight)

class Taskset(Generic[T, C]):
    INFINITE = False

    def __init__(self, config):
        self.config = config

    @property
    def bounded(self):
        return not self.INFINITE

    def __iter__(self):
        for index, task in enumerate(self.load()):
            task.data = task.data.model_copy(update={"idx": index})
            yield task

    @classmethod
    def toolsets(cls, config):
        return []

class Reward(BaseModel):
    score: float
    weight: float

class MessageNode(BaseModel):
    message: Any
    sampled: bool = False
    parent: int | None = None

class TraceTask(BaseModel):
    type: str
    data: Any
    key: str
    hash: str

class AgentConfig(BaseModel):
    pass

class AgentInfo(BaseModel):
    config: AgentConfig

class Trace(BaseModel):
    task: TraceTask
    agent: AgentInfo
    state: State
    nodes: list[MessageNode]
    root_reply: str
    is_completed: bool
    ok: bool
    rewards: dict[str, Any] = Field(default_factory=dict)

    @property
    def reward(self):
        return sum(r.score * r.weight for r in self.rewards.values())

    @property
    def last_reply(self):
        return self.root_reply.strip()

    @property
    def assistant_messages(self):
        return [node.message for node in self.nodes if node.sampled]
"""
GENERIC = """
from typing import get_args, get_origin

def concrete_type(cls, bound, *, origin=None):
    for base in getattr(cls, "__orig_bases__", ()):
        for argument in get_args(base):
            if isinstance(argument, type) and issubclass(argument, bound):
                return argument
    return None
"""
STATE = "from verifiers.v1 import State\n\ndef state_cls(cls):\n    return State\n"


def install(folder: Path) -> None:
    """Write the package and its metadata."""
    files = {
        "verifiers/__init__.py": "",
        "verifiers/v1/__init__.py": V1,
        "verifiers/v1/state.py": STATE,
        "verifiers/v1/utils/__init__.py": "",
        "verifiers/v1/utils/generic.py": GENERIC,
        "verifiers-0.4.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: verifiers\nVersion: 0.4.0\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
