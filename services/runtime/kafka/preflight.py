"""A test connection before any client opens its own, because aiokafka's clients do not report why they fail."""

from __future__ import annotations

import ssl
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from services.runtime.kafka.security import client_options
from services.runtime.settings import BadSetting, Settings

TIMEOUT_MS = 10_000
"""How long a broker may take to answer."""


async def check_connection(settings: Settings) -> None:
    """Connect to one of the bootstrap addresses, with the configured TLS and SASL.

    Raises `BadSetting` if authentication fails on either side, `KafkaConnectionError` if no address answers.
    """
    options, refusals = client_options(settings), list[str]()
    for host, port in _addresses(settings):
        try:
            connection = await create_conn(host, port, request_timeout_ms=TIMEOUT_MS, **options)
        except (KafkaError, OSError) as error:
            if remedy := _refusal(settings, error):
                raise BadSetting("kafka", f"{host}:{port}", remedy) from error
            refusals.append(f"{host}:{port}: {error or type(error).__name__}")
        else:
            connection.close()
            return
    raise KafkaConnectionError("; ".join(refusals))


def _addresses(settings: Settings) -> list[tuple[str, int]]:
    try:
        return [(host, port) for host, port, _ in collect_hosts(settings.kafka, randomize=False)]
    except ValueError as error:
        raise BadSetting("kafka", settings.kafka, f"{error}: give HOST:PORT, or several with commas") from error


def _refusal(settings: Settings, error: Any) -> str | None:
    """The remedy if the broker answers and one side rejects the other; None for any other error."""
    match error:
        case ssl.SSLCertVerificationError():
            return (
                f"it does not prove who it is ({error.verify_message}): name its CA in AEVOLVE_KAFKA_CA_FILE, "
                "and the broker as its certificate does"
            )
        case ssl.SSLError():
            return f"no TLS ({error}): check AEVOLVE_KAFKA_PROTOCOL, and AEVOLVE_KAFKA_CERT_FILE if it wants one"
        case SaslAuthenticationFailed():
            return (
                f"it refuses user {settings.kafka_user} ({error}): "
                "check AEVOLVE_KAFKA_USER and the password in AEVOLVE_KAFKA_PASSWORD_FILE"
            )
        case UnsupportedSaslMechanismError() | IllegalSaslStateError():
            return f"no {settings.kafka_sasl_mechanism} with it ({error}): correct AEVOLVE_KAFKA_SASL_MECHANISM"
    return None
