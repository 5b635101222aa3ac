"""Input and output of a measurement: plain data, so that the code which queues it needs no torch.

The job names the sealed sets, never their items: those are drawn in the process that measures, from a key that only
the oracle can read, and leave it as outputs and keyed hashes. Lists of tasks are lm-eval's, whose items are no secret.
"""

from __future__ import annotations

from pydantic import Field

from schemas.base import Frozen, Name, Sha256
from schemas.campaign import ItemSet
from schemas.profiles import ProfileName
from schemas.prompts import PROFILE_PROMPTS, Prompt
from schemas.scores import Kind, Receipt, Scores, Stamp
from schemas.suites import AnySuite
from schemas.tasks import Guard, TaskList

POLICY = "greedy, no penalties"
"""How answers are generated, whatever the base's `generation_config` says; part of every stamp."""


class SealedSet(Frozen):
    """One set to measure on: equal sets hold equal items."""

    kind: Kind
    """Which split its items come from."""
    spec: ItemSet
    """Their number and distribution."""
    nonce: str
    """What tells this drawing from others of its kind; `services.oracle.sets.nonce`."""
    pool: str = ""
    """What the secret order of a suite's pool is drawn for: equal in all rounds of a campaign."""
    start: int = Field(0, ge=0)
    """Items of that order that come before it."""


class ListedSet(Frozen):
    """A list of tasks that stands in the place of a sealed set."""

    kind: Kind
    """Which set's."""
    tasks: TaskList
    """The tasks."""


class Reference(Frozen):
    """How the base was measured on dev: what scores are compared with."""

    stamp: Stamp
    """The stamp of its score."""
    dev: SealedSet | ListedSet
    """The set it was measured on."""
    known: tuple[Sha256, ...] = ()
    """Digests of the other stamps under which it has been measured on that set, too."""


class EngineUse(Frozen):
    """Which engine measures, and how a job reaches it."""

    kind: str = "hf"
    """Name in `services.oracle.engines.registry`."""
    url: str = ""
    """Address of a server's OpenAI-compatible interface, without `/completions`."""
    unix_socket: str | None = None
    """Socket that the oracle's own server listens on, in place of the address's host and port."""
    key_file: str | None = None
    """File with the server's key."""
    seconds: float = Field(600.0, gt=0.0)
    """Deadline of one answer."""
    pid: int | None = None
    """Process of the oracle's own server."""
    log: str | None = None
    """Log file of that server."""


class EvaluationJob(Frozen):
    """One model, measured on one set or several, and on guards."""

    candidate: Name
    """Candidate id, or `base`."""
    base: str
    """Folder of the base model."""
    base_sha256: Sha256 | None = None
    """Its hash, as recorded: a server must serve it under a name made of it."""
    engine: EngineUse = EngineUse()
    """Who computes the answers."""
    profile: ProfileName = "plain"
    """How the model is asked, and settings of a server."""
    prompt: Prompt | None = None
    """The form of the question in place of the profile's."""
    chat_lists: bool = False
    """Whether lists of tasks and guards are asked in the campaign's form, too: system instruction and chat template."""
    suites: tuple[AnySuite, ...] = ()
    """Suites that the sealed sets are drawn from and scored by; the puzzle families where left out."""
    oracle_items: str | None = None
    """Folders of evaluation files (`AEVOLVE_ORACLE_ITEMS`)."""
    task_path: str | None = None
    """Folders of user code (`AEVOLVE_TASK_PATH`)."""
    adapter: str | None = None
    """Folder of the candidate's adapter or checkpoint; none for the base itself."""
    sha256: Sha256 | None = None
    """Hash of the adapter, as recorded: another one is not measured."""
    sets: tuple[SealedSet, ...] = ()
    """Sealed sets to measure on, in this order."""
    lists: tuple[ListedSet, ...] = ()
    """Lists of tasks to measure on after them."""
    guards: tuple[Guard, ...] = ()
    """Guards to measure on last."""
    reference: Reference | None = None
    """What the scores will be compared with; none for the base itself, and while it is not measured."""
    run_code: bool = False
    """Whether a task may run code that the model wrote."""
    domains: tuple[Name, ...] = Field(min_length=1)
    """Domains of every set, in reporting order."""
    key_file: str
    """File with the key of the sealed sets."""
    max_length: int = Field(ge=8)
    """Tokens of prompt and answer together."""
    max_new_tokens: int = Field(ge=1)
    """Tokens that an answer may take."""
    out: str
    """Folder of receipts."""
    copies: str
    """Folder of copies of what lies in a store of objects."""

    @property
    def form(self) -> Prompt:
        """The form of the question: `prompt`, or the profile's."""
        return self.prompt or PROFILE_PROMPTS[self.profile]

    @property
    def list_form(self) -> Prompt:
        """The form in which lists of tasks are asked: plain text unless the campaign says otherwise."""
        return self.form if self.chat_lists else Prompt()


class Result(Frozen):
    """What every result has: its receipt, stamp and cost."""

    receipt: Receipt
    """Every item's output."""
    stamp: Stamp
    """How it was taken."""
    tokens: int = Field(ge=0)
    """Tokens read and written, padding excluded."""
    seconds: float = Field(ge=0.0)
    """Wall time."""
    device_seconds: float = Field(ge=0.0)
    """Processor seconds, or wall seconds of the accelerator."""


class Measured(Result):
    """One set's result."""

    kind: Kind
    """Which set."""
    scores: Scores
    """Accuracy, per domain or task and in all."""


class Guarded(Result):
    """The result of all guards."""

    suites: dict[Name, Scores]
    """By guard: accuracy per task and in all."""


class Evaluated(Frozen):
    """The results of a job."""

    candidate: Name
    """Candidate id, or `base`."""
    measured: tuple[Measured, ...]
    """One per set, in the order of the job's; the first result also bears the loading of the model."""
    guarded: Guarded | None = None
    """The guards, where the job has any."""
    reference: Measured | None = None
    """The base's dev under this stamp, where it is another than that of the base's score and was not known yet."""


class KeyMissing(Exception):
    """The key of the sealed sets cannot be read, or is too short to keep them sealed."""


class SetTooSmall(Exception):
    """A suite holds fewer items of a set than the campaign asks for."""


class NothingScored(Exception):
    """The scorers of a suite judged no answer of a domain: every score was None."""


class AdapterRefused(Exception):
    """The engine does not take the candidate's adapter."""


class TokenizerUnfit(Exception):
    """The base's tokenizer leaves out a begin token that it should add: every answer would be worse, silently."""


class OtherStamp(Exception):
    """The measurement would spend what cannot be compared: this host measures otherwise than the base was measured."""


class PromptTooLong(Exception):
    """A sealed item does not leave room for an answer; cutting it would ask another question."""


class TaskRefused(Exception):
    """A task of a list cannot be measured as the list asks."""


class CodeRefused(Exception):
    """A task runs code that the model wrote, which the constitution does not allow."""
