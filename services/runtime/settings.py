"""Where a process finds its database, broker, artifacts and secrets: the environment variables `AEVOLVE_*`."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Literal

from pydantic import Field, HttpUrl, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def cache_folder() -> Path:
    """The user's cache folder for base models and broker jars."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "aevolve"


class BadVariable(Exception):
    """An environment variable that cannot be used; its text names it, its value and the remedy."""

    def __init__(self, name: str, value: object, remedy: str) -> None:
        super().__init__(f"{name}: {value}; {remedy}")


class BadSetting(BadVariable):
    """One of ours."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"AEVOLVE_{field.upper()}", value, remedy)


class Settings(BaseSettings):
    """One process's settings; each field is the variable `AEVOLVE_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="AEVOLVE_", use_attribute_docstrings=True)

    postgres: str = "postgresql://localhost:5432/aevolve"
    """DSN of the log, without user and password: the service name decides the role."""
    password: SecretStr | None = None
    """Password of the service's role."""
    password_file: Path | None = None
    """File with the password, used where `password` is not set."""
    kafka: str = "localhost:9092"
    """Bootstrap address of the broker, or several with commas: of a cluster, any one that answers will do."""
    kafka_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Kafka's `security.protocol`: whether there is TLS (SSL), and whether we log in (SASL)."""
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How we log in."""
    kafka_user: str | None = None
    """As whom."""
    kafka_password_file: Path | None = None
    """File with the user's password."""
    kafka_ca_file: Path | None = None
    """PEM file of the authority that signs the brokers' certificates; the system's own where it is not set."""
    kafka_cert_file: Path | None = None
    """PEM file with our own certificate, for brokers that ask for one."""
    kafka_key_file: Path | None = None
    """PEM file with its key, where that does not stand in the same file."""
    partitions: int = Field(12, ge=1)
    """Partitions of each topic, where this process may create topics."""
    replication: int = Field(-1, ge=-1)
    """Copies of each topic that this process creates; -1 for the broker's own default, since who runs the brokers knows
    how many there are and how many of them must acknowledge (`default.replication.factor`, `min.insync.replicas`)."""
    incarnation: str = "kafka"
    """Name of this life of the broker; a new name makes the relay start over. Only the embedded broker changes it."""
    artifacts: str = "runs/artifacts"
    """Folder of snapshots, adapters and receipts, or a store of objects (`s3://bucket/prefix`); every service must see
    the same one."""
    work: Path = Path("runs/work")
    """Local folder of jobs in progress, and of copies from a store of objects."""
    cache: Path = Field(default_factory=cache_folder)
    """Folder of locally made base models."""
    bases: Path | None = None
    """Folder of base models that were made beforehand, such as an image brings along; they are copied to `cache`."""
    oracle_key_file: Path | None = None
    """File with the key of the sealed sets; only the oracle may read it."""
    oracle_items: str | None = None
    """Folders, separated by `:`, with the evaluation files that a campaign's suites name, for the oracle alone. What is
    not found there is sought in `AEVOLVE_TASK_PATH`."""
    task_path: str | None = None
    """Folders, separated by `:`, that a campaign's `include` may name a folder in; the working folder where unset.
    Files of lm-eval tasks can call Python, which then runs in the oracle's jobs."""
    engine: str = "hf"
    """Engine that computes a measured model's answers: `hf` (transformers in the job's process), `vllm` (a server that
    the oracle starts and keeps), `remote` (an operator's server), or one of another package; checked when the oracle
    starts (`services.oracle.engines.registry`, `docs/guides/measuring.md`). Part of every stamp."""
    engine_url: HttpUrl | None = None
    """Address of that other server's OpenAI-compatible interface, without `/completions`."""
    engine_key_file: Path | None = None
    """File with the key that it wants."""
    engine_seconds: float = Field(600.0, gt=0)
    """How long a server may take over one answer."""
    board_token_file: Path | None = None
    """File with a line `URL TOKEN` for each board that wants one; a token goes to no other address."""
    advisor_url: HttpUrl | None = None
    """Address of the OpenAI-compatible endpoint that campaigns with an advisor ask, without `/chat/completions`; the
    recipes service alone needs it."""
    advisor_key_file: Path | None = None
    """File with the key that the endpoint wants."""
    host: str = "127.0.0.1"
    """Address of the health, metrics and documentation pages."""
    port: int = Field(0, ge=0, le=65_535)
    """Their port; 0 for any free one."""
    metrics_port: int | None = Field(None, ge=1, le=65_535)
    """Port, at `host`, of `aevolve exporter`, which shows Prometheus what the log says; nothing is shown without."""
    log_format: Literal["text", "json"] = "text"
    """How this process logs: for people, or a JSON object a line with the ids of event, campaign and trace."""
    embedded: bool = False
    """Whether the broker is the embedded one, which needs patience in consumer groups."""
    workers: int = Field(1, ge=0, le=64)
    """Jobs that this process runs at a time."""
    idle_seconds: float = Field(60.0, gt=0)
    """How long `aevolve serve SERVICE --jobs N` waits for a job before it ends: longer than a lease, so that it takes
    over from a worker that died."""
    lease_seconds: float = Field(15.0, gt=0)
    """How long a worker may be silent before another takes its job."""
    rank_seconds: float = Field(600.0, gt=0)
    """How long the processes of a training job may take for a step, a checkpoint or a look at the held-back rows before
    one of them counts as hung."""
    catch_up_seconds: float = Field(5.0, gt=0)
    """Pause between two looks at the log for what Kafka did not deliver."""
    anchor_key_file: Path | None = None
    """File with a private key (`aevolve anchors keygen`); the process that has it signs the log's head. One is enough,
    on another machine than the database."""
    anchor_seconds: float = Field(10.0, gt=0)
    """Pause between two looks at the head: what is younger than the last anchor, only the chain protects."""
    anchor_file: Path | None = None
    """File that the signed heads are appended to, and that `aevolve verify` compares with."""
    anchor_public_key: str | None = None
    """Public key of the anchors, in hexadecimal or in a file, for `aevolve verify`."""
    worker: str = Field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    """Name of this process in leases."""

    @property
    def copies(self) -> Path:
        """Folder of a machine's copies of artifacts that lie in a store of objects."""
        return self.work / "copies"

    def secret(self) -> str | None:
        """The role's password."""
        if self.password is not None:
            return self.password.get_secret_value()
        return self.password_file.read_text().strip() if self.password_file else None
