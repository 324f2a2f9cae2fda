"""The command of a Python process of ours: code that lies in the working folder is not run."""

from __future__ import annotations

import sys
from pathlib import Path


def python_child(
    program: str | Path, *arguments: str, options: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Build the command that runs a module (its dotted name) or a script file in a new Python.

    Python puts the working folder before its own library for `-m`, and the script's folder for a
    script: a `random.py` beside somebody's samples would be run. `-P` leaves both out; PYTHONPATH
    and installed packages count as ever. `options` are Python's own, such as `("-W", "error")`.

    >>> python_child("bridge.worker")[1:]
    ('-P', '-m', 'bridge.worker')
    """
    what = (str(program),) if isinstance(program, Path) else ("-m", program)
    return (sys.executable, "-P", *options, *what, *arguments)
