"""Scripts of ours in the folder of a DAW: put there and taken away, a changed file never lost."""

from __future__ import annotations

from pathlib import Path

from bridge.hosts.base import HostResult
from bridge.hosts.files import whole


def write_scripts(folder: Path, files: dict[str, str], *, force: bool) -> tuple[Path, ...]:
    """Write texts by name into `folder`; the paths. Raises `ValueError` for one that was changed.

    What we wrote before counts as changed when this version of ours writes something else.
    """
    _spare(folder, files, "--force writes it anew", force=force)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        with whole(folder / name) as partial:
            partial.write_text(text, encoding="utf-8", newline="\n")
    return tuple(folder / name for name in files)


def remove_scripts(folder: Path, files: dict[str, str], *, force: bool) -> HostResult:
    """The reverse of `write_scripts`: what was there, in words and paths. Raises as that does."""
    _spare(folder, files, "--force deletes it too", force=force)
    existing = tuple(folder / name for name in files if (folder / name).exists())
    for file in existing:
        file.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    return HostResult("taken away" if existing else "there was nothing to take away", existing)


def _spare(folder: Path, files: dict[str, str], remedy: str, *, force: bool) -> None:
    changed = [name for name, text in files.items() if _differs(folder / name, text)]
    if changed and not force:
        raise ValueError(f"{folder} has another {', '.join(changed)}; {remedy}")


def _differs(file: Path, text: str) -> bool:
    return file.exists() and file.read_text(encoding="utf-8", errors="replace") != text
