"""`aevolve plan` on files alone: the committed campaigns beside published figures, refusals, options."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.console.campaign_file import load
from services.console.cli import app
from services.console.commands.plan import prepare
from services.console.plan_model import tiny
from services.runtime.user_error import UserError
from services.trainer.tiny_base.tokenizer import make_tokenizer
from sizing.cards import cards
from sizing.plan import Plan
from sizing.plan_text import figures, refusal
from tests.tiny_model import make_model, vocabulary

CAMPAIGNS = Path("deploy/campaigns")
LARGE = {
    "nemotron-30b": (31.6e9, 3.6e9),
    "nemotron-120b": (120.6e9, 12.7e9),
    "nemotron-550b": (550e9, 55e9),
}
"""Total and active parameters as published."""


def plan(name: str, device: str = "h200", **options: float) -> Plan:
    return prepare(CAMPAIGNS / f"{name}.yaml", {**options}, device, None)


def told(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["plan", *arguments])
    return result.exit_code, result.output


@pytest.mark.parametrize("file", sorted(CAMPAIGNS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_committed_campaign_has_a_plan_that_fits(file: Path) -> None:
    made = prepare(file, {}, "h200", None)
    assert made.fits(made.largest)
    hours = figures(made)["device_hours"]
    assert 0 < hours["candidate"] < hours["round"] < hours["campaign"]


@pytest.mark.parametrize("name", LARGE)
def test_parameters_are_as_published(name: str) -> None:
    total, active = LARGE[name]
    shapes = plan(name).model.shapes
    assert shapes.total == pytest.approx(total, rel=0.005)
    assert shapes.active + shapes.embedding == pytest.approx(active, rel=0.03)


@pytest.mark.parametrize("card", cards().values(), ids=lambda card: card.model)
def test_a_card_agrees_with_what_it_cites(card) -> None:
    assert card.shapes.total == pytest.approx(card.total, rel=0.005)
    assert card.shapes.active + card.shapes.embedding == pytest.approx(card.active, rel=0.03)
    assert card.sources
    assert card.assumptions


def test_the_30b_run_takes_about_the_published_15_hours_and_75_minutes_of_scoring() -> None:
    made = plan("nemotron-30b")
    assert made.recipe.devices == 1
    assert figures(made)["tokens"] == pytest.approx(27.85e6, rel=0.01)
    assert made.training_hours(made.recipe) == pytest.approx(15, rel=0.1)
    assert made.hours_of_items(726) == pytest.approx(1.25, rel=0.1)


@pytest.mark.parametrize("name", LARGE)
def test_one_device_less_than_the_smallest_does_not_fit(name: str) -> None:
    made = plan(name)
    smallest = made.smallest()
    assert smallest is not None
    assert made.fits(smallest)
    assert smallest.devices == 1 or not made.fits(smallest.model_copy(update={"devices": smallest.devices - 1}))


def test_a_plan_that_cannot_fit_is_refused_with_the_smallest_that_does() -> None:
    status, output = told(str(CAMPAIGNS / "nemotron-550b.yaml"), "--devices", "8")
    assert status == 2
    assert "recipe.devices: 8; " in output
    assert "the smallest that fits: lora, 32 devices, fsdp, activations recomputed" in output


def test_where_no_number_of_devices_helps_a_shorter_sequence_is_asked_for() -> None:
    made = plan("nemotron-120b", "l40s")
    long = made.campaign.model.model_copy(update={"max_length": 1_000_000})
    made = replace(made, campaign=made.campaign.model_copy(update={"model": long}))
    assert made.smallest() is None
    assert "it fits on no number of them: lower model.max_length" in refusal(made)


def test_the_largest_recipe_of_the_search_decides_whether_it_fits() -> None:
    made = plan("nemotron-30b")
    assert made.largest.rank == 32
    assert made.memory(made.largest).total >= made.memory(made.recipe).total
    assert made.longest.steps == 920


def test_options_stand_in_place_of_what_is_assumed() -> None:
    usual, halved = plan("nemotron-30b"), plan("nemotron-30b", row_tokens=946, price=7)
    assert halved.training_hours(halved.recipe) == pytest.approx(usual.training_hours(usual.recipe) / 2, rel=0.05)
    assert halved.price == 7
    faster = plan("nemotron-30b", utilisation=2 * usual.model.assumptions.utilisation)
    assert faster.training_hours(faster.recipe) == pytest.approx(usual.training_hours(usual.recipe) / 2)
    several = plan("nemotron-30b", devices=2)
    assert (several.recipe.devices, several.recipe.sharding) == (2, "fsdp")


def test_external_queries_never_exceed_the_budget() -> None:
    made = plan("nemotron-550b")
    law = made.campaign.constitution
    assert made.queries <= law.budget.external_queries
    scarce = law.budget.model_copy(update={"external_queries": 2})
    frugal = made.campaign.model_copy(update={"constitution": law.model_copy(update={"budget": scarce})})
    less = replace(made, campaign=frugal)
    assert less.queries == 2
    assert less.whole < made.whole


def test_a_deadline_that_the_plan_exceeds_is_told(tmp_path: Path) -> None:
    text = (CAMPAIGNS / "nemotron-30b.yaml").read_text()
    (hurried := tmp_path / "hurried.yaml").write_text(text.replace("172800", "3600"))
    status, output = told(str(hurried))
    assert status == 0
    assert "constitution.budget.candidate_seconds: 3600; the longest candidate takes" in output


def test_a_folder_with_a_configuration_needs_no_card(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base")
    text = (CAMPAIGNS / "demo.yaml").read_text().replace("base: tiny", f"base: {base}")
    (file := tmp_path / "own.yaml").write_text(text)
    status, output = told(str(file), "--json")
    found = json.loads(output)
    assert status == 0
    assert found["shapes"] == str(base / "config.json")
    assert found["parameters"] == prepare(file, {}, "h200", base / "config.json").model.shapes.total


def test_the_tiny_model_has_the_vocabulary_of_its_tokenizer() -> None:
    assert tiny().vocabulary == len(make_tokenizer(vocabulary(), 256))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--device", "h20"), "--device: 'h20' is not known; did you mean 'h200'"),
        (("--shapes", "none.json"), "--shapes: none.json"),
    ],
)
def test_a_wrong_option_is_named(arguments: tuple[str, ...], words: str) -> None:
    status, output = told(str(CAMPAIGNS / "demo.yaml"), *arguments)
    assert status == 2
    assert words in output


def test_a_base_that_nobody_knows_is_told_with_what_would_help(tmp_path: Path) -> None:
    text = (CAMPAIGNS / "demo.yaml").read_text().replace("base: tiny", "base: gone")
    (file := tmp_path / "gone.yaml").write_text(text)
    with pytest.raises(
        UserError, match=r"model\.base: 'gone'; the folder has no config\.json, and no card has that name"
    ):
        prepare(file, {}, "h200", None)
    with pytest.raises(UserError, match=r"no config\.json lies there"):
        load(file)  # a start needs the model itself


def test_planning_loads_no_model_library() -> None:
    code = (
        "import sys\n"
        "from services.console.cli import app\n"
        "try:\n    app(['plan', 'deploy/campaigns/nemotron-550b.yaml', '--json'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'transformers', 'numpy') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
