"""Sources and filters of a campaign's training data, besides the puzzles.

They are part of the constitution: no round may change what is learnt, under which licence and after which filters.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue, Tag, model_validator
from pydantic.json_schema import SkipJsonSchema

from schemas.base import Frozen, Grown, Name, Sha256, Share
from schemas.plugins import by_kind, kinds_of

Url = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s#]*)?$")]
"""An address without user and fragment."""


class Source(Grown):
    """Fields of every source."""

    LATER: ClassVar[tuple[str, ...]] = ("suite", "domains")

    name: Name
    """Its name in yields, drops and the data card."""
    domain: Name
    """Domain of the training mix that its rows belong to, unless they name their own."""
    suite: Name | None = None
    """Suite whose scorers judge its rows; the campaign's first where left out."""
    domains: tuple[Name, ...] = ()
    """Domains that its rows name; a row of another domain is skipped."""
    licence: str = ""
    """Licence of its rows, for rows that state none."""
    cap: int | None = Field(None, ge=1)
    """Maximum rows of this source in one snapshot."""


class Columns(Source):
    """Fields of a source of records: which columns are read. Without any, they are detected."""

    LATER: ClassVar[tuple[str, ...]] = (
        *Source.LATER,
        "completion",
        "messages",
        "chosen",
        "rejected",
        "domain_column",
        "answer_pattern",
        "form",
    )

    text: str = "text"
    """Column (or field) of a plain text."""
    prompt: str | None = None
    """Column of the question; `text` is then not read."""
    answer: str | None = None
    """Column of the answer."""
    trace: str | None = None
    """Column of the worked steps."""
    completion: str | None = None
    """Column of the text that is learnt as it stands."""
    messages: str | None = None
    """Column of a conversation, whose assistant turns are learnt."""
    chosen: str | None = None
    """Column of the better answer of a preference pair."""
    rejected: str | None = None
    """Column of the worse answer of a preference pair."""
    domain_column: str | None = None
    """Column of the row's domain; `domains` lists its values."""
    answer_pattern: str | None = None
    """Regular expression that cuts the answer out of its column: the last match's first group, or whole match."""
    form: str = ""
    """Form of what is learnt, with `{trace}` and `{answer}`, such as `"{trace}\\n#### {answer}"`. Left out: the
    completion as it stands, or the puzzles' form (the trace and a boxed answer)."""
    uri_column: str | None = None
    """Column of the record's origin."""
    licence_column: str | None = None
    """Column of the record's licence."""
    verifier: Literal["none", "stated"] = "stated"
    """`stated`: a row whose worked steps box an answer is kept only if the scorer accepts that answer."""
    max_bytes: int = Field(5_000_000, ge=1)
    """Maximum length of a line, document or value; longer ones are refused."""

    @property
    def named(self) -> dict[str, str]:
        """The columns of a question that are given, by role."""
        roles = ("prompt", "answer", "trace", "completion", "messages", "chosen", "rejected")
        return {role: name for role in roles if (name := getattr(self, role))}

    @model_validator(mode="after")
    def _columns_make_a_row(self) -> Columns:
        named = self.named
        if named and not (named.keys() & {"prompt", "messages"}):
            raise ValueError(
                f"data.sources: {self.name} names {', '.join(named)} but no question; give prompt or messages, or none "
                "of the columns so that they are detected"
            )
        if ("chosen" in named) != ("rejected" in named):
            raise ValueError(f"data.sources: {self.name}: chosen and rejected make a pair; give both or none")
        if self.domain_column and not self.domains:
            raise ValueError(f"data.sources: {self.name}: domain_column needs `domains`, the values that it may hold")
        return self


class WebSource(Source):
    """Web pages. Each round fetches only what is new or changed since the last one, and obeys robots.txt."""

    kind: Literal["web"] = "web"
    """Kind of the source."""
    pages: tuple[Url, ...] = ()
    """Single pages."""
    feeds: tuple[Url, ...] = ()
    """RSS or Atom feeds, whose entries are read."""
    sitemaps: tuple[Url, ...] = ()
    """Sitemaps or sitemap indices, whose pages are read."""
    per_second: float = Field(1.0, gt=0.0, le=100.0)
    """Requests per second to one host; a longer Crawl-delay in its robots.txt takes precedence."""
    pages_per_round: int = Field(1_000, ge=1)
    """Maximum pages fetched in a round."""
    max_bytes: int = Field(5_000_000, ge=1)
    """Maximum size of a body, decompressed; larger ones are refused."""
    timeout_seconds: float = Field(20.0, gt=0.0)
    """Maximum total time for one page."""
    private: bool = False
    """Whether addresses of private networks and of this machine may be requested."""
    contact: str = Field("", pattern=r"^[!-'*-~]*$")
    """Web address or mail address for site owners, sent with each request."""

    @model_validator(mode="after")
    def _something_is_read(self) -> WebSource:
        if not (self.pages or self.feeds or self.sitemaps):
            raise ValueError(f"data.sources: {self.name} reads nothing; give it pages, feeds or sitemaps")
        return self


class WarcSource(Source):
    """Web pages recorded in WARC files, such as Common Crawl's."""

    kind: Literal["warc"] = "warc"
    """Kind of the source."""
    paths: tuple[str, ...] = Field(min_length=1)
    """Files or glob patterns (`crawl/*.warc.gz`)."""
    max_bytes: int = Field(5_000_000, ge=1)
    """Maximum size of a record, decompressed; larger ones are refused."""


class FilesSource(Columns):
    """JSON lines, JSON, CSV, Parquet or text files, or folders of `datasets`."""

    kind: Literal["files"] = "files"
    """Kind of the source."""
    paths: tuple[str, ...] = Field(min_length=1)
    """Files, folders or glob patterns. The suffix selects the format: .jsonl, .json, .csv, .tsv (each also .gz or
    .zst), .parquet, .txt, .md, or a folder that `save_to_disk` wrote."""


class HubSource(Columns):
    """A data set of the Hugging Face hub, streamed; its own code is never run."""

    kind: Literal["hub"] = "hub"
    """Kind of the source."""
    dataset: str
    """Name on the hub, or a local folder."""
    config: str | None = None
    """Configuration of the data set."""
    split: str = "train"
    """Split of the data set."""
    revision: str | None = None
    """Revision of the data set; none for the newest."""
    rows_per_round: int = Field(10_000, ge=1)
    """Rows read in a round, starting where the last one ended."""


class GymSource(Source):
    """Tasks that reasoning-gym generates and verifies."""

    kind: Literal["gym"] = "gym"
    """Kind of the source."""
    tasks: tuple[str, ...] = Field(min_length=1)
    """Names of reasoning-gym's data sets."""
    rows_per_round: int = Field(1_000, ge=1)
    """Rows generated in a round."""


class SuiteSource(Source):
    """Training rows of one of the campaign's suites, which `suite` names: generated, or the training part of a file."""

    kind: Literal["suite"] = "suite"
    """Kind of the source."""
    rows_per_round: int = Field(1_000, ge=1)
    """Rows drawn in a round."""
    form: str = ""
    """As in a source of files."""


class SelfSource(Source):
    """Answers that a model of the campaign samples for questions; only those that the scorer accepts are kept."""

    kind: Literal["self"] = "self"
    """Kind of the source."""
    model: Literal["base", "standing"] = "base"
    """Sampled model: the base checkpoint, or the standing recipe's checkpoint, which lets weights cross rounds."""
    prompts_per_round: int = Field(200, ge=1)
    """Questions per round: puzzles of `domain`, or training rows of `suite`."""
    samples: int = Field(4, ge=1, le=256)
    """Answers per question."""
    temperature: float = Field(0.8, gt=0.0, le=2.0)
    """Sampling temperature."""


class PluginSource(Source):
    """A source whose kind another installed package registers, under the entry-point group `aevolve.sources`."""

    kind: Name = "plugin"
    """Name of the entry point."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Settings of the source, as its package defines them."""


BUILT_IN = (WebSource, WarcSource, FilesSource, HubSource, GymSource, SuiteSource, SelfSource)
KINDS = kinds_of(BUILT_IN)
"""Kinds of this package's own sources."""

AnySource = Annotated[
    Annotated[WebSource, Tag("web")]
    | Annotated[WarcSource, Tag("warc")]
    | Annotated[FilesSource, Tag("files")]
    | Annotated[HubSource, Tag("hub")]
    | Annotated[GymSource, Tag("gym")]
    | Annotated[SuiteSource, Tag("suite")]
    | Annotated[SelfSource, Tag("self")]
    | Annotated[SkipJsonSchema[PluginSource], Tag("plugin")],
    by_kind("source", Source, BUILT_IN),
]
"""A source of a campaign file, by its `kind`. The published JSON schema lists this package's own kinds only."""


class ClassifierRule(Frozen):
    """A user-supplied classifier: a row to which it gives one of the labels is dropped."""

    name: Name
    """Its name in the counts of dropped rows."""
    model: str
    """Folder of a Hugging Face model for sequence classification, on the data service's machine."""
    sha256: Sha256
    """Hash over the names and contents of its files."""
    drop: tuple[str, ...] = Field(min_length=1)
    """Labels of the model that drop a row."""
    threshold: Share = 0.5
    """Minimum probability of such a label, in any part of the row, that drops it."""


class PluginFilter(Frozen):
    """A filter that another installed package registers, under the entry-point group `aevolve.filters`."""

    kind: Name
    """Name of the entry point."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Settings of the filter, as its package defines them."""


class FilterRule(Grown):
    """Conditions that a collected row must meet to be kept."""

    LATER = ("classifiers", "plugins", "questions")

    languages: tuple[str, ...] = ("en",)
    """ISO 639-1 codes; empty for any language."""
    min_words: int = Field(5, ge=0)
    """Minimum words of a text; in scripts without blanks between words, characters."""
    max_words: int = Field(100_000, ge=1)
    """Maximum words of a text, counted in the same way."""
    quality: tuple[Literal["gopher_quality", "gopher_repetition", "fineweb", "c4_badwords"], ...] = (
        "gopher_quality",
        "gopher_repetition",
        "fineweb",
        "c4_badwords",
    )
    """Filters of plain texts, in this order."""
    pii: Literal["off", "scrub", "drop"] = "scrub"
    """Personal data: `scrub` replaces it by placeholders, `drop` drops the row."""
    safety: Literal["off", "drop"] = "drop"
    """Whether rows with instructions for harm are dropped, each with its verdict and reason."""
    classifiers: tuple[ClassifierRule, ...] = ()
    """Models that read the rows that the other filters kept."""
    plugins: SkipJsonSchema[tuple[PluginFilter, ...]] = ()
    """Filters of other packages, run after the classifiers."""
    near_duplicate: Share = 0.8
    """Minimum similarity (Jaccard, word 5-grams) of two texts that makes them duplicates; 1 for exact ones alone."""
    decontaminate: bool = True
    """Whether rows that share n-grams with the sealed sets are dropped; a question must be a near-duplicate."""
    questions: bool = False
    """Whether length, language, quality and personal data are judged in rows with a question, too."""


class DataRule(Grown):
    """The data that a campaign collects."""

    sources: tuple[AnySource, ...] = Field(min_length=1)
    """Sources, by name."""
    filters: FilterRule = FilterRule()
    """Conditions that a row must meet."""
    rows: int = Field(20_000, ge=1)
    """Maximum collected rows of one snapshot, split over the domains by the policy's mix."""
    variants: int = Field(0, ge=0, le=16)
    """Rewordings made of each collected row that has an answer."""

    @property
    def domains(self) -> tuple[str, ...]:
        """Domains of the sources, each once, in the file's order."""
        return tuple(dict.fromkeys(d for source in self.sources for d in source.domains or (source.domain,)))

    @model_validator(mode="after")
    def _names_differ(self) -> DataRule:
        names = [source.name for source in self.sources]
        if duplicate := next((name for name in names if names.count(name) > 1 or name == "puzzles"), None):
            raise ValueError(f"data.sources: the name {duplicate!r} is taken; give each source a name of its own")
        return self
