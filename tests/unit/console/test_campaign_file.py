from pathlib import Path

import pytest
import yaml

from schemas.recipe import Recipe
from schemas.rows import form_mistake
from services.console.campaign_file import load
from services.runtime.user_error import UserError
from tests.typed import there
from tests.unit.console_events import DEMO


@pytest.fixture
def file(tmp_path: Path):
    """Writes the demo campaign with one piece of its text replaced."""

    def write(before: str = "", after: str = "") -> Path:
        text = DEMO.read_text()
        assert before in text
        path = tmp_path / "campaign.yaml"
        path.write_text(text.replace(before, after, 1))
        return path

    return write


@pytest.mark.parametrize("path", sorted(DEMO.parent.glob("*.yaml")), ids=lambda path: path.name)
def test_every_committed_campaign_is_valid_and_starts_inside_its_space(path):
    campaign = load(path, with_base=False)  # a base that is not here is needed at the start alone
    for axis in campaign.constitution.space:
        assert campaign.recipe.get(axis.knob) in axis.values


def test_options_take_the_place_of_the_files_values():
    campaign = load(DEMO, seed=7, candidates=8, rounds=2, null_twin=True, base=None)
    assert (campaign.seed, campaign.constitution.candidates, campaign.constitution.rounds) == (7, 8, 2)
    assert campaign.null_twin
    assert campaign.model.base == "tiny"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("rounds: 4", "roundz: 4", r"constitution\.roundz: unknown key; did you mean 'rounds'\?"),
        ("rounds: 4", "rounds: 0", r"constitution\.rounds: 0; it should be greater than or equal to 1"),
        ("external_queries: 9", "", r"budget\.external_queries: missing; External queries in the whole campaign"),
        ("lr: 3.0e-3", "lr: 1", r"recipe\.lr: 1; it should be less than or equal to 0\.03"),
        ("knob: rank", "knob: renk", r"knob 'renk' is not in the recipe; knobs are lr, rank"),
        ("[8, 16, 32]", "[8, 16, 999]", r"rank cannot be 999: it should be less than or equal to 256"),
        ("[8, 16, 32]", "[8, 16, many]", r"rank: scale log needs a number above 0, not 'many'"),
        ("[0.0, 0.1], scale: linear", "[0.0, 0.1], scale: log", r"dropout: scale log needs a number above 0, not 0\.0"),
        ("[0.0, 0.1], scale: linear", "['0.0', '0.1']", r"dropout cannot be '0\.0': it is text; write it as a number"),
        ("base: tiny", "base: /nowhere/model", r"model\.base: '/nowhere/model'; no config\.json lies there"),
        ("base: tiny", "base: some/model", r"'some/model' is not on this machine; run `aevolve fetch some/model`"),
        ("scale: linear", "skale: linear", r"constitution\.space\.0\.skale: unknown key; did you mean 'scale'\?"),
        ("[1, 0, 0]   # easy", "[0, 0, 0]   # easy", r"difficulty: .*at least one weight must be above zero"),
        ("name: demo", "name: [", r"is not YAML"),
        (
            "  rounds: 4",
            "  target: seeled\n  rounds: 4",
            r"target: 'seeled'; give `sealed`, or a mapping whose `kind` is tasks",
        ),
        (
            "  rounds: 4",
            "  target: {kind: board9}\n  rounds: 4",
            r"target: 'board9'; give `sealed`, or a mapping whose `kind` is",
        ),
        (
            "  rounds: 4",
            "  target: {kind: tasks}\n  rounds: 4",
            r"constitution\.target\.tasks: missing; What is measured",
        ),
        (
            "  rounds: 4",
            "  target: {kind: tasks, tasks: [{task: arc_easy, metrik: acc}]}\n  rounds: 4",
            r"target\.tasks\.0\.metrik: unknown key; did you mean 'metric'\?",
        ),
        (
            "  rounds: 4",
            "  target: {kind: tasks, include: not/there, tasks: [{task: a, metric: acc}]}\n  rounds: 4",
            r"constitution\.target\.include: 'not/there' is no folder in ",
        ),
        (
            "  rounds: 4",
            "  guards: [{name: g, bound: 0.1, include: nowhere, tasks: [{task: a, metric: acc}]}]\n  rounds: 4",
            r"constitution\.guards\.0\.include: 'nowhere' is no folder in ",
        ),
        (
            "constitution:",
            "null_twin: true\nconstitution:\n  target: {kind: tasks, tasks: [{task: a, metric: acc}]}",
            r"null_twin: only sealed sets can be distributed as dev",
        ),
        (
            "  rounds: 4",
            "  guards: [{name: g, bound: 5, tasks: [{task: arc_easy, metric: acc}]}]\n  rounds: 4",
            r"constitution\.guards\.0\.bound: 5; it should be less than or equal to 1",
        ),
    ],
)
def test_a_mistake_is_told_with_field_value_and_remedy(file, before, after, message):
    with pytest.raises(UserError, match=message):
        load(file(before, after))


def test_all_mistakes_are_told_at_once(file):
    path = file("rounds: 4", "roundz: 4")
    path.write_text(path.read_text().replace("attempts: 2", "attempts: 0"))
    with pytest.raises(UserError) as problem:
        load(path)
    assert len(str(problem.value).splitlines()) == 2


def test_a_number_out_of_range_in_an_option_is_told_like_one_in_the_file():
    with pytest.raises(UserError, match=r"constitution\.candidates: 1; it should be greater than or equal to 2"):
        load(DEMO, candidates=1)


def test_every_domain_of_the_data_gets_a_row_or_the_file_is_refused(file):
    sources = [f"{{kind: files, name: s{n}, domain: d{n}, paths: [a.jsonl]}}" for n in range(7)]
    given = f"  data: {{rows: ROWS, sources: [{', '.join(sources)}]}}\n  rounds: 4"
    with pytest.raises(
        UserError, match=r"constitution\.data\.rows: 6; each of the 7 domains d0, .*d6 needs a row: raise"
    ):
        load(file("  rounds: 4", given.replace("ROWS", "6")))
    assert there(load(file("  rounds: 4", given.replace("ROWS", "7"))).constitution.data).rows == 7


@pytest.mark.parametrize(
    ("form", "wrong"),
    [
        ("{tracee} {answer}", "{tracee} is no placeholder"),
        ("{trace} {}", "{} is no placeholder"),
        ("{0} {answer}", "{0} is no placeholder"),
        ("{answer:>8}", "{answer:>8} is no placeholder"),
        ("{answer!r}", "{answer!r} is no placeholder"),
        ("{trace} {answer.text}", "{answer.text} is no placeholder"),
        ("{trace} { answer }", "{ answer } is no placeholder"),
        ("\\\\boxed{{Answer}}", "{Answer} is no placeholder"),
        ("the answer", "it has neither {answer} nor {trace}"),
    ],
)
@pytest.mark.parametrize("kind", ["kind: files, paths: [a.jsonl]", "kind: suite"])
def test_a_form_with_another_placeholder_is_refused_by_name(file, kind, form, wrong):
    given = f'  data: {{sources: [{{{kind}, name: s, domain: d, form: "{form}"}}]}}\n  rounds: 4'
    with pytest.raises(UserError) as problem:
        load(file("  rounds: 4", given))
    assert wrong in str(problem.value)
    assert "{trace}" in str(problem.value)
    assert len(str(problem.value).splitlines()) == 1


@pytest.mark.parametrize(
    "form",
    [
        "{trace}\n#### {answer}",
        "{trace} \\boxed{{answer}}",
        "\\text{Answer}: {answer}",
        "\\frac{a}{b} x^{2} y_{n} \\{z\\} {answer}",
        '{"steps": "{trace}", "answer": {answer}}',
        "{1, 2} {answer}",
    ],
)
def test_a_form_may_have_other_braces(form):
    assert form_mistake(form) == ""


@pytest.mark.parametrize("text", ["", "- a", "7", "constitution: 3"])
def test_what_is_no_campaign_is_told(tmp_path, text):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"x\.yaml"):
        load(path, rounds=2)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path / "none.yaml")


def test_scientific_notation_is_a_number(file):
    path = file("[1.0e-3, 3.0e-3, 6.0e-3]", "[1e-3, 3e-3, 6E-3]")
    axis = next(a for a in load(path).constitution.space if a.knob == "lr")
    assert axis.values == (1e-3, 3e-3, 6e-3)


def test_the_demos_recipe_differs_from_the_default_only_where_it_says_so():
    said = yaml.safe_load(DEMO.read_text())["recipe"]
    assert load(DEMO).recipe == Recipe.model_validate(said)


def test_a_wrong_target_is_told_in_the_form_that_was_meant_alone(file):
    with pytest.raises(UserError) as problem:
        load(file("  rounds: 4", "  target: {kind: tasks, tasks: []}\n  rounds: 4"))
    assert len(str(problem.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            "data: {sources: [{kind: file, name: s, domain: d, paths: [a]}]}",
            r"sources\.0: 'file'; kind should be one of web,",
        ),
        ("suites: [{kind: file, name: s, eval: a}]", r"suites\.0: 'file'; kind should be one of files, python"),
        ("suites: [{name: s, eval: a}]", r"suites\.0: .*kind should be one of files, python"),
    ],
)
def test_an_unknown_kind_is_told_in_one_line_with_those_there_are(file, entry, words):
    with pytest.raises(UserError, match=words) as problem:
        load(file("  rounds: 4", f"  {entry}\n  rounds: 4"))
    assert len(str(problem.value).splitlines()) == 1


def test_a_base_without_a_tokenizer_is_refused_by_name(file, tmp_path):
    base = tmp_path / "weights-alone"
    base.mkdir()
    (base / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"model\.base: '.*weights-alone' holds no tokenizer; copy tokenizer\.json"):
        load(file("base: tiny", f"base: {base}"))
    (base / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"model\.base: '.*weights-alone' holds no weights: copy its \*\.safetensors"):
        load(file("base: tiny", f"base: {base}"))
