"""`scorewire`: its commands, from `serve` to `library` (`bridge.cli`).

Every command takes `--json`: the last line of stdout is then one JSON object, {"error": {"code",
"reason"}} when it failed. Without it people get progress with the time left, and a short table.
A failure is one sentence on stderr and exit code 1 (2 for a wrong command line, 130 for Ctrl-C).

`--help` loads typer and little else: what a command works with is imported in the command. No
tensor here: the work is done by the worker process, and every job is written in the ledger.
"""

from __future__ import annotations

import sqlite3
import sys
from typing import Annotated

import typer
import typer.main
from typer.core import TyperArgument, TyperGroup
from typer.exceptions import TyperException

from bridge.cli import (
    convert,
    copycheck,
    evaluate,
    generate,
    hosts,
    library,
    presets,
    record,
    serve,
    stems,
    suggest,
)
from bridge.cli.base import CommandFailed

app = typer.Typer(
    name="scorewire",
    help="From a prompt to a playable patch, from a track to named stems, beside your DAW.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for subject in (
    serve.app,
    presets.app,
    generate.app,
    stems.app,
    record.app,
    suggest.app,
    copycheck.app,
    convert.app,
    hosts.app,
    evaluate.app,
    library.app,
):
    app.add_typer(subject)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"scorewire {version('scorewire')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log to stderr.")] = False,
) -> None:
    """From a prompt to a playable patch, from a track to named stems, beside your DAW."""
    import logging

    logging.basicConfig(
        level=logging.INFO if verbose else logging.CRITICAL,
        stream=sys.stderr,
        format="%(asctime)s %(name)s: %(message)s",
    )


def command() -> TyperGroup:
    """The whole command; the help names what may be repeated as `words...`, without `<list[str]>`.

    Typer heeds a metavar for the type of an option only, so an argument's type is left out.
    """
    whole = typer.main.get_group(app)
    groups = [whole, *(c for c in whole.commands.values() if isinstance(c, TyperGroup))]
    for one in (c for group in groups for c in group.commands.values()):
        for param in one.params:
            if isinstance(param, TyperArgument) and param.nargs == -1:
                param.display_type_rich = lambda ctx: None  # type: ignore[method-assign]
    return whole


def main() -> None:
    """The `scorewire` command; every expected failure leaves as one sentence."""
    as_json = "--json" in sys.argv[1:]
    try:
        code = command()(standalone_mode=False)
    except CommandFailed as error:
        code = _fail(error.code, error.reason, error.exit_code, as_json)
    except TyperException as error:
        code = _fail("bad-input", error.format_message(), 2, as_json)
    except ValueError as error:
        code = _refuse(error, as_json)
    except sqlite3.Error as error:
        from bridge.files.atomic_output import code_of

        reason = f"the job ledger cannot be used: {error}"
        if not isinstance(error, sqlite3.OperationalError):
            reason += "; `scorewire serve` keeps it under another name and begins a new one"
        code = _fail(code_of(error, "bad-output"), reason, 1, as_json)
    except OSError as error:
        from bridge.files.atomic_output import code_of

        what = "bad-input" if isinstance(error, FileNotFoundError) else "bad-output"
        where = f"{error.filename}: " if error.filename else ""
        code = _fail(code_of(error, what), f"{where}{error.strerror or error}", 1, as_json)
    except KeyboardInterrupt:
        code = _fail("cancelled", "stopped by Ctrl-C", 130, as_json)
    raise SystemExit(code or 0)


def _refuse(error: ValueError, as_json: bool) -> int:
    """A value that was not taken; pydantic's refusal, a `ValueError` too, in the options' names."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        from bridge.cli import tables

        return _fail("bad-input", tables.refusal(error), 2, as_json)
    from bridge.files.atomic_output import code_of

    return _fail(code_of(error, "bad-input"), str(error), 1, as_json)


def _fail(code: str, reason: str, exit_code: int, as_json: bool) -> int:
    if as_json:
        import json

        typer.echo(json.dumps({"error": {"code": code, "reason": reason}}, ensure_ascii=False))
    if reason:  # none when the bare command has just shown its help
        typer.echo(f"scorewire: {reason}", err=True)
    return exit_code


if __name__ == "__main__":
    main()
