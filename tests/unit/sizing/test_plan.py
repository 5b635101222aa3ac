"""`aevolve plan` on files alone: the committed campaigns beside published figures, refusals, options."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.console.campaign_file import load
from services.console.cli import app
from services.console.commands.plan import prepare
from services.console.plan_measure import name_of, with_figures
from services.console.plan_model import tiny
from services.runtime.user_error import UserError
from services.trainer.tiny_base.tokenizer import make_tokenizer
from sizing import speed
from sizing.cards import cards
from sizing.plan import Plan
from sizing.plan_text import figures, refusal
from sizing.speed import Measured
from sizing.traits import Traits
from tasks.puzzles.vocabulary import vocabulary
from tests.tiny_models import make_model

CAMPAIGNS = Path("deploy/campaigns")
SMOLLM = Path(__file__).with_name("smollm2-135m.json")
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
    status, output = told(str(hurried), "--json")
    assert status == 0
    late = {each["field"]: each for each in json.loads(output)["deadlines"]}["constitution.budget.candidate_seconds"]
    assert late["exceeded"]
    assert late["value"] == 3600 < late["estimate"] < late["suggested"]
    assert f"raise it to {late['suggested']}" in " ".join(told(str(hurried))[1].split())


def test_a_round_and_the_answers_of_the_model_itself_have_deadlines_too(tmp_path: Path) -> None:
    text = (CAMPAIGNS / "demo.yaml").read_text()
    own = "{kind: self, name: own, domain: bits, prompts_per_round: 100000, samples: 256}"
    sampling = f"  data:\n    sources:\n      - {own}\n"
    (file := tmp_path / "own.yaml").write_text(text.replace("constitution:\n", f"constitution:\n{sampling}", 1))
    made = prepare(file, {}, "cpu", None)
    deadlines = {each.field.rpartition(".")[2]: each for each in made.deadlines}
    assert set(deadlines) == {"candidate_seconds", "round_seconds", "data_seconds"}
    assert deadlines["data_seconds"].exceeded
    assert deadlines["candidate_seconds"].estimate < deadlines["round_seconds"].estimate
    assert "25,600,000 answers of the source self take" in "".join(told(str(file), "--device", "cpu")[1].splitlines())


def test_a_deadline_that_holds_is_not_told(tmp_path: Path) -> None:
    status, output = told(str(CAMPAIGNS / "demo.yaml"))
    assert status == 0
    assert "_seconds" not in output


def test_a_processor_trains_on_a_core_in_single_precision_at_no_price() -> None:
    made = prepare(CAMPAIGNS / "demo.yaml", {}, "cpu", None)
    cores = len(os.sched_getaffinity(0))
    assert made.device.gib == pytest.approx(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)
    assert made.at_a_time == cores
    assert made.price == 0
    half = replace(made, device=replace(made.device, cores=0))
    single, two_bytes = made.memory(made.recipe).weights, half.memory(made.recipe).weights
    assert single - two_bytes == 2 * made.model.shapes.total
    assert any(note.startswith("rough: ") for note in figures(made)["notes"])
    status, output = told(str(CAMPAIGNS / "demo.yaml"), "--device", "cpu")
    assert status == 0
    assert f"{cores} at a time" in " ".join(output.split())


def test_candidates_wait_for_cores() -> None:
    one, all_at_once = (prepare(CAMPAIGNS / "demo.yaml", {"workers": n}, "cpu", None) for n in (1, 4))
    assert one.campaign.constitution.candidates == 4
    assert one.slowest_hours == pytest.approx(4 * all_at_once.slowest_hours)
    assert one.round_hours > 2 * all_at_once.round_hours


def test_a_model_that_no_memory_of_this_machine_holds_is_refused_on_its_processor() -> None:
    status, output = told(str(CAMPAIGNS / "nemotron-550b.yaml"), "--device", "cpu", "--devices", "32")
    assert status == 2
    assert "and the processor (" in output
    assert "it fits on no number of them" in output


def test_measured_figures_stand_in_place_of_the_typical_ones() -> None:
    made = prepare(CAMPAIGNS / "demo.yaml", {}, "cpu", None)
    found = Measured("a core", 5000.0, 20.0, 40.0, 10.0, "rows", 30.0)
    seen = with_figures(made, found, {})
    rate = speed.tokens_per_second(seen.model.shapes, seen.recipe, Traits(), seen.device, seen.model.assumptions)
    assert rate == pytest.approx(5000)
    assert seen.hours_of_items(20 * 3600) == pytest.approx(1)
    assert figures(seen)["measured"] == vars(found)
    assert any(note.startswith("measured on a core in 30 s: 5,000 trained tokens") for note in figures(seen)["notes"])
    assert with_figures(made, found, {"row_tokens": 80}).model.assumptions.row_tokens == 80


def test_this_machine_is_measured_with_the_campaigns_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.console.plan_measure.SECONDS", 0.1)
    text = (CAMPAIGNS / "demo.yaml").read_text().replace("base: tiny", f"base: {make_model(tmp_path / 'base')}")
    (file := tmp_path / "own.yaml").write_text(text)
    status, output = told(str(file), "--measure", "--json")
    assert status == 0
    found = json.loads(output)
    assert found["measured"]["rows"] == "the campaign's rows"
    assert found["measured"]["tokens_per_second"] > 0 < found["measured"]["answers_per_second"]
    assert found["tokens_per_second"] == pytest.approx(found["measured"]["tokens_per_second"])
    assert found["assumed"]["row_tokens"] == found["measured"]["row_tokens"] < 256


def test_an_accelerator_has_the_name_of_its_driver() -> None:
    assert name_of("NVIDIA A100-SXM4-80GB") == "a100"
    assert name_of("NVIDIA RTX PRO 6000 Blackwell Server Edition") == "rtx-pro-6000"
    assert name_of("Tesla T4") is None


def test_a_measurement_needs_the_model_and_torch_and_measures_no_other_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(CAMPAIGNS / "demo.yaml")
    monkeypatch.setenv("AEVOLVE_CACHE", str(tmp_path))
    assert "--measure: model.base: 'tiny' is not on this machine; run `aevolve demo`" in told(file, "--measure")[1]
    assert "--device: 'b200', but --measure measures this machine" in told(file, "--measure", "--device", "b200")[1]
    monkeypatch.setitem(sys.modules, "torch", None)
    status, output = told(file, "--measure")
    assert status == 2
    assert "--measure: torch is not installed: pip install 'aevolve[trainer]'" in output


@pytest.mark.parametrize("file", sorted(Path("examples").glob("*/campaign.yaml")), ids=lambda file: file.parent.name)
def test_every_example_whose_files_are_here_has_a_plan(file: Path) -> None:
    if file.parent.name == "gsm8k":
        with pytest.raises(UserError, match="'data/main/"):  # of the hub
            prepare(file, {}, "cpu", SMOLLM)
        return
    hours = figures(prepare(file, {}, "cpu", SMOLLM))["hours"]
    assert 0 < hours["candidate"] < hours["round"] < hours["campaign"]


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
