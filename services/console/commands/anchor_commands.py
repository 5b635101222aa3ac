"""The commands that look after the keys of anchors."""

from __future__ import annotations

from pathlib import Path

import typer

from eventstore.integrity.anchors import make_key
from services.console.commands.anchors import private_key
from services.runtime.user_error import UserError


def keygen(file: Path) -> None:
    """Make a private key that only this user can read, and print its public key."""
    try:
        signer = make_key(file)
    except OSError as error:
        raise UserError(f"FILE: {file}; it cannot be made ({error.strerror}): name a new file") from error
    typer.echo(signer.public.hex())


def public(file: Path) -> None:
    """Print the public key of a private one."""
    typer.echo(private_key("FILE", file).public.hex())
