"""`aevolve rescore`: every score of a campaign computed again from its receipt."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from audit.artifacts import receipt_place
from judgement.history import History, fold
from schemas.envelope import Envelope
from schemas.events import GuardsReported, ScoresReported
from services.console.client import DEFAULT_RUN, from_environment
from services.console.embedded.run_folder import RunFolder
from services.console.embedded.system import KEY_NAME
from services.console.log_source import told
from services.oracle.job import KeyMissing
from services.oracle.rescore import Rescored
from services.oracle.rescore import rescore as rescore_one
from services.oracle.sets import read_key
from services.runtime.storage.object_store import StoreFailed
from services.runtime.user_error import UserError, nearest

SHOWN = {"identical": "identical", "different": "DIFFERENT", "missing": "MISSING  "}
"""State -> how it is printed."""

Scored = ScoresReported | GuardsReported


async def rescore(
    campaign: str,
    candidate: str | None,
    kind: str | None,
    file: Path | None,
    run: Path | None,
    key_file: Path | None,
    *,
    as_json: bool,
) -> int:
    """Print each score beside its repetition; 1 where one differs or has no receipt."""
    folders = [str(RunFolder(place).state / "artifacts" / "receipts") for place in _runs(file, run)]
    key = _key(key_file, folders)
    envelopes = await told(file, run, campaign)
    history = fold(campaign, envelopes)
    chosen = _chosen(envelopes, candidate, kind)
    try:
        found = [rescore_one(history, event, receipt_place(event.receipt, folders), key) for event in chosen]
    except StoreFailed as failed:
        raise UserError(f"receipts: {failed}") from failed
    _print_json(found) if as_json else typer.echo("\n".join(_text(history, found, has_key=key is not None)))
    return 0 if all(one.state == "identical" for one in found) else 1


def _chosen(envelopes: Sequence[Envelope], candidate: str | None, kind: str | None) -> list[Scored]:
    """The scores that were asked for. Raises `UserError` where there is none."""
    scored = [event for envelope in envelopes if isinstance(event := envelope.event, Scored)]
    names = dict.fromkeys(event.candidate for event in scored)
    if candidate is not None and candidate not in names:
        raise UserError(f"CANDIDATE: {candidate!r} has no score in this campaign; {nearest(candidate, names)}")
    kinds = dict.fromkeys(_kind(event) for event in scored)
    if kind is not None and kind not in kinds:
        raise UserError(f"--kind: {kind!r} was not measured in this campaign; {nearest(kind, kinds)}")
    found = [event for event in scored if candidate in (None, event.candidate) and kind in (None, _kind(event))]
    if not found:
        raise UserError(f"--kind: {candidate or 'nobody'} was not measured on {kind or 'anything'}; leave it out")
    return found


def _kind(event: Scored) -> str:
    return event.kind if isinstance(event, ScoresReported) else "guards"


def _runs(file: Path | None, run: Path | None) -> list[Path]:
    """The folders of runs that may hold the receipts: the one named, and the one that the log's copy lies in."""
    beside = [file.parent] if file else []
    return [*([run] if run else []), *beside] or [DEFAULT_RUN]


def _key(key_file: Path | None, folders: Sequence[str]) -> bytes | None:
    """The key of the sealed sets: of the file that is named, else of the environment, else that of embedded runs."""
    settings = from_environment()
    given = key_file or settings.oracle_key_file
    embedded = settings.cache / KEY_NAME
    if given is None and not (embedded.exists() and any(Path(folder).is_dir() for folder in folders)):
        return None
    try:
        return read_key(str(given or embedded))
    except KeyMissing as missing:
        raise UserError(f"--key: {missing}") from missing


def _text(history: History, found: Sequence[Rescored], *, has_key: bool) -> Iterator[str]:
    width = max(len(one.candidate) for one in found)
    for one in found:
        yield f"{SHOWN[one.state]}  {one.candidate:{width}}  {one.kind:8}  {one.words}"
    same = sum(one.state == "identical" for one in found)
    yield f"{same} of {len(found)} scores of {history.id} are identical when computed again from their receipts"
    if not has_key:
        yield (
            "without the key of the sealed sets no output was judged again: "
            "name its file with --key or AEVOLVE_ORACLE_KEY_FILE"
        )


def _print_json(found: Sequence[Rescored]) -> None:
    typer.echo(json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False))
