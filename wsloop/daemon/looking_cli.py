"""`wsloop health`, `doctor` and `completion`: looks that need no client."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from wsloop.daemon.flags import CONFIG
from wsloop.daemon.tables import safe, show_json
from wsloop.errors import UsageError


@click.command()
@click.argument("url", default="")
@click.option("--control", type=click.Path(path_type=Path), help="Ask this control socket instead.")
@CONFIG
def health(url: str, control: Path | None, path: Path | None) -> None:
    """Say whether the daemon is ready for clients; exit code 1 if not.

    Asks /readyz of the admin listener at URL, or where the settings say; if nobody listens there, the control
    socket.
    """
    from wsloop.daemon import health_probe  # noqa: PLC0415 - other commands need no HTTP

    reasons = health_probe.reasons(url, control, path)
    click.echo("ready" if not reasons else f"not ready: {safe('; '.join(reasons))}")
    sys.exit(1 if reasons else 0)


@click.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(path: Path | None, as_json: bool) -> None:
    """Check whether this machine is fit for the settings; each finding with the command that helps.

    Exit code 1 if something would not work.
    """
    from wsloop.daemon import config, doctor_service  # noqa: PLC0415 - other commands need no checks
    from wsloop.daemon import doctor as machine_checks  # noqa: PLC0415

    settings, machine = config.load(path, {}), machine_checks.Machine()
    checks = (*machine_checks.CHECKS, *doctor_service.CHECKS)
    findings = [finding for check in checks for finding in check(machine, settings)]
    if as_json:
        show_json(msgspec.to_builtins(findings))
    else:
        for finding in findings:
            click.echo(f"{finding.level:4}  {finding.name:30}  {safe(finding.text)}")
            if finding.fix:
                click.echo(f"{'':38}{finding.fix}")
    sys.exit(1 if any(finding.level == machine_checks.FAIL for finding in findings) else 0)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete wsloop's commands: eval "$(wsloop completion bash)"."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - for this alone

    made = get_completion_class(shell)
    if made is None:
        raise UsageError(f"no completion for {shell}")
    completer = made(context.find_root().command, {}, "wsloop", "_WSLOOP_COMPLETE")
    click.echo(completer.source())
