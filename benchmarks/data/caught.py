"""What was planted and is caught, and what is clean and dropped all the same; beside the libraries' own filters."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import yaml
from datatrove.data import Document
from stdnum import iban, luhn

from benchmarks.data import peers
from benchmarks.data.corpus import rows, sentences
from judgement.fingerprints.extract import Prints
from judgement.fingerprints.index import Fingerprints
from schemas.campaign import DOMAINS, Campaign
from schemas.rows import Row
from services.data.filters.pii import scrub
from services.data.filters.quality import BadWords
from services.data.filters.safety import unsafe
from services.oracle.fingerprints.publish import KINDS, publish, sealed
from services.oracle.fingerprints.work import FingerprintJob
from tasks.puzzles.draw import FAMILIES, Posed, draw
from tasks.puzzles.family import Solution

HARMFUL = Path(__file__).with_name("harmful.yaml")
KEY = b"the key of a benchmark"
OTHERWISE = {
    "What": "Which", "what": "which", "find": "determine", "Now": "Then", "change": "transform", "secret": "hidden",
    "If": "Given that", "makes": "turns out", "How": "Say how", "falls": "drops", "much": "many", "In": "Within",
    "is": "equals", "and": "while", "numbers": "figures", "rule": "law", "written": "noted", "letters": "characters",
}  # fmt: skip
"""Other words for those of the puzzles' templates."""

Item = tuple[Posed, list[str], Solution]


@dataclass(frozen=True)
class Caught:
    """How many of a kind were caught."""

    measure: str
    planted: int
    caught: int
    peer: str
    peer_caught: int
    clean: bool = False
    """Whether nothing should have been caught."""

    def record(self) -> dict[str, Any]:
        """The row of the JSON file."""
        shares = {"share": self.caught / self.planted, "peer_share": self.peer_caught / self.planted}
        return {**vars(self), **shares}


def measure(pages: int, items: int) -> list[Caught]:
    """All of it, on so many clean pages and sealed items per set and domain."""
    return [*_contamination(pages, items), *_personal(pages), *_harmful(pages)]


def table(counts: Sequence[Caught]) -> str:
    """A line each."""
    lines = [
        f"{one.measure:62} {one.caught:6} of {one.planted:6} = {one.caught / one.planted:7.2%}   "
        f"{one.peer}: {one.peer_caught / one.planted:.2%}"
        for one in counts
    ]
    return "\n".join(lines)


def _contamination(pages: int, items: int) -> Iterator[Caught]:
    campaign, texts = _campaign(items), _documents()
    planted = [item for kind in KINDS for domain in DOMAINS for item in _items(campaign, kind, domain)]
    prints, documents = _published(campaign), Prints()
    documents.documents(texts)
    document_prints = documents.fingerprints(3)
    peer = peers.Decontaminate([f"{prompts[0]} {solution.answer}" for _, prompts, solution in planted] + texts)
    for name, rows_of in _WAYS.items():
        yield _count(f"sealed puzzles, {name}", [rows_of(item) for item in planted], prints, peer)
    yield _count("documents of a task list, copied", [[_text(text)] for text in texts], document_prints, peer)
    yield _count(
        "documents, every tenth word another", [[_text(_reworded(text))] for text in texts], document_prints, peer
    )
    yield _count("documents, split over two rows", [_halves(text) for text in texts], document_prints, peer)
    train = [
        [Row(i.domain, 1, 0, i.prompt, i.answer, i.trace, i.core, i.core)]
        for domain in DOMAINS
        for i in draw(domain, pages // 6, difficulty=(1, 1, 1), wordings=(1, 1, 1), split="train", seed=1)
    ]
    yield _count("clean: puzzles of the train split", train, prints, peer, clean=True)
    clean = [[row] for row in rows(11, pages)]
    yield _count("clean: pages, against puzzles", clean, prints, peer, clean=True)
    yield _count("clean: pages, against documents", clean, document_prints, peer, clean=True)
    yield _count("clean: pages full of numbers, against puzzles", list(_numbers(pages)), prints, peer, clean=True)


def _count(
    measure: str, planted: Sequence[list[Row]], prints: Fingerprints, peer: Any, *, clean: bool = False
) -> Caught:
    """A plant counts as caught where any of its rows is."""
    caught = theirs = 0
    for number, some in enumerate(planted):
        prints.before.clear()
        caught += sum(prints.contaminated(row) is not None for row in some) > 0  # every row is shown: halves follow
        documents = [Document(text=f"{row.prompt} {row.trace} {row.answer}", id=str(number)) for row in some]
        theirs += any(peer.filter(document) is not True for document in documents)
    return Caught(measure, len(planted), caught, "datatrove, 12-grams", theirs, clean)


def _copy(item: Item) -> list[Row]:
    posed, prompts, solution = item
    return [Row("any", 1, 0, prompts[posed.wording], solution.answer, solution.trace, "c", "copies")]


def _asked_alone(item: Item) -> list[Row]:
    posed, prompts, _ = item
    return [_text(f"I found this one: {prompts[posed.wording]} Who knows?")]


def _other_wording(item: Item) -> list[Row]:
    posed, prompts, solution = item
    return [_text(f"{prompts[(posed.wording + 1) % 3]} {solution.answer}")]


def _other_words(item: Item) -> list[Row]:
    posed, prompts, solution = item
    words = [OTHERWISE.get(word, word) for word in prompts[posed.wording].split()]
    return [_text(f"My friend asks. {' '.join(words)} Well, I say {solution.answer}, do you agree?")]


def _split(item: Item) -> list[Row]:
    posed, prompts, solution = item
    return _halves(f"{prompts[posed.wording]} {solution.answer}")


def _split_apart(item: Item) -> list[Row]:
    first, second = _split(item)
    return [first, *rows(5, 1), second]


_WAYS: dict[str, Callable[[Item], list[Row]]] = {
    "copied with steps and answer": _copy,
    "the question alone, in a text": _asked_alone,
    "in another of their wordings": _other_wording,
    "reworded, with the answer in a text": _other_words,
    "split over two rows": _split,
    "split, with a page between the halves": _split_apart,
}


def _halves(text: str) -> list[Row]:
    words = text.split()
    half = len(words) // 2
    return [_text(" ".join(words[:half])), _text(" ".join(words[half:]))]


def _text(text: str) -> Row:
    return Row("any", 0, 0, "", "", text, "c", "bench")


def _reworded(text: str) -> str:
    return " ".join("otherwise" if at % 10 == 9 else word for at, word in enumerate(text.split()))


def _numbers(pages: int) -> Iterator[list[Row]]:
    rng = Random(21)
    for _ in range(pages):
        words = [rng.choice(sentences()) for _ in range(6)]
        words += [str(rng.randint(1, 2_000)) for _ in range(60)] + ["I", "V", "MCM", "bad", "face", "10m", "5k"]
        rng.shuffle(words)
        yield [_text(" ".join(words))]


def _documents() -> list[str]:
    rng = Random(9)
    words = [word for sentence in sentences()[:500] for word in sentence.split()]
    return [" ".join(rng.choices(words, k=rng.randint(15, 80))) for _ in range(400)]


def _campaign(items: int) -> Campaign:
    easy, hard = (
        {"items": items, "difficulty": d, "wordings": w} for d, w in (((1, 0, 0), (1, 0, 0)), ((0, 1, 1), (1, 1, 1)))
    )
    sets = {"dev": easy, "confirm": easy, "external": hard, "final": hard}
    law = {
        "rounds": 2,
        "evaluation": sets,
        "budget": {"external_queries": 4},
        "space": [{"knob": "rank", "values": [4, 8]}],
    }
    return Campaign.model_validate({"name": "bench", "constitution": law})


def _items(campaign: Campaign, kind: Any, domain: str) -> Iterator[Item]:
    family = FAMILIES[domain]
    for posed in sealed(campaign, kind, domain, KEY):
        problem = posed.problem
        prompts = [wording.ask(problem) for wording in family.wordings]
        yield posed, prompts, family.solve(problem.examples, problem.query)


def _published(campaign: Campaign) -> Fingerprints:
    with tempfile.TemporaryDirectory(prefix="aevolve-bench-") as place:
        key = Path(place, "key")
        key.write_bytes(KEY)
        published = publish(FingerprintJob(campaign=campaign, key_file=str(key), out=place), lambda _: None)
        return Fingerprints.load(published.receipt.uri)


def _personal(pages: int) -> Iterator[Caught]:
    trove = peers.personal()
    rng = Random(31)
    for name, make in _PERSONAL.items():
        planted = [make(rng) for _ in range(200)]
        texts = [f"{rng.choice(sentences())} Please use {one} for it. {rng.choice(sentences())}" for one in planted]
        ours = sum(one not in scrub(text)[0] for one, text in zip(planted, texts, strict=True))
        theirs = sum(one not in trove.format(text) for one, text in zip(planted, texts, strict=True))
        yield Caught(f"personal data: {name}", len(planted), ours, "datatrove", theirs)
    clean = [
        rng.choice(sentences()) + " " + " ".join(str(rng.randint(0, 10**8)) for _ in range(9)) for _ in range(pages)
    ]
    clean += [
        f"{i.prompt} {i.trace}"
        for d in DOMAINS
        for i in draw(d, pages // 6, difficulty=(1, 1, 1), wordings=(1, 1, 1), split="train", seed=4)
    ]
    ours, theirs = sum(bool(scrub(text)[1]) for text in clean), sum(trove.format(text) != text for text in clean)
    yield Caught("clean: numbers and puzzles, against personal data", len(clean), ours, "datatrove", theirs, clean=True)


def _digits(rng: Random, n: int) -> str:
    return "".join(rng.choices("0123456789", k=n))


def _card(rng: Random) -> str:
    bare = rng.choice("45") + _digits(rng, 14)
    number = bare + luhn.calc_check_digit(bare)
    return rng.choice((number, " ".join(number[at : at + 4] for at in range(0, 16, 4))))


def _phone(rng: Random) -> str:
    area, office, line = rng.choice(("212", "650", "415", "312")), rng.choice(("253", "555", "736")), _digits(rng, 4)
    form = rng.choice(("({}) {}-{}", "{}-{}-{}", "+1 {} {} {}", "{}.{}.{}", "+1-{}-{}-{}", "{}{}{}"))
    return form.format(area, office, line)


def _mail(rng: Random) -> str:
    form = rng.choice(
        ("{0}.{1}@{2}.com", "{0}@{2}.co.uk", "{0}_{1}+news@mail.{2}.org", "{0} [at] {2}.net", "{0} at {2} dot com")
    )
    return form.format(*(rng.choice(("jane", "smith", "acme", "lopez", "wong", "river")) for _ in range(3)))


def _iban(rng: Random) -> str:
    bare = _digits(rng, 18)
    number = f"DE{iban.calc_check_digits(f'DE00{bare}')}{bare}"
    return rng.choice((number, " ".join(number[at : at + 4] for at in range(0, 22, 4))))


def _ssn(rng: Random) -> str:
    return f"{rng.randint(1, 665):03d}-{rng.randint(1, 99):02d}-{rng.randint(1, 9999):04d}"


def _ip(rng: Random) -> str:
    return f"{rng.choice((8, 23, 52, 93, 185))}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"


_PERSONAL: dict[str, Callable[[Random], str]] = {
    "e-mail addresses, a fifth as `jane at acme dot com`": _mail,
    "phone numbers, a sixth as bare digits": _phone,
    "card numbers": _card,
    "IBANs": _iban,
    "social security numbers": _ssn,
    "public IP addresses": _ip,
}


def _harmful(pages: int) -> Iterator[Caught]:
    sentences_by_set = yaml.safe_load(HARMFUL.read_text(encoding="utf-8"))
    clean: Iterable[tuple[str, list[str], bool]] = (
        ("unsafe sentences that the lexicon was mended on", sentences_by_set["seen"]["unsafe"], False),
        ("unsafe sentences, fresh", sentences_by_set["fresh"]["unsafe"], False),
        ("clean: safe sentences with the same words, mended on", sentences_by_set["seen"]["safe"], True),
        ("clean: safe sentences with the same words, fresh", sentences_by_set["fresh"]["safe"], True),
        ("clean: pages, against unsafe sentences", [row.trace for row in rows(13, pages)], True),
    )
    words = BadWords()
    for name, texts, is_clean in clean:
        theirs = sum(words.filter(Document(text=text, id="")) is not True for text in texts)
        yield Caught(
            name, len(texts), sum(unsafe(text) is not None for text in texts), "C4 bad words", theirs, is_clean
        )
