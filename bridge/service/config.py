"""Load the settings of a server from defaults, a TOML file and SCOREWIRE_* in the environment.

The file has one key a line, named as the fields of `Config`; the environment names are the same in
capitals (`SCOREWIRE_OSC_PORT=0`) and win over the file. What is not understood is refused.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_config_path, user_data_path

from bridge.processes import parent_watch
from bridge.service.language_model import Assistant
from presets.reading import read_toml

PREFIX = "SCOREWIRE_"
FILE = "config.toml"
MIN_KEY = 12  # letters
ENGINES = ("local", "ray")
_HOST_AND_PORT = re.compile(r"[A-Za-z0-9._-]{1,253}:\d{1,5}|\[[0-9A-Fa-f:]{2,39}\]:\d{1,5}")


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    """The settings of a server, fixed at its start.

    - `osc_host`: loopback address on which OSC listens; default 127.0.0.1
    - `osc_port`: UDP port, 0..65535; 0 takes any free one, another that is taken is followed by the
      next ten; default 9557
    - `http_host`: IP address on which HTTP listens; default 127.0.0.1
    - `http_port`: TCP port, 0..65535, 0 as above; default None: the number that OSC got
    - `http_names`: names of this machine, beside localhost, that a request may be sent to; default
      ()
    - `token`: file of the token; default None: `token` in `data`
    - `upload_limit`: bytes of one upload, 1..2^50; default 2^33 (8 GiB)
    - `upload_quota`: bytes of all kept uploads, 1..2^50; default 2^36 (64 GiB)
    - `data`: folder of ledger, library, uploads and results; default: the user's data folder
    - `read`: absolute folders that jobs may read from, all below them too; default (): any
    - `write`: absolute folders that jobs may write to, all below them too; default (): any
    - `osc_write`: absolute folders that OSC without a key may write new files to, beside library
      and results; default (): those of `write`
    - `osc_key`: key that OSC takes beside the token, one word of at least 12 letters; default "":
      none
    - `model`: prior of jobs over OSC that name none; default "default"
    - `assistant`: language model that words prompts; default None: none
    - `worker`: command that starts the worker; default: this Python with `-m bridge.worker`
    - `player`: command that starts the player; default: this Python with `-m bridge.player`
    - `queue`: jobs of one client that may wait or run, 1..10000, eight times as many of all; all
      OSC without the key is one client; default 32
    - `engine`: "local" or "ray", where jobs run: on this machine or on a Ray cluster; default
      "local"
    - `cluster`: the cluster's address, host:port, or "auto" for the one that runs on this machine;
      default "": one is started here, for this machine alone
    - `cluster_workers`: workers on the cluster, 0..10000; default 0: one a GPU, and one on each
      machine that has none
    - `grace`: seconds that a cancelled job may take to stop, 0..86400; default 10
    - `stall`: seconds of silence after which a worker is stopped, 0..86400, 0 for never; default
      600
    - `repeat`: seconds in which a repeated OSC request is the same job, 0..86400; default 600
    """

    osc_host: str = "127.0.0.1"
    osc_port: int = 9557
    http_host: str = "127.0.0.1"
    http_port: int | None = None
    http_names: tuple[str, ...] = ()
    token: Path | None = None
    upload_limit: int = 8 * 2**30
    upload_quota: int = 64 * 2**30
    data: Path = dataclasses.field(default_factory=lambda: user_data_path("scorewire"))
    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()
    osc_write: tuple[Path, ...] = ()
    osc_key: str = ""
    model: str = "default"
    assistant: Assistant | None = None
    worker: tuple[str, ...] = parent_watch.command("bridge.worker")
    player: tuple[str, ...] = parent_watch.command("bridge.player")
    queue: int = 32
    engine: str = "local"
    cluster: str = ""
    cluster_workers: int = 0
    grace: float = 10.0
    stall: float = 600.0
    repeat: float = 600.0

    def __post_init__(self) -> None:
        """Refuse what cannot work, with the name, the limit and the value."""
        if not _is_loopback(self.osc_host):
            raise ValueError(
                f"osc_host must be a loopback address (127.0.0.1 or ::1), got {self.osc_host!r}: "
                "this version has no pairing token, so it does not listen to other machines"
            )
        if not 0 <= self.osc_port <= 65535:
            raise ValueError(f"osc_port must be 0 (any free one) .. 65535, got {self.osc_port}")
        if not _is_address(self.http_host):
            raise ValueError(f"http_host must be an IP address, got {self.http_host!r}")
        if self.http_port is not None and not 0 <= self.http_port <= 65535:
            raise ValueError(f"http_port must be 0 (any free one) .. 65535, got {self.http_port}")
        for name in ("upload_limit", "upload_quota"):
            if not 0 < getattr(self, name) <= 2**50:
                raise ValueError(f"{name} must be 1 .. 2^50 bytes, got {getattr(self, name)}")
        if not 1 <= self.queue <= 10_000:
            raise ValueError(f"queue must be 1 .. 10000 jobs, got {self.queue}")
        if self.engine not in ENGINES:
            raise ValueError(f"engine must be {' or '.join(ENGINES)}, got {self.engine!r}")
        if self.cluster not in ("", "auto") and not _HOST_AND_PORT.fullmatch(self.cluster):
            raise ValueError(f"cluster must be host:port or auto, got {self.cluster!r}")
        if not 0 <= self.cluster_workers <= 10_000:
            raise ValueError(f"cluster_workers must be 0 .. 10000, got {self.cluster_workers}")
        for name in ("grace", "stall", "repeat"):
            seconds = getattr(self, name)
            if not 0 <= seconds <= 86_400:
                raise ValueError(f"{name} must be 0 .. 86400 seconds, got {seconds}")
        for name in ("worker", "player"):
            if not "".join(getattr(self, name)[:1]):
                raise ValueError(f"{name} must be a command, got nothing")
        if self.osc_key and (len(self.osc_key) < MIN_KEY or len(self.osc_key.split()) != 1):
            raise ValueError(f"osc_key must be one word of at least {MIN_KEY} letters")
        for name in ("read", "write", "osc_write"):
            for folder in getattr(self, name):
                if not folder.is_absolute():
                    raise ValueError(f"{name} must list absolute folders, got {str(folder)!r}")

    @property
    def ledger(self) -> Path:
        """The job ledger's file."""
        return self.data / "jobs.sqlite"

    @property
    def token_file(self) -> Path:
        """The file that holds the token of the HTTP face."""
        return self.data / "token" if self.token is None else self.token

    @property
    def blobs(self) -> Path:
        """The folder of uploads."""
        return self.data / "blobs"

    @property
    def results(self) -> Path:
        """The folder of results that nobody named a place for."""
        return self.data / "results"

    @property
    def readable(self) -> tuple[Path, ...]:
        """Folders that jobs may read from; empty means any."""
        return (*self.read, self.blobs, self.results) if self.read else ()

    @property
    def writable(self) -> tuple[Path, ...]:
        """Folders that jobs may write to; empty means any."""
        return (*self.write, self.results) if self.write else ()

    @property
    def open_writable(self) -> tuple[Path, ...]:
        """Folders that OSC without the key may write new files to; never empty."""
        return (*(self.osc_write or self.write), self.library, self.results)

    @property
    def library(self) -> Path:
        """The folder of kept presets."""
        return self.data / "library"


def load(path: Path | str | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Build the `Config`: defaults, then the TOML file at `path`, then SCOREWIRE_* of `environ`.

    Without `path` the file is `config.toml` in the user's configuration folder, if there is one.
    Raises `FileNotFoundError` for a `path` that is not there and `ValueError` with one sentence
    for anything not understood.
    """
    values = _from_file(path)
    for name, text in environ.items():
        if name.startswith(PREFIX):
            key = name.removeprefix(PREFIX).lower()
            values[key] = _read(key, text, where=name, readers=_FROM_TEXT)
    return Config(**values)


def _from_file(path: Path | str | None) -> dict[str, Any]:
    """Read the TOML file into field values."""
    if path is None:
        path = user_config_path("scorewire") / FILE
        if not path.is_file():
            return {}
    path = Path(path)
    try:
        table = read_toml(path, name="it")
    except ValueError as error:
        raise ValueError(f"{path} is not a TOML file: {error}") from error
    return {
        key: _read(key, value, where=f"{key} in {path.name}", readers=_FROM_TOML)
        for key, value in table.items()
    }


def _read(key: str, value: Any, *, where: str, readers: Mapping[str, Callable[[Any], Any]]) -> Any:
    """Turn one raw value into a field's type, or say what is wrong with it."""
    if key not in _KINDS:
        raise ValueError(f"{where} is not a setting; the settings are {', '.join(_KINDS)}")
    kind = _KINDS[key]
    try:
        return readers[kind](value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} must be {_MEANING[kind]}, got {value!r}") from error


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _strict(*kinds: type) -> Callable[[Any], Any]:
    """Accept a TOML value of these types as it is (and no `true` for a number)."""

    def read(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise TypeError
        return value

    return read


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError
    return tuple(value)


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not value:
        raise TypeError
    return Path(value).expanduser()


_KINDS = {
    "osc_host": "text", "osc_port": "integer", "http_host": "text", "http_port": "integer",
    "http_names": "names", "token": "folder", "upload_limit": "integer",
    "upload_quota": "integer", "data": "folder", "read": "folders",
    "write": "folders", "osc_write": "folders", "osc_key": "text", "model": "text",
    "assistant": "assistant",
    "worker": "command", "player": "command",
    "queue": "integer", "engine": "text", "cluster": "text", "cluster_workers": "integer",
    "grace": "number", "stall": "number", "repeat": "number",
}  # fmt: skip
_MEANING = {
    "text": "text", "integer": "a whole number", "number": "a number", "folder": "a folder",
    "folders": "a list of folders", "names": "a list of names",
    "command": "a command and its arguments",
    "assistant": "a table of url (https, or http on this machine), model and perhaps key_env",
}  # fmt: skip


def _assistant(values: Any) -> Assistant:
    """A table of the TOML file, or URL, MODEL and perhaps KEY_ENV in one text."""
    if isinstance(values, str):
        values = dict(zip(("url", "model", "key_env"), values.split(), strict=False))
    kinds: dict[str, tuple[type, ...]] = {
        "url": (str,), "model": (str,), "key_env": (str,), "seconds": (int, float),
    }  # fmt: skip
    if not isinstance(values, dict) or any(
        not isinstance(value, kinds.get(name, ())) for name, value in values.items()
    ):
        raise TypeError
    return Assistant(**values)


_FROM_TOML: dict[str, Callable[[Any], Any]] = {
    "text": _strict(str),
    "integer": _strict(int),
    "number": _strict(int, float),
    "folder": _path,
    "folders": lambda value: tuple(_path(item) for item in _texts(value)),
    "names": _texts,
    "command": _texts,
    "assistant": _assistant,
}
_FROM_TEXT: dict[str, Callable[[Any], Any]] = {
    "text": str,
    "integer": int,
    "number": float,
    "folder": _path,
    "folders": lambda text: tuple(_path(item) for item in text.split(os.pathsep) if item),
    "names": lambda text: tuple(text.split()),
    "command": lambda text: tuple(shlex.split(text)),
    "assistant": _assistant,
}
