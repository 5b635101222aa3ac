"""The anchors that a log is compared with: where a command finds them, and by which keys it believes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from eventstore.integrity.anchors import Anchor, Attested, Signer, known, read_key, read_public
from services.console.kafka_messages import messages
from services.console.log_file import read_anchors
from services.runtime.kafka.broker import ANCHOR_TOPIC
from services.runtime.settings import Settings
from services.runtime.user_error import UserError

Keys = dict[str, Ed25519PublicKey]


@dataclass(frozen=True)
class Witnesses:
    """What the command line says about anchors."""

    file: Path | None = None
    """File of anchors."""
    kafka: bool = False
    """Whether the topic's are asked too."""
    keys: tuple[str, ...] = ()
    """Public keys, each in hexadecimal or in a file."""
    sign: Path | None = None
    """Private key: the head, once found right, is signed and added to the file, which may be new."""

    def signer(self) -> Signer | None:
        """The private key. Raises `UserError` where its file holds none."""
        if self.sign is None:
            return None
        if self.file is None:
            raise UserError(f"--sign: {self.sign}; no file takes the anchor: name it by --anchor")
        return private_key("--sign", self.sign)


async def hear(told: Witnesses, settings: Settings) -> Attested:
    """What the anchors say. Raises `UserError` where there is none that can be believed or disbelieved."""
    attested = Attested()
    if not (told.file or told.kafka):
        return attested
    keys = _keys(told, settings)
    if told.file and not (told.sign and not told.file.exists()):
        for number, anchor in enumerate(read_anchors(told.file), start=1):
            attested.hear(f"{told.file}: line {number}", anchor, keys)
    if told.kafka:
        await _hear_topic(attested, settings, keys)
    if not (attested.heads or attested.refused or told.sign):
        raise UserError(_nothing(told, attested, keys))
    return attested


async def _hear_topic(attested: Attested, settings: Settings, keys: Keys) -> None:
    for message in await messages(settings, ANCHOR_TOPIC):
        where = f"{ANCHOR_TOPIC} {message.partition}:{message.offset}"
        try:
            attested.hear(where, Anchor.model_validate_json(message.value or b"", strict=True), keys)
        except ValidationError:
            attested.refused.append(f"{where}: it is no anchor")


def _nothing(told: Witnesses, attested: Attested, keys: Keys) -> str:
    places = " and ".join([*([str(told.file)] if told.file else []), *([ANCHOR_TOPIC] if told.kafka else [])])
    found = f"anchors of {', '.join(attested.foreign)} only" if attested.foreign else "no anchor"
    return f"{places}: {found}, none of key {', '.join(keys)}: name another place or --public-key"


def _keys(told: Witnesses, settings: Settings) -> Keys:
    """The public keys that are believed: those that were given, else the one of the settings."""
    if told.keys:
        return known(public_key("--public-key", text) for text in told.keys)
    if told.sign:
        return known([private_key("--sign", told.sign).public])
    if settings.anchor_public_key:
        return known([public_key("AEVOLVE_ANCHOR_PUBLIC_KEY", settings.anchor_public_key)])
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
