"""When a schedule is due: a cron line of five fields, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from services.runtime.user_error import UserError

REMEDY = "give minute, hour, day of month, month, day of week; `0 3 * * *` is every day at 3:00 UTC"


def next_time(line: str, after: datetime) -> datetime:
    """The first time after another that a cron line names. Raises `UserError` for a line that names none."""
    try:
        due = next(CronSim(line, after.astimezone(UTC)), None)
    except CronSimError as error:
        raise UserError(f"cron: {line!r}; {error}: {REMEDY}") from error
    if len(line.split()) != 5 or due is None:  # the package takes a sixth field, for seconds
        raise UserError(f"cron: {line!r}; it is not five fields, or names a day that never comes: {REMEDY}")
    return due
