"""OSC, HTTP and the terminal call the fields of a job by one name, that of its model."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import typer.main

from bridge.cli.main import app
from bridge.cli.tables import OPTIONS
from bridge.osc.addresses import REQUESTS
from bridge.protocol.jobs import Job

MODELS: dict[str, Any] = {kind.model_fields["kind"].default: kind for kind in get_args(Job)}
NO_COMMAND = {"probe", "part"}  # `doctor` and engines ask for them
NO_ADDRESS = {"probe", "part", "eval", "convert"}
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
OWN = {
    "": {"as_json", "config_file", "here"},
    "accompany": {"files"},
    "separate": {"like"},
    "suggest": {"assist", "describe"},
    "eval": {"report", "engine", "address", "workers"},
}
"""What only the terminal asks: how to show it, and where else fields are taken from."""


def fields(kind: str) -> set[str]:
    added = {"new", "within"}  # by the server
    if kind == "record":
        added |= {"replace"}  # can only be False there
    if kind == "render":
        added |= {"fleeting"}  # by the server, of a preview
    return set(MODELS[kind].model_fields) - {"kind", "id"} - added


@pytest.mark.parametrize("kind", sorted(MODELS.keys() - NO_COMMAND))
def test_the_terminal_says_the_fields_of_the_model(kind: str) -> None:
    params = {p.name: p for p in COMMANDS[kind].params}
    assert params.keys() - OWN[""] - OWN.get(kind, set()) == fields(kind)
    for name in fields(kind):
        option = OPTIONS.get(name, f"--{name.replace('_', '-')}")
        if params[name].param_type_name == "option":
            assert option in params[name].opts, name


@pytest.mark.parametrize("kind", sorted(MODELS.keys() - NO_ADDRESS))
def test_osc_says_the_fields_of_the_model(kind: str) -> None:
    request = REQUESTS[f"/scorewire/{kind}"]
    said = [part.split(":")[1].removesuffix("...") for part in request.args.split()]
    said += [part.split(":")[1] for part in request.options.split()]
    assert sorted(said) == sorted({"req"} | fields(kind))
