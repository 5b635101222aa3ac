"""Where a campaign's training data comes from besides the puzzles, and what is kept of it.

Part of the constitution: what may be learnt, under which licence and after which filters, no round may change.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, model_validator

from schemas.base import Frozen, Grown, Name, Sha256, Share

Url = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s#]*)?$")]
"""An address without user and fragment."""


class Source(Frozen):
    """What every source has."""

    name: Name
    """Its name in yields, drops and the data card."""
    domain: Name
    """Domain of the training mix that its rows belong to."""
    licence: str = ""
    """Licence of its rows, where they do not say themselves."""
    cap: int | None = Field(None, ge=1)
    """Most rows that it may have in one snapshot."""


class Columns(Source):
    """What a source of records has: which of their columns are read."""

    text: str = "text"
    """Column (or field) of a plain text."""
    prompt: str | None = None
    """Column of the question; with it `answer` must be given, and `text` is not read."""
    answer: str | None = None
    """Column of the answer."""
    trace: str | None = None
    """Column of the worked steps."""
    uri_column: str | None = None
    """Column of where the record was found, if it says."""
    licence_column: str | None = None
    """Column of the record's licence, if it says."""
    verifier: Literal["none", "stated"] = "stated"
    """`stated`: worked steps that box an answer are kept only where the challenge's scorer finds the row's there."""
    max_bytes: int = Field(5_000_000, ge=1)
    """A line, document or value that is longer is refused."""

    @property
    def needed(self) -> tuple[str, ...]:
        """Columns that a record must have."""
        return (self.prompt, self.answer) if self.prompt and self.answer else (self.text,)

    @property
    def optional(self) -> tuple[str, ...]:
        """Columns that are read where a record has them."""
        return tuple(column for column in (self.trace, self.uri_column, self.licence_column) if column)

    @model_validator(mode="after")
    def _question_and_answer(self) -> Columns:
        if (self.prompt is None) != (self.answer is None) or (self.trace is not None and self.answer is None):
            raise ValueError(
                f"data.sources: {self.name} has prompt {self.prompt!r}, answer {self.answer!r}, trace {self.trace!r}; "
                "give prompt and answer (and trace), or none of them for plain texts"
            )
        return self


class WebSource(Source):
    """Pages of the web, read politely and once: only what is new or changed since the last round is fetched."""

    kind: Literal["web"] = "web"
    """Which source this is."""
    pages: tuple[Url, ...] = ()
    """Single pages."""
    feeds: tuple[Url, ...] = ()
    """RSS or Atom feeds, whose entries are read."""
    sitemaps: tuple[Url, ...] = ()
    """Sitemaps or indices of such, whose pages are read."""
    per_second: float = Field(1.0, gt=0.0, le=100.0)
    """Requests to one host per second; a longer Crawl-delay of its robots.txt wins."""
    pages_per_round: int = Field(1_000, ge=1)
    """Most pages that a round fetches."""
    max_bytes: int = Field(5_000_000, ge=1)
    """A body that is longer, unpacked, is refused."""
    timeout_seconds: float = Field(20.0, gt=0.0)
    """Longest time that one page may take in all."""
    private: bool = False
    """Whether addresses of private networks and of this machine may be asked."""
    contact: str = Field("", pattern=r"^[!-'*-~]*$")
    """Address or mail box for those whose pages are read, said with each request."""

    @model_validator(mode="after")
    def _something_is_read(self) -> WebSource:
        if not (self.pages or self.feeds or self.sitemaps):
            raise ValueError(f"data.sources: {self.name} reads nothing; give it pages, feeds or sitemaps")
        return self


class WarcSource(Source):
    """Web pages recorded in WARC files, such as Common Crawl's."""

    kind: Literal["warc"] = "warc"
    """Which source this is."""
    paths: tuple[str, ...] = Field(min_length=1)
    """Files, or patterns of such (`crawl/*.warc.gz`)."""
    max_bytes: int = Field(5_000_000, ge=1)
    """A record that is longer, unpacked, is refused."""


class FilesSource(Columns):
    """JSON lines, Parquet or text files."""

    kind: Literal["files"] = "files"
    """Which source this is."""
    paths: tuple[str, ...] = Field(min_length=1)
    """Files, or patterns of such; the ending says the format: .jsonl, .jsonl.gz,
    .jsonl.zst, .parquet, .txt, .md."""


class HubSource(Columns):
    """A data set of the Hugging Face hub, streamed, never with code of its own."""

    kind: Literal["hub"] = "hub"
    """Which source this is."""
    dataset: str
    """Name on the hub, or a local folder."""
    config: str | None = None
    """Its configuration."""
    split: str = "train"
    """Its split."""
    revision: str | None = None
    """Its revision; none for the newest."""
    rows_per_round: int = Field(10_000, ge=1)
    """Rows that a round reads, from where the last one ended."""


class GymSource(Source):
    """Tasks that reasoning-gym generates and verifies."""

    kind: Literal["gym"] = "gym"
    """Which source this is."""
    tasks: tuple[str, ...] = Field(min_length=1)
    """Names of reasoning-gym's data sets."""
    rows_per_round: int = Field(1_000, ge=1)
    """Rows that a round makes."""


class SelfSource(Source):
    """Worked answers that a model of the campaign writes to puzzles, kept where the verifier accepts them."""

    kind: Literal["self"] = "self"
    """Which source this is."""
    model: Literal["base", "standing"] = "base"
    """Who writes: the base checkpoint, or the checkpoint of the standing recipe, which lets weights cross rounds."""
    prompts_per_round: int = Field(200, ge=1)
    """Puzzles of `domain` that a round asks."""
    samples: int = Field(4, ge=1, le=256)
    """Answers per puzzle."""
    temperature: float = Field(0.8, gt=0.0, le=2.0)
    """Of the sampling."""


AnySource = Annotated[WebSource | WarcSource | FilesSource | HubSource | GymSource | SelfSource, Discriminator("kind")]
"""A source of a campaign file; `kind` says which."""


class ClassifierRule(Frozen):
    """A classifier of one's own: a row that it gives one of the labels is dropped."""

    name: Name
    """Its name in the counts of dropped rows."""
    model: str
    """Folder of a Hugging Face model for sequence classification, on the data service's machine."""
    sha256: Sha256
    """Hash over the names and contents of its files."""
    drop: tuple[str, ...] = Field(min_length=1)
    """Labels of the model that drop a row."""
    threshold: Share = 0.5
    """Probability of such a label from which on it does, in any part of the row."""


class FilterRule(Grown):
    """What a collected row must be to be kept."""

    LATER = ("classifiers",)

    languages: tuple[str, ...] = ("en",)
    """ISO 639-1 codes; empty for any language."""
    min_words: int = Field(5, ge=0)
    """Fewest words of a text."""
    max_words: int = Field(100_000, ge=1)
    """Most words of a text."""
    quality: tuple[Literal["gopher_quality", "gopher_repetition", "fineweb", "c4_badwords"], ...] = (
        "gopher_quality",
        "gopher_repetition",
        "fineweb",
        "c4_badwords",
    )
    """Filters of plain texts, in this order."""
    pii: Literal["off", "scrub", "drop"] = "scrub"
    """Personal data: replaced by placeholders, or the row dropped."""
    safety: Literal["off", "drop"] = "drop"
    """What helps to hurt people is dropped, each row with its verdict and reason."""
    classifiers: tuple[ClassifierRule, ...] = ()
    """Models that read what the other filters have left."""
    near_duplicate: Share = 0.8
    """Similarity (Jaccard, of word 5-grams) from which two texts are the same; 1 for exact duplicates alone."""
    decontaminate: bool = True
    """Whether rows that share n-grams with the sealed sets are dropped."""


class DataRule(Grown):
    """The data that a campaign collects."""

    sources: tuple[AnySource, ...] = Field(min_length=1)
    """Sources, by name."""
    filters: FilterRule = FilterRule()
    """What is kept."""
    rows: int = Field(20_000, ge=1)
    """Most collected rows of one snapshot, shared out by the policy's mix."""
    variants: int = Field(0, ge=0, le=16)
    """Other wordings made of each collected row that has an answer."""

    @property
    def domains(self) -> tuple[str, ...]:
        """Domains of the sources, each once, in the file's order."""
        return tuple(dict.fromkeys(source.domain for source in self.sources))

    @model_validator(mode="after")
    def _names_differ(self) -> DataRule:
        names = [source.name for source in self.sources]
        if doubled := next((name for name in names if names.count(name) > 1 or name == "puzzles"), None):
            raise ValueError(f"data.sources: the name {doubled!r} is taken; give each source a name of its own")
        return self
