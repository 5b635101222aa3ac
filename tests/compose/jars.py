"""Prints the folder of Apache Kafka's jars, fetched where they are not there yet: `python -m tests.compose.jars`."""

from __future__ import annotations

import sys

from tests.kafka.broker import fetch, jars

if __name__ == "__main__":
    if not jars().exists():
        fetch()
    sys.stdout.write(f"{jars()}\n")
