"""Prepare a PostgreSQL database: its schema, and a role with a password for each service."""
# ruff: noqa: PLC0415 - `aevolve --help` imports this module

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.console.commands.options import command
from services.runtime.user_error import UserError, with_password, without_password

group = typer.Typer()


@command(group)
async def migrate(
    dsn: Annotated[str, typer.Argument(metavar="DSN", help="Address of the database, as its owner.")],
    secrets: Annotated[Path, typer.Option(help="Folder of the services' passwords; missing ones are made.")],
    password_file: Annotated[
        Path | None, typer.Option(help="File with the owner's password, if the DSN has none.")
    ] = None,
    before: Annotated[
        bool, typer.Option("--before", help="Only migrations with which the previous version still works.")
    ] = False,
) -> None:
    """Bring a PostgreSQL database to this version's schema and let the services log in."""
    import asyncpg

    from eventstore import migrate as schema
    from eventstore.connect import tls_fault
    from eventstore.errors import DISCONNECTED
    from schemas.registry import READERS, SERVICES
    from services.console.embedded.run_folder import secret

    if password_file:
        dsn = with_password(dsn, _password(password_file))
    passwords = {service: secret(secrets / service).read_text().strip() for service in SERVICES}
    passwords |= {reader: (secrets / reader).read_text().strip() for reader in READERS if (secrets / reader).exists()}
    try:
        applied = await schema.migrate(dsn, before=before)
        await schema.provision(dsn, passwords)
    except (*DISCONNECTED, asyncpg.PostgresError, ValueError) as error:
        reason = tls_fault(dsn, error) or (
            f"{error or type(error).__name__}: start the database, or give the address "
            "and password of a user who may create schemas and roles"
        )
        raise UserError(f"DSN: {without_password(dsn)}; {reason}") from error
    except schema.MigrationEdited as error:
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
