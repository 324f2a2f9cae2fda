"""What a row of the scoreboard was measured with: two rows of one key are the same measurement.

A key holds all that decides a figure: the source of whatever the suite imports, every network that
is asked, the values of its methods, the recordings, the seed. When one of them changes, the rows of
before stay in their file under their own key, and are measured anew under the new one.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from types import FunctionType

WEIGHTS = Path(__file__).parents[1] / "weights"
SHIPPED = (
    "query_network", "tagger", "trunk", "bank", "text", "sentence", "captions", "reference",
    "copy_index", "stem_masks", "multi_track",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """What decides the figures of a suite, each as a name or a digest."""

    suite: str
    code: str  # `code_digest` of the suite's module and of what renders for it
    model: str
    evaluation_scorer: str
    search_scorer: str
    query_network: (
        str  # the network that shares out mixtures; this and the next ten: `folder_digest`
    )
    tagger: str
    trunk: str
    bank: str
    text: str
    sentence: str
    captions: str
    reference: str
    copy_index: str
    stem_masks: str
    multi_track: str
    methods: str  # `values` of what the suite compares
    data: str
    seed: int
    items: int | None

    @property
    def digest(self) -> str:
        """Sixteen hex digits."""
        return _digest(json.dumps(asdict(self)).encode())


def shipped_digests() -> dict[str, str]:
    """The digest of each shipped network and table that no command names, by its field of `Key`."""
    return {name: folder_digest(WEIGHTS / name) for name in SHIPPED}


def folder_digest(folder: Path) -> str:
    """A digest of the names and bytes of a folder's files; empty for one that is not there."""
    if not folder.is_dir():
        return ""
    hashed = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        hashed.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n".encode())
        hashed.update(path.read_bytes())
    return hashed.hexdigest()[:16]


def values(methods: object) -> str:
    """A digest of nested values: dataclasses by their fields, functions by their names."""
    return _digest(json.dumps(_plain(methods)).encode())


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        named = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        return [type(value).__qualname__, named]
    if isinstance(value, Mapping):
        return [[str(key), _plain(item)] for key, item in value.items()]
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, partial):
        return [_plain(value.func), _plain(value.args), _plain(value.keywords)]
    if isinstance(value, FunctionType | type):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)


def code_digest(start: Iterable[Path], packages: Mapping[str, Path]) -> str:
    """A digest of source files and of all that they import from `packages` (name -> its folder).

    Imports inside functions count; what nobody imports does not.
    """
    hashed = hashlib.sha256()
    for path in sorted(sources(start, packages)):
        package = next((x for x in packages.values() if path.is_relative_to(x)), path.parent)
        hashed.update(f"{path.relative_to(package.parent).as_posix()}\n".encode())
        hashed.update(path.read_bytes())
    return hashed.hexdigest()[:16]


def sources(start: Iterable[Path], packages: Mapping[str, Path]) -> set[Path]:
    """The files that `start` consists of and imports from `packages`, directly or not."""
    found: set[Path] = set()
    waiting = list(start)
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for name in _imported(path.read_text(encoding="utf-8")):
            waiting += _files(name, packages)
    return found


@cache
def _imported(source: str) -> frozenset[str]:
    """Dotted names that a module's source imports; of "from a import b" both a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def _files(name: str, packages: Mapping[str, Path]) -> list[Path]:
    """The files that importing a dotted name runs: the module's, and those of its packages."""
    top, *rest = name.split(".")
    if top not in packages:
        return []
    folder, found = packages[top], [packages[top] / "__init__.py"]
    for part in rest:
        found += [folder / f"{part}.py", folder / part / "__init__.py"]
        folder = folder / part
    return [path for path in found if path.is_file()]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
