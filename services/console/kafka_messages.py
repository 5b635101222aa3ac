"""Read all messages of a Kafka topic, or raise one `UserError` if the broker cannot be reached."""

from __future__ import annotations

import logging
from typing import Any

from aiokafka.errors import KafkaError

from services.runtime.kafka.preflight import check_connection
from services.runtime.kafka.reader import read_topics
from services.runtime.kafka.security import client_options
from services.runtime.settings import BadSetting, Settings
from services.runtime.user_error import UserError


async def messages(settings: Settings, topic: str) -> list[Any]:
    """The messages of a topic (aiokafka's `ConsumerRecord`), by time. Raises `UserError`."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # `unreachable` reports an absent broker
    try:
        await check_connection(settings)
        return await read_topics(settings.kafka, {topic}, **client_options(settings))
    except BadSetting as wrong:
        raise UserError(str(wrong)) from wrong
    except (KafkaError, OSError, ValueError) as error:
        raise unreachable(settings, error) from error


def unreachable(settings: Settings, error: Exception) -> UserError:
    """The error for a broker that does not answer."""
    return UserError(
        f"AEVOLVE_KAFKA: {settings.kafka} does not answer ({error}); "
        "start the broker, correct the address or AEVOLVE_KAFKA_PROTOCOL, or name a running embedded run with --run"
    )
