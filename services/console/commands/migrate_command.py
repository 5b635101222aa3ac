"""Preparing a database that is not ours: its schema, and a role with a password for each service."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import typer

from eventstore.connect import tls_fault
from eventstore.errors import DISCONNECTED
from eventstore.migrate import MigrationEdited, migrate, provision
from schemas.registry import READERS, SERVICES
from services.console.embedded.run_folder import secret
from services.runtime.user_error import UserError, with_password, without_password


async def prepare(dsn: str, secrets: Path, password_file: Path | None = None, *, before: bool = False) -> None:
    """Apply what is missing and let each service log in; passwords stand in one file per service.

    A role that only reads logs in where a file of its name is given.

    Raises `UserError` where the database cannot be reached or the schema was tampered with.
    """
    if password_file:
        dsn = with_password(dsn, _password(password_file))
    passwords = {service: secret(secrets / service).read_text().strip() for service in SERVICES}
    passwords |= {reader: (secrets / reader).read_text().strip() for reader in READERS if (secrets / reader).exists()}
    try:
        applied = await migrate(dsn, before=before)
        await provision(dsn, passwords)
    except (*DISCONNECTED, asyncpg.PostgresError, ValueError) as error:
        words = tls_fault(dsn, error) or (
            f"{error or type(error).__name__}: start the database, or give the address "
            "and password of a user who may create schemas and roles"
        )
        raise UserError(f"DSN: {without_password(dsn)}; {words}") from error
    except MigrationEdited as error:
        raise UserError(f"DSN: {without_password(dsn)}; {error}") from error
    typer.echo("\n".join(applied) or "the schema is up to date")
    typer.echo(f"passwords of the services: {secrets}/<service>, for AEVOLVE_PASSWORD_FILE")


def _password(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError as error:
        raise UserError(
            f"--password-file: {file}; it cannot be read ({error.strerror}): name the file of the owner's password"
        ) from error
