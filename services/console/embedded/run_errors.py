"""What a machine does to a run, such as a full disk or a killed database, as one message with a remedy."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from eventstore.errors import DISCONNECTED
from services.console.embedded.run_folder import RunFolder
from services.runtime.user_error import UserError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


@contextmanager
def as_user_errors(folder: RunFolder) -> Iterator[None]:
    """Raise `UserError` for a failure of the run's disk or of its database. A closed terminal stays what it is."""
    try:
        yield
    except (BrokenPipeError, UserError):
        raise
    except (*DISCONNECTED, asyncpg.PostgresError) as error:
        if isinstance(error, OSError) and not isinstance(error, (ConnectionError, TimeoutError)):
            raise UserError(f"--out: {folder.root}; {_of_disk(error, folder)}") from error
        raise UserError(
            f"embedded: the database of {folder.root} ended or refused ({error or type(error).__name__}): see "
            f"{folder.state / 'postgres' / 'postgres.log'}, free some disk and memory, and run the command again"
        ) from error


def _of_disk(error: OSError, folder: RunFolder) -> str:
    place = "" if error.filename in (None, str(folder.root)) else f" at {os.fsdecode(error.filename)}"
    if error.errno in FULL:
        remedy = "free some disk or raise the quota, and go on with --resume"
    elif error.errno in READ_ONLY:
        remedy = "give a folder that you can write to"
    else:
        remedy = "give another folder"
    return f"{error.strerror or error}{place}: {remedy}"
