"""`aevolve init` writes a campaign file that loads, from a stranger's files, and nothing where that cannot be."""

import json
import re

import pytest
import yaml
from typer.testing import CliRunner

from schemas.campaign import Campaign
from schemas.sources import FilesSource
from schemas.suites import FilesSuite
from services.console.campaign_file import load, parse
from services.console.cli import app
from services.runtime.user_error import UserError
from tests.typed import instance, there

RUNNER = CliRunner()


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def rows(n, start=0):
    return [
        {"question": f"What is {i} + 1?", "steps": f"{i} + 1 = {i + 1}", "answer": str(i + 1)}
        for i in range(start, start + n)
    ]


def init(*options):
    return RUNNER.invoke(app, ["init", "--model", "tiny", *options])


def sources(campaign: Campaign) -> list[FilesSource]:
    return [instance(FilesSource, source) for source in there(campaign.constitution.data).sources]


def test_train_and_eval_become_a_campaign_that_loads(tmp_path):
    train, items = write(tmp_path / "train.jsonl", rows(50)), write(tmp_path / "eval.jsonl", rows(200, 500))
    done = init("--train", train, "--eval", items)
    assert done.exit_code == 0, done.output
    campaign = load(tmp_path / "campaign.yaml")
    (suite,), (source,) = campaign.constitution.suites, sources(campaign)
    assert suite.score[0].kind == "numeric"
    assert suite.pin is not None
    assert (source.prompt, source.answer, source.trace) == ("question", "answer", "steps")
    assert source.form == "{trace}\n#### {answer}"
    assert f"aevolve run {tmp_path / 'campaign.yaml'}" in done.output


def test_a_file_of_ones_own_scorer_is_named(tmp_path):
    (tmp_path / "my_score.py").write_text("def score(prompts, completions, **c):\n    return [1.0] * len(prompts)\n")
    train, items = write(tmp_path / "train.jsonl", rows(50)), write(tmp_path / "eval.jsonl", rows(200, 500))
    done = init("--train", train, "--eval", items, "--score", "my_score.py:score")
    assert done.exit_code == 0, done.output
    (scorer,) = load(tmp_path / "campaign.yaml").constitution.suites[0].score
    assert (scorer.kind, bool(scorer.sha256)) == ("my_score.py:score", True)


def test_one_file_is_divided_by_a_hash_of_the_question(tmp_path):
    train = write(tmp_path / "data.jsonl", rows(400))
    done = init("--train", train)
    assert done.exit_code == 0, done.output
    parts = [
        {json.loads(line)["question"] for line in (tmp_path / f"data.{part}.jsonl").read_text().splitlines()}
        for part in ("train", "eval")
    ]
    assert parts[0].isdisjoint(parts[1])
    assert len(parts[0] | parts[1]) == 400
    load(tmp_path / "campaign.yaml")


def test_a_target_of_its_own_and_domains_are_taken_over(tmp_path):
    def kinds(n, start):
        return [{**row, "kind": "a" if i % 2 else "b"} for i, row in enumerate(rows(n, start))]

    files = {
        name: write(tmp_path / f"{name}.jsonl", kinds(n, at))
        for name, n, at in (("train", 60, 0), ("eval", 200, 100), ("target", 200, 400))
    }
    done = init(*(part for name, file in files.items() for part in (f"--{name}", file)), "--domain-column", "kind")
    assert done.exit_code == 0, done.output
    law = load(tmp_path / "campaign.yaml").constitution
    assert set(law.domains) == {"a", "b"}
    assert {axis.knob for axis in law.space} >= {"mix.a", "mix.b"}
    suite = instance(FilesSuite, law.suites[0])
    assert (suite.dev, suite.target) == ("eval.jsonl", "target.jsonl")


def test_the_column_of_worked_steps_can_be_named_and_its_absence_is_told(tmp_path):
    given = [{"question": row["question"], "how": row["steps"], "answer": row["answer"]} for row in rows(50)]
    train, items = write(tmp_path / "train.jsonl", given), write(tmp_path / "eval.jsonl", rows(900, 500))
    done = init("--train", train, "--eval", items, "--out", str(tmp_path / "alone.yaml"))
    assert (
        "no column of worked steps is known: the answer alone is taught; name the column by --trace-column"
        in " ".join(done.output.split())
    )
    assert sources(load(tmp_path / "alone.yaml"))[0].form == "{answer}"
    done = init("--train", train, "--eval", items, "--trace-column", "how")
    assert done.exit_code == 0, done.output
    assert "--trace-column" not in done.output
    (source,) = sources(load(tmp_path / "campaign.yaml"))
    assert (source.trace, source.form) == ("how", "{trace}\n#### {answer}")
    done = init("--train", train, "--eval", items, "--trace-column", "why", "--out", str(tmp_path / "no.yaml"))
    assert done.exit_code == 2
    assert "there is no column 'why'" in done.output


def kinds(counts):
    start, found = 0, []
    for kind, n in counts.items():
        found += [{**row, "kind": kind} for row in rows(n, 1000 + start)]
        start += n
    return found


def of_kinds(tmp_path, **counts):
    train = write(tmp_path / "train.jsonl", kinds(dict.fromkeys(counts, 20)))
    items = write(tmp_path / "eval.jsonl", [{**row, "question": f"{row['question']}!"} for row in kinds(counts)])
    done = init("--train", train, "--eval", items, "--domain-column", "kind")
    return done.exit_code, " ".join(done.output.split())


def test_a_domain_that_shrinks_the_sets_and_large_errors_are_noted(tmp_path):
    status, output = of_kinds(tmp_path, large=900, rare=60)
    assert status == 0, output
    assert re.search(r"the domain 'rare' has few items.*: dev \d+ instead of 100.* bring more items of it", output)
    assert re.search(
        r"standard error of a score near 50 %: .*confirm \d+ points \(\d+ items\).* 100 in a set give 5", output
    )


def test_nothing_is_noted_of_sets_that_are_large_and_alike(tmp_path):
    status, output = of_kinds(tmp_path, one=1600, two=1600)
    assert status == 0, output
    assert "standard error" not in output
    assert "has few items" not in output


def test_a_domain_that_has_too_few_items_for_the_rounds_is_named(tmp_path):
    status, output = of_kinds(tmp_path, large=300, rare=12)
    assert status == 2
    assert re.search(
        r"too few are left for the set confirm: \d of the domain rare; 5 of each domain are needed", output
    )
    assert not (tmp_path / "campaign.yaml").exists()
    status, output = of_kinds(tmp_path, large=300, rare=1)  # in no set but one
    assert status == 2
    assert re.search(r"too few are left for the set \w+: 0 of the domain rare", output)


def test_pairs_are_trained_by_dpo(tmp_path):
    pairs = [{"prompt": f"Say {i}", "chosen": f"{i}.", "rejected": f"Well, {i}"} for i in range(60)]
    train, items = write(tmp_path / "train.jsonl", pairs), write(tmp_path / "eval.jsonl", rows(200, 500))
    assert init("--train", train, "--eval", items).exit_code == 0
    assert yaml.safe_load((tmp_path / "campaign.yaml").read_text())["recipe"]["method"] == "dpo"


@pytest.mark.parametrize(
    ("records", "more", "words"),
    [
        ([{"text": "no question"}], [], "no question among text; name its column by --prompt-column"),
        (rows(5), [], "too few are left for the set confirm: 0 of the domain"),
        (rows(200), ["--score", "numerik"], "'numerik' is not known"),
        (rows(200), ["--score", "my_score.py:score"], ".score: 'my_score.py' does not exist"),
        (rows(200), ["--answer-column", "solution"], "no column 'solution'"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(tmp_path, records, more, words):
    train, items = write(tmp_path / "train.jsonl", rows(50, 1000)), write(tmp_path / "eval.jsonl", records)
    done = init("--train", train, "--eval", items, *more)
    assert done.exit_code == 2, done.output
    assert words in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "campaign.yaml").exists()


def test_an_option_that_is_missing_is_named(tmp_path):
    done = init()
    assert (done.exit_code, "--train: missing" in done.output) == (2, True)


def test_a_file_is_not_overwritten(tmp_path):
    train = write(tmp_path / "data.jsonl", rows(400))
    (tmp_path / "campaign.yaml").write_text("mine")
    assert init("--train", train).exit_code == 2
    assert (tmp_path / "campaign.yaml").read_text() == "mine"


def started(tmp_path):
    train, items = write(tmp_path / "train.jsonl", rows(50)), write(tmp_path / "eval.jsonl", rows(200, 500))
    assert init("--train", train, "--eval", items).exit_code == 0
    return tmp_path / "campaign.yaml"


def test_a_training_file_that_is_missing_is_refused_where_the_services_would_run(tmp_path, monkeypatch):
    file = started(tmp_path)
    (tmp_path / "train.jsonl").unlink()
    with pytest.raises(UserError, match=r"data.sources.train.paths: 'train.jsonl' does not exist"):
        load(file)
    monkeypatch.setenv("AEVOLVE_POSTGRES", "postgresql://db/aevolve")
    assert load(file).constitution.suites[0].pin is not None


def test_the_page_finds_no_file_beside_the_name_that_an_upload_gives_itself(tmp_path):
    file = started(tmp_path)
    with pytest.raises(UserError, match=r"'(train|eval).jsonl' does not exist"):
        parse(file.read_text(), file)


def test_a_source_of_plain_texts_is_no_source_of_questions(tmp_path):
    file = started(tmp_path)
    write(tmp_path / "texts.jsonl", [{"text": "plain"}])
    described = yaml.safe_load(file.read_text())
    source = {"kind": "files", "name": "texts", "paths": ["texts.jsonl"], "domain": "web"}
    described["constitution"]["data"]["sources"].append(source)
    file.write_text(yaml.safe_dump(described))
    assert len(sources(load(file))) == 2
