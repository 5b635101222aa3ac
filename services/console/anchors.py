"""The anchors that a log is compared with: where they are read, and which keys are trusted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from eventstore.integrity.anchors import Anchor, Attested, Signer, keys_by_id, read_key, read_public
from services.console.kafka_messages import messages
from services.console.log_file import read_anchors
from services.runtime.kafka.broker import ANCHOR_TOPIC
from services.runtime.settings import Settings
from services.runtime.user_error import UserError

Keys = dict[str, Ed25519PublicKey]


@dataclass(frozen=True)
class AnchorSources:
    """Where anchors come from, as the command line names it."""

    file: Path | None = None
    """File of anchors."""
    kafka: bool = False
    """Whether to read the Kafka topic."""
    keys: tuple[str, ...] = ()
    """Public keys, each in hexadecimal or in a file."""
    sign: Path | None = None
    """Private key: the verified head is signed and appended to the file, which may be new."""

    def signer(self) -> Signer | None:
        """The private key. Raises `UserError` if its file holds none."""
        if self.sign is None:
            return None
        if self.file is None:
            raise UserError(f"--sign: {self.sign}; no file takes the anchor: name it by --anchor")
        return private_key("--sign", self.sign)


async def read_attested(sources: AnchorSources, settings: Settings) -> Attested:
    """The anchors, checked by their signatures. Raises `UserError` if none is by a trusted key."""
    attested = Attested()
    if not (sources.file or sources.kafka):
        return attested
    keys = _trusted_keys(sources, settings)
    if sources.file and not (sources.sign and not sources.file.exists()):
        for number, anchor in enumerate(read_anchors(sources.file), start=1):
            attested.add(f"{sources.file}: line {number}", anchor, keys)
    if sources.kafka:
        await _read_topic(attested, settings, keys)
    if not (attested.heads or attested.refused or sources.sign):
        raise UserError(_none_found(sources, attested, keys))
    return attested


async def _read_topic(attested: Attested, settings: Settings, keys: Keys) -> None:
    for message in await messages(settings, ANCHOR_TOPIC):
        where = f"{ANCHOR_TOPIC} {message.partition}:{message.offset}"
        try:
            attested.add(where, Anchor.model_validate_json(message.value or b"", strict=True), keys)
        except ValidationError:
            attested.refused.append(f"{where}: it is no anchor")


def _none_found(sources: AnchorSources, attested: Attested, keys: Keys) -> str:
    places = " and ".join([*([str(sources.file)] if sources.file else []), *([ANCHOR_TOPIC] if sources.kafka else [])])
    content = f"anchors of {', '.join(attested.foreign)} only" if attested.foreign else "no anchor"
    return f"{places}: {content}, none of key {', '.join(keys)}: name another place or --public-key"


def _trusted_keys(sources: AnchorSources, settings: Settings) -> Keys:
    """The trusted public keys: those of the command line, else the one of the settings."""
    if sources.keys:
        return keys_by_id(public_key("--public-key", text) for text in sources.keys)
    if sources.sign:
        return keys_by_id([private_key("--sign", sources.sign).public])
    if settings.anchor_public_key:
        return keys_by_id([public_key("AEVOLVE_ANCHOR_PUBLIC_KEY", settings.anchor_public_key)])
    raise UserError(
        "--public-key: not given; without it an anchor proves nothing: "
        "give the one that `aevolve anchors keygen` printed, or set AEVOLVE_ANCHOR_PUBLIC_KEY"
    )


def public_key(option: str, text: str) -> bytes:
    """A public key (32 bytes) by its digits or file. Raises `UserError`."""
    try:
        return read_public(text)
    except (OSError, ValueError) as error:
        remedy = "give 64 hexadecimal digits or the file that holds them, as `aevolve anchors keygen` prints them"
        raise UserError(f"{option}: {text}; {error}: {remedy}") from error


def private_key(option: str, file: Path) -> Signer:
    """The private key of a file. Raises `UserError`."""
    try:
        return read_key(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{option}: {file}; {error}: make a key with `aevolve anchors keygen`") from error
