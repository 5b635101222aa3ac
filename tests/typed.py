"""What a test knows of a value and the value's type does not say: each fails the test where the test is wrong."""

from __future__ import annotations

from typing import TypeVar

Value = TypeVar("Value")


def there(value: Value | None) -> Value:
    """What cannot be missing here."""
    assert value is not None
    return value


def instance(kind: type[Value], value: object) -> Value:
    """What can only be of this class here."""
    assert isinstance(value, kind), value
    return value
