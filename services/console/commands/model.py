"""Export a trained model from a campaign."""
# ruff: noqa: PLC0415 - `aevolve --help` imports this module

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.console.commands.options import CampaignId, LogFile, Run, command
from services.runtime.user_error import UserError, nearest

if TYPE_CHECKING:
    from judgement.history import History
    from schemas.events import CheckpointTrained

group = typer.Typer(help="Export a trained model from a campaign.", no_args_is_help=True)


@group.callback()
def keep_name() -> None:
    """Keep the name of the only command."""


@command(group)
async def export(
    campaign: CampaignId,
    candidate: Annotated[str | None, typer.Option(help="Candidate id.", show_default="the winner")] = None,
    out: Annotated[
        Path | None, typer.Option(help="New folder for the merged model, which transformers can load.")
    ] = None,
    package: Annotated[
        Path | None, typer.Option("--zip", metavar="FILE", help="New file for the adapter as a board accepts it.")
    ] = None,
    max_rank: Annotated[int, typer.Option(min=1, help="Highest LoRA rank that the board accepts.")] = 32,
    file: LogFile = None,
    folder: Run = None,
) -> None:
    """Write a candidate as a plain Hugging Face model, as a submission, or both; the log's hashes are checked."""
    from judgement.history import fold
    from services.console.client import read_settings
    from services.console.log_source import campaign_events
    from services.oracle.adapters import AdapterChanged, adapter
    from services.runtime.storage.object_store import StoreFailed

    if out is None and package is None:
        raise UserError("--out: missing; name a folder with --out, a submission with --zip, or both")
    for place, option in ((out, "--out"), (package, "--zip")):
        if place is not None and place.exists():
            raise UserError(f"{option}: {place} exists; remove it or name another")
    history = fold(campaign, await campaign_events(file, folder, campaign))
    name, checkpoint = select(history, candidate)
    try:
        weights = adapter(checkpoint.uri, checkpoint.sha256, read_settings(folder).copies)
    except (AdapterChanged, StoreFailed) as error:
        raise UserError(f"--candidate: {error}") from error
    assert weights is not None
    base = _base(history)
    if package is not None:
        write_submission(checkpoint, weights, base, package, max_rank)
        typer.echo(f"{package}: the adapter of {name}, of rank {max_rank} at most")
    if out is not None:
        _write_model(history, name, checkpoint, weights, base, out)
        typer.echo(f"{out}: {name} as a plain model; AutoModelForCausalLM.from_pretrained loads it")


def select(history: History, candidate: str | None) -> tuple[str, CheckpointTrained]:
    """The named candidate, else the winner, with its checkpoint. Raises `UserError` if there is none."""
    if candidate is None and history.finished is None:
        raise UserError("--candidate: the campaign has no winner yet; name a candidate")
    name = candidate or (history.finished.winner if history.finished else "")
    if name == "base":
        raise UserError(f"--candidate: base is no candidate: the base model lies in {history.substrate.base_uri}")
    checkpoints = {name: trial.checkpoint for name, trial in history.trials.items() if trial.checkpoint}
    if name not in checkpoints:
        raise UserError(f"--candidate: {name!r} has no checkpoint in this campaign; {nearest(name, checkpoints)}")
    return name, checkpoints[name]


def _base(history: History) -> Path:
    """The base's folder. Raises `UserError` if it is not the base that the campaign started with."""
    from services.runtime.storage.hashing import hash_folder
    from services.runtime.storage.model_folders import ModelMissing, model_folder

    try:
        folder = model_folder(history.substrate.base_uri)
    except ModelMissing as missing:
        raise UserError(str(missing)) from missing
    if (actual := hash_folder(folder)) != (recorded := history.substrate.base_sha256):
        raise UserError(f"model.base: {folder} has hash {actual}, the campaign started with {recorded}; restore it")
    return folder


def write_submission(checkpoint: CheckpointTrained, weights: Path, base: Path, package: Path, max_rank: int) -> None:
    """Write the zip of an adapter after checking it. Raises `UserError` for what a board would refuse."""
    import shutil
    import tempfile

    from services.oracle.boards.submission_zip import AdapterUnfit, Limits, pack

    if checkpoint.form == "full":
        raise UserError(f"--zip: {checkpoint.candidate} was trained in full; a board accepts only an adapter")
    package.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=package.parent) as scratch:
        try:
            packed = pack(weights, base, "", Limits(rank=max_rank), Path(scratch))
        except AdapterUnfit as unfit:
            raise UserError(f"--zip: {unfit}") from unfit
        shutil.move(packed, package)


def _write_model(
    history: History, name: str, checkpoint: CheckpointTrained, weights: Path, base: Path, out: Path
) -> None:
    from services.oracle.boards.submission_zip import AdapterUnfit, Limits, check
    from services.trainer.model.export import export as write

    if checkpoint.form == "adapter":
        try:
            check(weights, Limits())
        except AdapterUnfit as unfit:
            raise UserError(f"--candidate: {unfit}") from unfit
    origin = {
        "campaign": history.id,
        "candidate": name,
        "base_sha256": history.substrate.base_sha256,
        "trained_sha256": checkpoint.sha256,
    }
    write(base, weights, out, origin)
