"""Single-turn tasks of `verifiers` as a suite: with a stand-in of its interface, and with the package where it is."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib import metadata

import pytest

from schemas.suites import SETS, VerifiersSuite
from services.runtime.places import places
from services.runtime.settings import Settings
from tasks.item import Item
from tasks.registry import check_pin, open_suite
from tasks.split import split_of
from tasks.suite import ItemsChanged, SuiteRefused, UserCodeFailed
from tests.unit.folder_places import NOWHERE
from tests.unit.tasks import verifiers_stub

TASKSETS = """
import verifiers.v1 as vf

class Data(vf.TaskData):
    answer: int

class Sum(vf.Task[Data]):
    @vf.reward(weight=0.75)
    async def correct(self, trace) -> float:
        return float(trace.last_reply.endswith(str(self.data.answer)))

    @vf.reward(weight=0.25)
    async def short(self, trace) -> float:
        return float(len(trace.assistant_messages[-1].content) < 10)

class Config(vf.TasksetConfig):
    size: int = 200
    penalty: bool = False

class Sums(vf.Taskset[Sum, Config]):
    def load(self):
        for n in range(self.config.size):
            yield Sum(Data(prompt=f"{n} + 1?", answer=n + 1))

class Chat(Sums):
    def load(self):
        asked = [vf.UserMessage(content="Hi"), vf.AssistantMessage(content="Hello"), vf.UserMessage(content="1 + 1?")]
        yield Sum(Data(prompt=asked, system_prompt="Be brief.", answer=2))
        yield Sum(Data(prompt="  ", answer=2))
        yield Sum(Data(prompt=[vf.ToolMessage(content="x", tool_call_id="1")], answer=2))

class Empty(Sums):
    def load(self):
        return iter(())

class Endless(Sums):
    INFINITE = True

class Wild(vf.Task[Data]):
    @vf.reward(weight=3.0)
    async def any(self, trace) -> float:
        return {"much": 2.0, "minus": -1.0}.get(trace.last_reply, 0.1)

class Wilds(vf.Taskset[Wild, Config]):
    def load(self):
        yield Wild(Data(prompt="q", answer=1))

class Boxed(vf.Task[Data]):
    @vf.reward()
    async def built(self, trace, runtime) -> float:
        return 1.0

class Container(vf.Taskset[Boxed, Config]):
    def load(self):
        yield Boxed(Data(prompt="q", answer=1))

class Bare(vf.Task[Data]):
    pass

class NoReward(vf.Taskset[Bare, Config]):
    def load(self):
        yield Bare(Data(prompt="q", answer=1))

class Raising(vf.Task[Data]):
    @vf.reward()
    async def broken(self, trace) -> float:
        raise KeyError("no key")

class Broken(vf.Taskset[Raising, Config]):
    def load(self):
        yield Raising(Data(prompt="q", answer=1))
"""


@pytest.fixture(scope="module", params=["stand-in", "verifiers"])
def here(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasksets")
    (folder / "tasksets.py").write_text(TASKSETS)
    installed = importlib.util.find_spec("verifiers") is not None
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "stand-in":
            stub = tmp_path_factory.mktemp("stub")
            verifiers_stub.install(stub)
            patch.syspath_prepend(stub)
            patch.setenv(
                "PYTHONPATH", os.pathsep.join([str(stub), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
            )
        elif not installed:
            pytest.skip("verifiers is not installed: pip install 'aevolve[verifiers]'")
        with places(Settings(task_path=str(folder))) as here:
            yield here
    sys.modules.pop("tasks.verifiers", None)


def suite(here, name: str = "Sums", **options):
    return open_suite(VerifiersSuite(name="sums", taskset=f"tasksets.py:{name}", options=options), here)


def test_the_tasks_are_divided_over_the_sets_by_hash(here):
    opened = suite(here)
    pools = {kind: opened.pool(kind, "sums") for kind in SETS}
    every: list[tuple[str, Sequence[Item]]] = [*pools.items(), ("train", opened.training(0, ""))]
    for kind, items in every:
        assert items
        assert {split_of("sums", item.core) for item in items} == {kind}
    assert sum(map(len, pools.values())) + len(opened.training(0, "")) == 200
    assert opened.pin().sets == {kind: {"sums": len(items)} for kind, items in pools.items()}
    assert opened.pool("dev", "other") == []


def test_rewards_are_added_by_weight(here):
    opened = suite(here)
    item = opened.pool("dev", "sums")[0]
    outputs = [item.answer, f"I think that it is {item.answer}", "no", "I have no idea at all"]
    columns = {"task_index": [item.columns["task_index"]] * 4, "answer": [item.answer] * 4}
    assert opened.score([item.prompt] * 4, outputs, **columns) == [1.0, 0.75, 0.25, 0.0]


def test_a_sum_outside_the_unit_interval_is_cut(here):
    opened = suite(here, "Wilds")
    assert opened.score(["q"] * 3, ["much", "minus", "x"], task_index=[0] * 3) == [1.0, 0.0, pytest.approx(0.3)]


def test_a_row_of_another_source_is_not_judged(here):
    assert suite(here).score(["p"], ["1"], answer=["1"]) == [None]


def test_a_conversation_is_asked_with_its_system_turn_and_unusable_tasks_are_counted(here):
    opened = suite(here, "Chat")
    (item,) = [item for part in opened.parts.values() for item in part]
    assert [turn["role"] for turn in item.question] == ["system", "user", "assistant", "user"]
    assert opened.refused == {"no_prompt": 1, "tool_calls": 1}


def test_options_are_settings_of_the_taskset(here):
    assert sum(map(len, suite(here, size=5).parts.values())) == 5
    with pytest.raises(SuiteRefused, match=r'Sums does not take the options \{"colour": "red"\}: '):
        suite(here, colour="red").pin()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Missing", r"suites\.sums\.taskset: Missing is no Taskset of tasksets, which has .*Sums"),
        ("Sum", "Sum is no Taskset"),
        ("Endless", "Endless is infinite; subclass it"),
        ("Empty", "Empty has no task"),
        ("Container", r"Boxed needs a container \(built\); it cannot be used"),
        ("NoReward", "Bare has no reward"),
    ],
)
def test_a_taskset_that_cannot_be_judged_in_one_turn_is_refused(here, name, message):
    with pytest.raises(SuiteRefused, match=message):
        suite(here, name).pin()


def test_a_reward_that_raises_is_named(here):
    opened = suite(here, "Broken")
    with pytest.raises(UserCodeFailed, match="no key"):
        opened.score(["q"], ["a"], task_index=[0])


def test_other_tasks_are_noticed(here):
    opened = suite(here)
    rule = opened.rule.model_copy(update={"pin": opened.pin()})
    check_pin(rule, suite(here))
    with pytest.raises(ItemsChanged):
        check_pin(rule, suite(here, size=199))


def test_a_name_without_an_attribute_is_refused(here):
    with pytest.raises(
        SuiteRefused, match=r"suites\.sums\.taskset: 'gsm8k'; write package:attribute or FILE\.py:attribute"
    ):
        open_suite(VerifiersSuite(name="sums", taskset="gsm8k"), here)


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.delitem(sys.modules, "tasks.verifiers", raising=False)
    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(SuiteRefused, match=r"kind 'verifiers' needs verifiers, .*: pip install 'aevolve\[verifiers\]'"):
        open_suite(VerifiersSuite(name="sums", taskset="a:b"), NOWHERE)
