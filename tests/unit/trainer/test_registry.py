"""A training method and an adapter form from another package: named in a campaign, planned, checked and trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.plugins import UnknownName
from schemas.recipe import Recipe
from services.console.campaign_file import load
from services.console.commands.plan import prepare
from services.runtime.user_error import UserError
from services.trainer import preflight, registry
from services.trainer.job import RecipeUnsupported
from tests.trained import make_inputs, make_job, quiet

DEMO = Path("deploy/campaigns/demo.yaml")

PACKAGE = '''
from services.trainer.methods.sft import Supervised
from services.trainer.model.lora import Lora
from services.trainer.registry import AdapterForm, Method


class Twice(Supervised):
    """Learns each batch twice."""

    def learn(self, batch):
        super().learn(batch)
        return super().learn(batch)


class Queries(Lora):
    """An adapter on the queries alone."""

    def attach(self, model, recipe):
        return super().attach(model, recipe.replace("target_modules", ("q_proj",)))


TWICE = Method("other_training_package:Twice", answers=lambda recipe: 2, shardable=False)
QUERIES = AdapterForm("other_training_package:Queries")
'''

ENTRY_POINTS = """
[aevolve.training_methods]
twice = other_training_package:TWICE
sft = other_training_package:TWICE

[aevolve.adapter_forms]
queries = other_training_package:QUERIES
"""


@pytest.fixture
def other_training_package(tmp_path, monkeypatch) -> None:
    (tmp_path / "other_training_package.py").write_text(PACKAGE)
    about = tmp_path / "other_training_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)


def campaign_file(folder: Path, recipe: str, axis: str = "") -> Path:
    text = DEMO.read_text().replace("recipe:\n", f"recipe:\n  {recipe}\n", 1)
    file = folder / "campaign.yaml"
    head, space, rest = text.partition("  space:")
    comment, _, axes = rest.partition("\n")
    file.write_text(f"{head}{space}{comment}\n{axis}{axes}")
    return file


@pytest.mark.usefixtures("other_training_package")
def test_a_method_and_a_form_of_another_training_package_train_a_candidate(tmp_path) -> None:
    inputs = make_inputs(tmp_path / "inputs")
    plain = quiet(make_job(tmp_path / "plain", inputs))
    other = quiet(make_job(tmp_path / "other", inputs, method="twice", adapter="queries"))
    assert plain.coverage.modules.keys() > other.coverage.modules.keys() == {"q_proj"}
    assert other.form == "adapter"
    twice = quiet(make_job(tmp_path / "twice", inputs, method="twice"))
    assert (twice.coverage, twice.sha256 == plain.sha256) == (plain.coverage, False)


@pytest.mark.usefixtures("other_training_package")
def test_campaign_plan_and_preflight_know_the_other_training_package(tmp_path) -> None:
    axis = "    - {knob: adapter, values: [lora, queries]}\n    - {knob: method, values: [sft, twice]}\n"
    file = campaign_file(tmp_path, "method: twice", axis)
    assert load(file).recipe.method == "twice"
    assert prepare(file, {}, "h200", None).memory(load(file).recipe).cache > 0
    assert registry.METHODS.names() == ("sft", "grpo", "dpo", "twice")
    with pytest.raises(RecipeUnsupported, match="fsdp does not work with method: twice"):
        preflight.check_recipe(Recipe(method="twice", devices=2, sharding="fsdp"))


@pytest.mark.usefixtures("other_training_package")
def test_a_name_of_this_project_cannot_be_taken(tmp_path) -> None:
    assert registry.METHODS.get("sft").learner == "services.trainer.methods.sft:Supervised"


@pytest.mark.parametrize(
    ("recipe", "axis", "message"),
    [
        ("method: ppo", "", r"recipe\.method: 'ppo' is not known; use one of sft, grpo, dpo, or install the package"),
        ("adapter: dora", "", r"recipe\.adapter: 'dora' is not known; use one of lora, qlora, full"),
        ("method: sft", "    - {knob: adapter, values: [lora, dora]}\n", r"recipe\.adapter: 'dora' is not known"),
    ],
)
def test_an_unknown_name_is_refused_when_the_campaign_is_loaded(tmp_path, recipe, axis, message) -> None:
    with pytest.raises(UserError, match=rf"campaign\.yaml: {message}"):
        load(campaign_file(tmp_path, recipe, axis))


def test_an_unknown_name_is_refused_in_preflight() -> None:
    with pytest.raises(RecipeUnsupported, match=r"recipe\.method: 'ppo' is not known; use one of sft, grpo, dpo"):
        preflight.check_recipe(Recipe(method="ppo"))
    with pytest.raises(UnknownName, match=r"entry points aevolve\.adapter_forms"):
        registry.ADAPTER_FORMS.get("dora")


@pytest.mark.parametrize("name", [*registry.METHODS.builtin, *registry.ADAPTER_FORMS.builtin])
def test_the_class_of_each_builtin_can_be_loaded(name: str) -> None:
    if name in registry.METHODS.builtin:
        named = registry.METHODS.get(name).learner
    else:
        named = registry.ADAPTER_FORMS.get(name).weights
    assert isinstance(registry.load(named), type)
