"""Who may open the page: on loopback everybody here, elsewhere who has the token or whom a named proxy vouches for.

On another address than loopback it does not start without one of the two.
"""

from __future__ import annotations

import hmac
import ipaddress
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.runtime.user_error import UserError

SHORTEST_TOKEN = 24
"""Characters: a token of random letters that long cannot be guessed, however often one asks."""
SESSION_SECONDS = 12 * 3600
LOCAL = ("localhost", "127.0.0.1", "::1")
"""Names of this machine that a browser may call the page by."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class PageSettings(BaseSettings):
    """How the page may be reached; each field is the variable `AEVOLVE_CONSOLE_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="AEVOLVE_CONSOLE_", use_attribute_docstrings=True)

    token_file: Path | None = None
    """File with the token that opens the page, of 24 characters at least."""
    trusted_proxy: str | None = None
    """Address or network (CIDR) of the proxy that logs people in and says in a header who they are."""
    user_header: str = "X-Forwarded-User"
    """The header in which that proxy names the user; it must remove the header from what comes from outside."""
    names: str = ""
    """Further names that the page is called by, with commas, such as `aevolve.example.org`."""


@dataclass(frozen=True)
class Access:
    """The rules of one page."""

    hosts: frozenset[str]
    """What `Host` may say, without port: another name is somebody else's page that points here."""
    token: str | None = None
    """Opens the page; None where none is asked for."""
    proxy: Network | None = None
    """Where requests must come from, with the user's name in `header`."""
    header: str = "X-Forwarded-User"
    """The proxy's header."""

    def vouched(self, client: str, user: str | None) -> str | None:
        """The user that the trusted proxy names; None where this is not the proxy, or it names nobody."""
        try:
            trusted = self.proxy is not None and ipaddress.ip_address(client) in self.proxy
        except ValueError:
            return None
        return user if trusted and user else None

    def has_token(self, given: str) -> bool:
        """Whether this is the token."""
        return self.token is not None and hmac.compare_digest(given.encode(), self.token.encode())

    def session(self) -> str:
        """What a browser keeps in place of the token: when it ends, and a proof that the token was known."""
        ends = str(int(time.time()) + SESSION_SECONDS)
        return f"{ends}.{self._proof(ends)}"

    def has_session(self, given: str) -> bool:
        """Whether this is a session that has not ended."""
        ends, _, proof = given.partition(".")
        genuine = hmac.compare_digest(proof.encode(), self._proof(ends).encode())
        return genuine and ends.isdecimal() and int(ends) > time.time()

    def _proof(self, ends: str) -> str:
        assert self.token is not None
        return hmac.new(self.token.encode(), f"aevolve session {ends}".encode(), "sha256").hexdigest()


def access(host: str, settings: PageSettings) -> Access:
    """The rules for a page on this address. Raises `UserError` for one that everybody could open."""
    token = _token(settings.token_file) if settings.token_file else None
    proxy = _network(settings.trusted_proxy) if settings.trusted_proxy else None
    if not (token or proxy or is_loopback(host)):
        raise UserError(
            f"--host: {host}; others than this machine's users could open the page: set AEVOLVE_CONSOLE_TOKEN_FILE, or "
            "AEVOLVE_CONSOLE_TRUSTED_PROXY where a proxy logs people in, or listen on 127.0.0.1"
        )
    named = (name.strip().lower() for name in settings.names.split(","))
    hosts = frozenset({*LOCAL, host.lower(), *named} - {"", "0.0.0.0", "::"})  # noqa: S104 - these are no names
    return Access(hosts, token, proxy, settings.user_header)


def page_settings() -> PageSettings:
    """The settings of the environment. Raises `UserError` for a wrong value."""
    try:
        return PageSettings()
    except ValidationError as error:
        lines = (f"AEVOLVE_CONSOLE_{str(d['loc'][0]).upper()}: {d['input']!r}; {d['msg']}" for d in error.errors())
        raise UserError("\n".join(lines)) from error


def is_loopback(host: str) -> bool:
    """Whether only this machine's own users reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token(file: Path) -> str:
    try:
        token = file.read_text().strip()
    except OSError as error:
        raise UserError(
            f"AEVOLVE_CONSOLE_TOKEN_FILE: {file}; {error.strerror}: name a file that can be read"
        ) from error
    if len(token) < SHORTEST_TOKEN:
        raise UserError(
            f"AEVOLVE_CONSOLE_TOKEN_FILE: {file}; a token of {len(token)} characters can be guessed: make one of at "
            f"least {SHORTEST_TOKEN}, as by `openssl rand -hex 32`"
        )
    return token


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise UserError(
            f"AEVOLVE_CONSOLE_TRUSTED_PROXY: {text!r}; it is no address or network: write it as 10.0.0.7 or 10.0.0.0/24"
        ) from error
