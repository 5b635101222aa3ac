"""`aevolve model export`: a candidate's weights, as the log names them, for whoever wants to use or submit them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import typer

from judgement.history import History, fold
from schemas.events import CheckpointTrained
from services.console.client import read_settings
from services.console.log_source import told
from services.oracle.adapters import AdapterChanged, adapter
from services.oracle.boards.submission_zip import AdapterUnfit, Limits, check, pack
from services.runtime.storage.hashing import hash_folder
from services.runtime.storage.model_folders import ModelMissing, model_folder
from services.runtime.storage.object_store import StoreFailed
from services.runtime.user_error import UserError, nearest


async def export(
    campaign: str,
    candidate: str | None,
    out: Path | None,
    package: Path | None,
    max_rank: int,
    file: Path | None,
    run: Path | None,
) -> None:
    """Write the model's folder, the submission, or both. Raises `UserError`."""
    if out is None and package is None:
        raise UserError("--out: nothing was asked for; name a folder with --out, a submission with --zip, or both")
    for place, option in ((out, "--out"), (package, "--zip")):
        if place is not None and place.exists():
            raise UserError(f"{option}: {place} exists; remove it or name another")
    history = fold(campaign, await told(file, run, campaign))
    name, checkpoint = chosen(history, candidate)
    trained, base = _trained(checkpoint, run), _base(history)
    if package is not None:
        submission(checkpoint, trained, base, package, max_rank)
        typer.echo(f"{package}: the adapter of {name}, of rank {max_rank} at most")
    if out is not None:
        _model(history, name, checkpoint, trained, base, out)
        typer.echo(f"{out}: {name} as a plain model; AutoModelForCausalLM.from_pretrained loads it")


def chosen(history: History, candidate: str | None) -> tuple[str, CheckpointTrained]:
    """The named candidate, else the winner, with its checkpoint. Raises `UserError` if there is none."""
    if candidate is None and history.finished is None:
        raise UserError("--candidate: the campaign has no winner yet; name a candidate")
    name = candidate or (history.finished.winner if history.finished else "")
    if name == "base":
        raise UserError(f"--candidate: base is no candidate: the base model lies in {history.substrate.base_uri}")
    trained = {name: trial.checkpoint for name, trial in history.trials.items() if trial.checkpoint}
    if name not in trained:
        raise UserError(f"--candidate: {name!r} has no checkpoint in this campaign; {nearest(name, trained)}")
    return name, trained[name]


def submission(checkpoint: CheckpointTrained, trained: Path, base: Path, package: Path, max_rank: int) -> None:
    """Write the zip of an adapter, which has been checked. Raises `UserError` for what no board takes."""
    if checkpoint.form == "full":
        raise UserError(f"--zip: all weights of {checkpoint.candidate} were trained; a board takes an adapter alone")
    package.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=package.parent) as scratch:
        try:
            made = pack(trained, base, "", Limits(rank=max_rank), Path(scratch))
        except AdapterUnfit as unfit:
            raise UserError(f"--zip: {unfit}") from unfit
        shutil.move(made, package)


def _trained(checkpoint: CheckpointTrained, run: Path | None) -> Path:
    try:
        folder = adapter(checkpoint.uri, checkpoint.sha256, read_settings(run).copies)
    except (AdapterChanged, StoreFailed) as error:
        raise UserError(f"--candidate: {error}") from error
    assert folder is not None
    return folder


def _base(history: History) -> Path:
    """The base's folder, which must be what the campaign began with."""
    try:
        folder = model_folder(history.substrate.base_uri)
    except ModelMissing as missing:
        raise UserError(str(missing)) from missing
    if (found := hash_folder(folder)) != (began := history.substrate.base_sha256):
        raise UserError(f"model.base: {folder} is now {found}, the campaign began with {began}; restore it")
    return folder


def _model(history: History, name: str, checkpoint: CheckpointTrained, trained: Path, base: Path, out: Path) -> None:
    from services.trainer.model.export import export as write  # noqa: PLC0415 - with the extra that trains

    if checkpoint.form == "adapter":
        try:
            check(trained, Limits())
        except AdapterUnfit as unfit:
            raise UserError(f"--candidate: {unfit}") from unfit
    made_from = {
        "campaign": history.id,
        "candidate": name,
        "base_sha256": history.substrate.base_sha256,
        "trained_sha256": checkpoint.sha256,
    }
    write(base, trained, out, made_from)
