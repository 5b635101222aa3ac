"""Check what the oracle measures: tasks before a campaign, scores after it."""
# ruff: noqa: PLC0415 - `aevolve --help` imports this module

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.console.commands.options import AsJson, CampaignId, LogFile, Run, command
from services.runtime.user_error import UserError, nearest

if TYPE_CHECKING:
    from schemas.envelope import Envelope
    from schemas.events import GuardsReported, ScoresReported
    from schemas.tasks import TaskList
    from services.oracle.rescore import Rescored
    from services.runtime.settings import Settings

    Scored = ScoresReported | GuardsReported

LABELS = {"identical": "identical", "different": "DIFFERENT", "missing": "MISSING  ", "changed": "CHANGED  "}
"""State of a repeated score -> how it is printed."""

group = typer.Typer()


@group.command()
def tasks(
    file: Annotated[Path, typer.Argument(metavar="CAMPAIGN.yaml", help="Campaign file.")],
) -> None:
    """Load the lm-eval tasks that a campaign file names, fetch their data sets, and list what would be measured."""
    from services.console.campaign_file import load

    law = load(file).constitution
    lists = {f"target ({kind})": listed for kind, listed in law.lists.items()}
    lists |= {f"guard {guard.name}": guard for guard in law.guards}
    if not lists:
        typer.echo(f"{file}: names no tasks; the target is the oracle's sealed set, and there are no guards")
    for field, listed in lists.items():
        typer.echo("\n".join(_task_lines(file, field, listed, run_code=law.run_code)))


def _task_lines(file: Path, field: str, listed: TaskList, *, run_code: bool) -> Iterator[str]:
    try:
        from services.oracle.harness.lists import load_tasks
    except ModuleNotFoundError as missing:
        raise UserError(f"{missing.name} is not installed: pip install 'aevolve[trainer]'") from missing
    from services.oracle.job import CodeRefused, TaskRefused

    try:
        loaded = load_tasks(listed, run_code=run_code)
    except (TaskRefused, CodeRefused) as refused:
        raise UserError(f"{file}: {field}: {refused}") from refused
    for score in listed.tasks:
        task = loaded[score.name]
        items = min(len(task.eval_docs), listed.limit or len(task.eval_docs))
        shots = task.get_config("num_fewshot")
        yield f"{field}: {score.task} {task.VERSION}, {score.metric}, {items:,} items, {shots} solved examples"


@command(group)
async def rescore(
    campaign: CampaignId,
    candidate: Annotated[
        str | None, typer.Argument(help="Candidate id, or `base`.", show_default="all candidates")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="dev, confirm, external, final or guards.", show_default="all kinds")
    ] = None,
    file: LogFile = None,
    folder: Run = None,
    key: Annotated[Path | None, typer.Option(help="File with the oracle's key: outputs are then scored again.")] = None,
    as_json: AsJson = False,
) -> int:
    """Recompute recorded scores from their receipts; exit status 1 if one differs or cannot be computed again."""
    import json
    from dataclasses import asdict
    from functools import cache

    from audit.artifacts import receipt_place
    from judgement.history import fold
    from services.console.embedded.run_folder import RunFolder
    from services.console.log_source import campaign_events
    from services.console.paths import DEFAULT_RUN
    from services.oracle.rescore import rescore as rescore_one
    from services.oracle.suites import open_suites
    from services.runtime.places import places
    from services.runtime.storage.object_store import StoreFailed

    runs = [*([folder] if folder else []), *([file.parent] if file else [])] or [DEFAULT_RUN]
    states = [RunFolder(place).state for place in runs]
    folders = [str(state / "artifacts" / "receipts") for state in states]
    key_file = _key_file(key, states)
    secret = _key(key_file) if key_file else None
    envelopes = await campaign_events(file, folder, campaign)
    history = fold(campaign, envelopes)
    selected = _select(envelopes, candidate, kind)
    try:
        with places(_settings(runs, key_file)) as task_places:
            suites = cache(lambda: open_suites(history.campaign.constitution.suites, task_places))
            rescored = [
                rescore_one(history, event, receipt_place(event.receipt, folders), secret, suites) for event in selected
            ]
    except StoreFailed as failed:
        raise UserError(f"receipts: {failed}") from failed
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in rescored], indent=1, ensure_ascii=False))
    else:
        typer.echo("\n".join(_score_lines(campaign, rescored, has_key=secret is not None)))
    return 0 if all(one.state == "identical" for one in rescored) else 1


def _select(envelopes: Sequence[Envelope], candidate: str | None, kind: str | None) -> list[Scored]:
    """The scores of a candidate and kind. Raises `UserError` if there is none."""
    from schemas.events import GuardsReported, ScoresReported

    scored = [event for envelope in envelopes if isinstance(event := envelope.event, ScoresReported | GuardsReported)]
    names = dict.fromkeys(event.candidate for event in scored)
    if candidate is not None and candidate not in names:
        raise UserError(f"CANDIDATE: {candidate!r} has no score in this campaign; {nearest(candidate, names)}")
    kinds = {id(event): event.kind if isinstance(event, ScoresReported) else "guards" for event in scored}
    if kind is not None and kind not in kinds.values():
        raise UserError(
            f"--kind: {kind!r} was not measured in this campaign; {nearest(kind, dict.fromkeys(kinds.values()))}"
        )
    matches = [event for event in scored if candidate in (None, event.candidate) and kind in (None, kinds[id(event)])]
    if not matches:
        raise UserError(f"--kind: {kind or 'any'} of {candidate or 'any candidate'} was not measured; leave it out")
    return matches


def _settings(runs: Sequence[Path], key_file: Path | None) -> Settings:
    """Where items and code of suites lie: the environment's folders, then that of the run's campaign file."""
    import os

    from services.console.client import settings_from_environment
    from services.console.embedded.run_folder import RunFolder

    settings = settings_from_environment()
    beside = [folder for place in runs if (folder := RunFolder(place).record().beside)]
    named = [settings.task_path or str(Path.cwd()), *map(str, beside)]
    return settings.model_copy(update={"task_path": os.pathsep.join(named), "oracle_key_file": key_file})


def _key_file(file: Path | None, states: Sequence[Path]) -> Path | None:
    """The key's file: the named one, else the environment's, else that of the embedded run.

    Runs of 0.3.0 have none of their own: the user's key was theirs.
    """
    from services.console.client import settings_from_environment
    from services.console.embedded.system import KEY_NAME

    settings = settings_from_environment()
    named = file or settings.oracle_key_file
    if named is None:
        theirs = [settings.cache] if any(state.is_dir() for state in states) else []
        named = next((place / KEY_NAME for place in (*states, *theirs) if (place / KEY_NAME).exists()), None)
    return named


def _key(file: Path) -> bytes:
    """The key of the sealed sets. Raises `UserError`."""
    from services.oracle.job import KeyMissing
    from services.oracle.sets import read_key

    try:
        return read_key(str(file))
    except KeyMissing as missing:
        raise UserError(f"--key: {missing}") from missing


def _score_lines(campaign: str, rescored: Sequence[Rescored], *, has_key: bool) -> Iterator[str]:
    width = max(len(one.candidate) for one in rescored)
    for one in rescored:
        yield f"{LABELS[one.state]}  {one.candidate:{width}}  {one.kind:8}  {one.words}"
    same = sum(one.state == "identical" for one in rescored)
    yield f"{same} of {len(rescored)} scores of {campaign} are identical when recomputed from their receipts"
    if not has_key:
        yield (
            "without the key of the sealed sets no output was scored again: "
            "name its file with --key or AEVOLVE_ORACLE_KEY_FILE"
        )
