"""The console's look at a topic: all its messages, or one message for a person where the broker cannot be asked."""

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
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it would say of an absent broker, `absent` says
    try:
        await check_connection(settings)
        return await read_topics(settings.kafka, {topic}, **client_options(settings))
    except BadSetting as wrong:
        raise UserError(str(wrong)) from wrong
    except (KafkaError, OSError, ValueError) as error:
        raise absent(settings, error) from error


def absent(settings: Settings, error: Exception) -> UserError:
    """What to do about a broker that does not answer."""
    return UserError(
        f"AEVOLVE_KAFKA: {settings.kafka} does not answer ({error}); "
        "start the broker, correct the address or AEVOLVE_KAFKA_PROTOCOL, or name an embedded run that is up by --run"
    )
