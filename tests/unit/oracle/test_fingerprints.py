"""Fingerprints: sealed items are known again in data, clean rows pass, and the file tells not which they are."""

import io
from random import Random

import numpy as np
import pytest

from judgement.fingerprints.extract import Prints
from judgement.fingerprints.index import Fingerprints
from schemas.campaign import DOMAINS, Campaign
from schemas.rows import Row
from schemas.scores import Kind
from services.oracle.fingerprints.publish import KINDS, company, publish, sealed
from services.oracle.fingerprints.work import FingerprintJob
from services.oracle.sets import draw_set, nonce
from tasks.puzzles.draw import FAMILIES, draw
from tasks.split import split_of

KEY = b"a key of the oracle for this test"
SET = {"items": 4, "difficulty": [1, 1, 1], "wordings": [1, 1, 1]}
CAMPAIGN = Campaign.model_validate(
    {
        "name": "prints",
        "constitution": {
            "rounds": 1,
            "evaluation": dict.fromkeys(KINDS, SET),
            "budget": {"external_queries": 4},
            "space": [{"knob": "rank", "values": [4, 8]}],
        },
    }
)


def published(tmp_path, key=KEY):
    (tmp_path / "key").write_bytes(key)
    job = FingerprintJob(campaign=CAMPAIGN, key_file=str(tmp_path / "key"), out=str(tmp_path / "out"))
    return publish(job, lambda _: None)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return published(tmp_path_factory.mktemp("prints"))


@pytest.fixture
def prints(file):
    return Fingerprints.load(file.receipt.uri)


def items():
    """Sealed items: domain, prompt in each wording, steps, answer."""
    for kind in KINDS:
        for domain in DOMAINS:
            for one in sealed(CAMPAIGN, kind, domain, KEY):
                family, problem = FAMILIES[domain], one.problem
                solution = family.solve(problem.examples, problem.query)
                yield domain, [wording.ask(problem) for wording in family.wordings], solution


def row(trace="", prompt="", answer="", source="web"):
    return Row("any", 1, 0, prompt, answer, trace, "core", source)


def recall(prints, rows_of):
    """Share of the sealed items of which some row is caught."""
    caught = []
    for at, (domain, prompts, solution) in enumerate(items()):
        rows = rows_of(domain, prompts, solution, f"s{at}")
        caught.append(any(prints.contaminated(one) for one in rows))
    return sum(caught) / len(caught)


def test_copies_with_their_answers_are_caught_in_every_wording(prints):
    for wording in range(3):
        share = recall(prints, lambda _, p, s, name: [row(s.trace, p[wording], s.answer, name)])  # noqa: B023
        assert share >= 0.98


def test_copies_within_a_longer_text_are_caught(prints):
    def told(domain, prompts, solution, name):
        return [row(f"Here is one that I saw. {prompts[1]} I think it is {solution.answer}, is it not?", source=name)]

    assert recall(prints, told) >= 0.95


def test_light_rewordings_are_caught_by_their_contents(prints):
    def told(domain, prompts, solution, name):
        text = prompts[0].replace(" ", " , and so ").replace("?", "")
        return [row(f"Quiz time: {text} what? {solution.answer}", source=name)]

    assert recall(prints, told) >= 0.8


def test_an_item_split_over_two_neighbouring_rows_is_caught_with_the_second(prints):
    def told(domain, prompts, solution, name):
        words = prompts[1].split()
        half = len(words) // 2
        return [
            row(" ".join(words[:half]), source=name),
            row(" ".join(words[half:]) + " " + solution.answer, source=name),
        ]

    assert recall(prints, told) >= 0.8


def test_puzzles_of_the_train_split_pass(prints):
    train = [item for domain in DOMAINS for item in _train(domain)]
    found = [prints.contaminated(row(i.trace, i.prompt, i.answer, f"s{at}")) for at, i in enumerate(train)]
    assert sum(map(bool, found)) / len(train) <= 0.01


def _train(domain):
    return draw(domain, 150, difficulty=(1, 1, 1), wordings=(1, 1, 1), split="train", seed=1)


def test_texts_full_of_numbers_pass(prints):
    rng = Random(1)
    words = "in the year of about from to chapter I V 1984 12 3 2 a face bad 50% @ #1 km m".split()  # noqa: SIM905
    texts = [" ".join(rng.choices(words, k=300)) for _ in range(200)]
    assert not any(prints.contaminated(row(text, source=str(at))) for at, text in enumerate(texts))


def hashes(prints, domain, drawn):
    own = Prints()
    for posed in drawn:
        family, problem = FAMILIES[domain], posed.problem
        answer = family.solve(problem.examples, problem.query).answer
        own.item([wording.ask(problem) for wording in family.wordings], answer)
    return own.fingerprints(prints.salt).arrays


def test_the_sets_of_the_oracles_key_and_of_every_other_are_in_the_file_alike(prints):
    sets: dict[Kind, str] = {"dev": "bits", "confirm": "roman", "final": "equations"}
    for kind, domain in sets.items():
        keys = company(CAMPAIGN, kind, KEY)
        assert keys[0] == KEY
        assert len(set(keys)) == 32
        for key in keys:
            drawn = list(sealed(CAMPAIGN, kind, domain, key))
            made = hashes(prints, domain, drawn)
            assert all(np.isin(made[name], prints.arrays[name]).all() for name in ("alone", "prefix", "answered"))
            assert len(drawn) == 4 * (3 if kind == "confirm" else 1)
            assert {split_of(domain, one.problem.core) for one in drawn} == {kind}


def test_what_is_hidden_is_what_the_oracle_asks():
    asked = draw_set("confirm", CAMPAIGN.item_set("confirm"), ["units"], KEY, nonce(CAMPAIGN, "confirm", 1))["units"]
    cores = [one.problem.core for one in sealed(CAMPAIGN, "confirm", "units", KEY)]
    assert [item.core for item in asked] == cores[4:8]


def test_where_sets_are_large_the_company_is_smaller_but_there():
    law = CAMPAIGN.constitution
    large = law.evaluation.model_copy(update={"dev": law.evaluation.dev.model_copy(update={"items": 50_000})})
    campaign = CAMPAIGN.model_copy(update={"constitution": law.model_copy(update={"evaluation": large})})
    assert len(company(campaign, "dev", KEY)) == 8


def test_the_sizes_of_the_file_do_not_depend_on_the_key(file, tmp_path):
    other = published(tmp_path, key=b"quite another key of the oracle")
    mine, theirs = (Fingerprints.load(one.receipt.uri) for one in (file, other))
    for name in ("alone", "prefix", "answered", "ngram"):
        assert len(mine.arrays[name]) == len(theirs.arrays[name])
    assert file.ngrams == other.ngrams
    assert file.receipt.sha256 != other.receipt.sha256


def test_the_hashes_are_sorted_so_that_their_order_tells_nothing(prints):
    for name in ("alone", "prefix", "answered"):
        assert (np.diff(prints.arrays[name].astype(object)) >= 0).all()


def test_the_same_campaign_and_key_give_the_same_file(file, tmp_path):
    assert published(tmp_path).receipt.sha256 == file.receipt.sha256


def test_documents_are_known_by_several_ngrams_and_not_by_their_template():
    rng = Random(5)
    words = [f"term{at}" for at in range(500)]
    template = "Answer the following question with one of the letters given below please"
    documents = [f"{template} {' '.join(rng.choices(words, k=40))}" for _ in range(60)]
    taken = Prints()
    taken.documents(documents)
    prints = taken.fingerprints(7)
    assert all(prints.contaminated(row(f"see this {text} indeed")) == "document" for text in documents)
    half = [" ".join(text.split()[-20:]) for text in documents]
    assert all(prints.contaminated(row(text)) == "document" for text in half)
    assert prints.contaminated(row(f"{template} {' '.join(rng.choices(words, k=40))}")) is None


def test_a_short_document_is_known_as_a_whole():
    taken = Prints()
    taken.documents(["The capital of Freedonia is Fredville"])
    prints = taken.fingerprints(7)
    assert prints.contaminated(row("They say the capital of Freedonia is Fredville, do they?")) == "copy"
    assert prints.contaminated(row("They say the capital of Freedonia is elsewhere")) is None


def test_a_file_of_another_format_is_refused(prints):
    prints.arrays["format"] = np.array(99)
    with pytest.raises(ValueError, match="publish them anew"):
        Fingerprints.from_bytes(prints.to_bytes())


def test_the_file_holds_no_text(file):
    data = np.load(io.BytesIO(open(file.receipt.uri, "rb").read()), allow_pickle=False)
    assert all(array.dtype.kind in "ui" for array in data.values())
