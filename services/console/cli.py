"""The command `aevolve`. Here stand the options alone; what a command does is imported when it is called.

Exit status: 0 done, 1 not what was hoped for, 2 wrong input or a missing part (one message tells), 128 + n signal n.
"""
# ruff: noqa: PLC0415 - so that `aevolve --help` is quick, and works without the extras

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from services.console.commands.cli_chain import anchors, chain
from services.console.commands.cli_data import data
from services.console.commands.cli_letters import letters
from services.console.commands.cli_model import model
from services.console.commands.cli_oracle import oracle
from services.console.commands.cli_page import page
from services.console.commands.cli_plan import planning
from services.console.commands.cli_telemetry import telemetry
from services.runtime.user_error import UserError

T = TypeVar("T")
Run = Annotated[Path | None, typer.Option("--run", help="Folder of an embedded run (`up`, `demo`) to talk to.")]
Out = Annotated[Path, typer.Option("--out", help="Folder of the run.")]
LogFile = Annotated[Path | None, typer.Option("--file", help="A log.jsonl, in place of a live log.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the log.")]
CampaignId = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Campaign id; `aevolve status` lists them.")]
DEMO = Path(__file__).parents[2] / "deploy" / "campaigns" / "demo.yaml"
"""Beside the packages, in a checkout as in an installation."""


class Commands(TyperGroup):
    """The one place where a `UserError` becomes a message and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except UserError as problem:
            typer.echo(f"aevolve: {problem}", err=True)
            raise typer.Exit(2) from None


app = typer.Typer(
    cls=Commands,
    name="aevolve",
    help="Post-trains language models by itself, notices when its dev metric misleads, and changes its search.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(letters, name="dead-letters")
app.add_typer(chain)
app.add_typer(model, name="model")
app.add_typer(oracle)
app.add_typer(page)
app.add_typer(planning)
app.add_typer(telemetry)
app.add_typer(anchors, name="anchors")
app.add_typer(data, name="data")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; a signal ends it with the exit status that says so."""
    from services.console import signals

    try:
        return signals.run(work)
    except signals.Interrupted as interrupted:
        raise typer.Exit(interrupted.status) from None


@app.command()
def demo(
    out: Out = Path("runs/demo"),
    campaign: Annotated[Path, typer.Option(help="Campaign file.", show_default="the demo's")] = DEMO,
    candidates: Annotated[int | None, typer.Option(help="Candidates per round, in place of the file's.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds, in place of the file's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed, in place of the file's.")] = None,
    base: Annotated[
        Path | None, typer.Option(help="Folder of a Hugging Face causal LM, in place of the file's.")
    ] = None,
    null_twin: Annotated[
        bool, typer.Option("--null-twin", help="Distribute the target as dev: no drift is there.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the campaign that the folder holds.")] = False,
) -> None:
    """Run a whole campaign on this machine: database, broker, services, training, report.

    A folder with a finished campaign takes another one into the same log; an unfinished one must be resumed or left.
    """
    from services.console.commands import machine_commands

    options: dict[str, Any] = {"candidates": candidates, "rounds": rounds, "seed": seed, "null_twin": null_twin or None}
    options["base"] = str(base) if base else None
    raise typer.Exit(machine_commands.demo(out, campaign, options, resume=resume))


@app.command()
def up(
    out: Out = Path("runs/demo"),
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Port of the web page.", show_default="8787, or any where that is taken"),
    ] = None,
) -> None:
    """Keep the embedded database, broker, services and web page running, without a campaign, until Ctrl-C."""
    from services.console.commands import machine_commands

    raise typer.Exit(machine_commands.up(out, port))


@app.command()
def migrate(
    dsn: Annotated[str, typer.Argument(metavar="DSN", help="Address of the database, as its owner.")],
    secrets: Annotated[Path, typer.Option(help="Folder of the services' passwords; new ones are made.")],
    before: Annotated[
        bool, typer.Option("--before", help="Only what the services of the version before can go on with.")
    ] = False,
    password_file: Annotated[
        Path | None, typer.Option(help="File with the owner's password, in place of one in the DSN.")
    ] = None,
) -> None:
    """Bring a PostgreSQL database to this version's schema and let the services log in."""
    from services.console.commands import migrate_command

    run(migrate_command.prepare(dsn, secrets, password_file, before=before))


@app.command()
def serve(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="data, recipes, trainer, oracle or policy.")],
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Only run so many of its long jobs, one at a time, and end.")
    ] = None,
) -> None:
    """Run one service in this process, with the settings of the environment (AEVOLVE_*).

    With --jobs it handles no events and needs no Kafka; it also ends where no job comes for AEVOLVE_IDLE_SECONDS.
    """
    from services.console.commands import machine_commands

    machine_commands.serve(service, jobs)


@app.command()
def start(
    campaign: Annotated[Path, typer.Argument(metavar="CAMPAIGN.yaml", help="Campaign file.")],
    warm_from: Annotated[
        str | None, typer.Option(metavar="CAMPAIGN", help="Earlier campaign whose learned distributions to start from.")
    ] = None,
    warm_file: Annotated[
        Path | None, typer.Option(help="A log.jsonl with the earlier campaign, in place of the live log.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Where the log holds a campaign of this name, print its id instead.")
    ] = False,
    folder: Run = None,
) -> None:
    """Start a campaign and print its id; running services take it from there.

    With --warm-from or --warm-file the search starts from what an earlier campaign learned; scores never cross.
    """
    from services.console.commands import log_commands

    run(log_commands.start(campaign, folder, warm_from, warm_file, once=once))


@app.command()
def status(
    campaign: Annotated[str | None, typer.Argument(help="Campaign id; all where left out.")] = None, folder: Run = None
) -> None:
    """Show where the campaigns stand."""
    from services.console.commands import log_commands

    run(log_commands.status(campaign, folder))


@app.command()
def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for further events.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line, as recorded.")] = False,
    campaign: Annotated[str | None, typer.Option(help="Only this campaign.")] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only this type; may be repeated.")] = None,
    folder: Run = None,
) -> None:
    """Print the log."""
    from services.console.commands import log_commands

    run(log_commands.events(folder, campaign, types, follow=follow, as_json=as_json))


@app.command()
def emit(
    file: Annotated[Path, typer.Argument(help="JSON or JSON lines with campaign, subject, type, data.")],
    folder: Run = None,
) -> None:
    """Append events by hand, for tests; only into a campaign whose file says `test: true`."""
    from services.console.commands import log_commands

    run(log_commands.emit(file, folder))


@app.command()
def pause(campaign: CampaignId, reason: Reason = "by hand", folder: Run = None) -> None:
    """Let running jobs end and decide nothing new."""
    from schemas.events import CampaignPaused
    from services.console.commands import log_commands

    run(log_commands.steer(campaign, CampaignPaused, reason, folder))


@app.command()
def resume(campaign: CampaignId, reason: Reason = "by hand", folder: Run = None) -> None:
    """Go on with a paused campaign."""
    from schemas.events import CampaignResumed
    from services.console.commands import log_commands

    run(log_commands.steer(campaign, CampaignResumed, reason, folder))


@app.command()
def stop(campaign: CampaignId, reason: Reason = "by hand", folder: Run = None) -> None:
    """End a campaign for good."""
    from schemas.events import CampaignStopped
    from services.console.commands import log_commands

    run(log_commands.steer(campaign, CampaignStopped, reason, folder))


@app.command()
def report(
    campaign: CampaignId,
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")],
    folder: Run = None,
) -> None:
    """Write report.json, report.md and report.png of a campaign, finished or not."""
    from services.console.commands import log_commands

    run(log_commands.report(campaign, out, folder))


@app.command()
def audit(
    decision: Annotated[str, typer.Argument(help="`latest` (policy), `policy:N`, or the id of a decision.")] = "latest",
    file: LogFile = None,
    campaign: Annotated[str | None, typer.Option(help="Campaign; the last one where left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    folder: Run = None,
) -> None:
    """Show what led to a decision and what it rested on, take it again, and say whether it is identical."""
    from services.console.commands import audit_commands

    raise typer.Exit(run(audit_commands.audit(decision, file, folder, campaign, as_json=as_json)))


@app.command()
def replay(
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Another rule, as drift.threshold=1000.")
    ] = None,
    file: LogFile = None,
    campaign: Annotated[str | None, typer.Option(help="Campaign; the last one where left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    folder: Run = None,
) -> None:
    """Take every decision of a campaign again and rebuild the tables beside the log; exit status 1 where they differ.

    With other rules, show the first decision that would differ.
    """
    from services.console.commands import audit_commands

    raise typer.Exit(run(audit_commands.replay_all(settings or (), file, folder, campaign, as_json=as_json)))


@app.command()
def doctor(out: Out = Path("runs/demo")) -> None:
    """Say what is missing on this machine for the demo, and how to get it."""
    from services.console.commands import machine_commands

    raise typer.Exit(machine_commands.doctor(out))


def main() -> None:
    """The entry point."""
    app()
