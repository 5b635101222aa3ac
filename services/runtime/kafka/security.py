"""TLS and SASL for every Kafka client, from one reading of the settings."""

from __future__ import annotations

import ssl
from typing import Any

from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from services.runtime.settings import BadSetting, Settings

MECHANISMS: dict[str, type[SASLPlaintext | SASLScram256 | SASLScram512]] = {
    "PLAIN": SASLPlaintext,
    "SCRAM-SHA-256": SASLScram256,
    "SCRAM-SHA-512": SASLScram512,
}
SASL_FIELDS = ("kafka_user", "kafka_password_file")
TLS_FIELDS = ("kafka_ca_file", "kafka_cert_file", "kafka_key_file")


def security(settings: Settings) -> BaseSecurity:
    """For FastStream's broker. Raises `BadSetting` if settings contradict each other or a file cannot be used."""
    tls, sasl = settings.kafka_protocol.endswith("SSL"), settings.kafka_protocol.startswith("SASL")
    _refuse_unused(settings, () if sasl else SASL_FIELDS, "SASL_SSL")
    _refuse_unused(settings, () if tls else TLS_FIELDS, "SASL_SSL" if sasl else "SSL")
    context = _context(settings) if tls else None
    if not sasl:
        return BaseSecurity(context, tls)
    user, password = _credentials(settings)
    return MECHANISMS[settings.kafka_sasl_mechanism](user, password, context, tls)


def client_options(settings: Settings) -> dict[str, Any]:
    """The same as the arguments of aiokafka's own clients."""
    return parse_security(security(settings))


def _refuse_unused(settings: Settings, fields: tuple[str, ...], protocol: str) -> None:
    for field in fields:
        if (value := getattr(settings, field)) is not None:
            remedy = f"{settings.kafka_protocol} does not use it: unset it, or set AEVOLVE_KAFKA_PROTOCOL={protocol}"
            raise BadSetting(field, value, remedy)


def _credentials(settings: Settings) -> tuple[str, str]:
    for field in SASL_FIELDS:
        if getattr(settings, field) is None:
            raise BadSetting(field, "not set", f"AEVOLVE_KAFKA_PROTOCOL={settings.kafka_protocol} needs it: set it")
    user, file = settings.kafka_user, settings.kafka_password_file
    assert user is not None
    assert file is not None
    try:
        return user, file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise BadSetting("kafka_password_file", file, f"{error}: name a file with the password") from error


def _context(settings: Settings) -> ssl.SSLContext:
    """Checks the broker's certificate and host name, and presents our own certificate."""
    ca, own, key = settings.kafka_ca_file, settings.kafka_cert_file, settings.kafka_key_file
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise BadSetting("kafka_ca_file", ca, f"{error}: name a PEM file with the broker's CA") from error
    if own is None and key is not None:
        raise BadSetting("kafka_cert_file", "not set", f"the key {key} cannot be used without it: set it")
    if own is not None:
        try:
            context.load_cert_chain(own, key, password="")  # without one, OpenSSL would prompt at the terminal
        except OSError as error:
            remedy = f"{error} (with AEVOLVE_KAFKA_KEY_FILE: {key}): name PEM files that belong together, not encrypted"
            raise BadSetting("kafka_cert_file", own, remedy) from error
    return context
