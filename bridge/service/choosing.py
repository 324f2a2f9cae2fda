"""Choose among what a search found: keep a patch, or search around it, each by its number.

1 is the best patch of a search. Where no search is named, it is the newest that is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from bridge.protocol.jobs import Job
from bridge.protocol.patch_requests import Keep
from bridge.service.ledger import Entry, Store
from presets import Preset, load
from presets.library import Entry as Kept
from presets.library import Library

SEARCH = "patch"  # kind of job
INBOX = "inbox"  # tag of patches that nobody has looked at
KEPT, STAR = "kept", "star"  # tags

J = TypeVar("J", bound=Job)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A patch of a search: its files, and its place in the library, None when it is not there."""

    preset: Path
    wav: Path
    library: Path | None


def candidate(
    store: Store, number: int, *, job: str = "", before: float | None = None
) -> Candidate:
    """Patch `number` of the search with the id `job`, or of the newest that was done at the time
    `before`, seconds since 1970 (now, when left out).

    Raises `ValueError` with one sentence when there is no such search, or no such patch.
    """
    entry = _search(store, job) if job else store.newest_done(SEARCH, before=before)
    if entry is None:
        raise ValueError('no search is done yet: `scorewire patch "..."` makes one')
    result = entry.result or {}
    found = result.get("patches") or [result]
    if not 1 <= number <= len(found):
        asked = getattr(entry.job, "prompt", "") or "a recording"
        raise ValueError(
            f"number must be 1 .. {len(found)}, as many patches as the search for {asked!r} has,"
            f" got {number}"
        )
    made = found[number - 1]
    if not {"preset", "wav"} <= made.keys():
        raise ValueError(f"search {entry.job.id} says of no patch where it is")
    kept = made.get("library") or (result.get("library") if number == 1 else None)
    return Candidate(Path(made["preset"]), Path(made["wav"]), Path(kept) if kept else None)


def keep(store: Store, library: Library, asked: Keep) -> Kept:
    """Tag a patch in the library as kept, no more as new; one that is not there is put there.

    Raises `ValueError` with one sentence when there is no such patch, here or any more.
    """
    chosen = candidate(store, asked.number, job=asked.job)
    tags = (KEPT, STAR) if asked.star else (KEPT,)
    if chosen.library is None:
        if not chosen.preset.is_file():
            raise ValueError(f"the patch is not there any more: it was {chosen.preset}")
        preset, wav = load(chosen.preset), chosen.wav if chosen.wav.is_file() else None
        entry = _kept_before(library, preset) or library.add(preset, preview=wav, once=True)
        return library.tag(entry.path.name, add=tags)
    return library.tag(chosen.library.name, add=tags, remove=(INBOX,))


def _kept_before(library: Library, preset: Preset) -> Kept | None:
    """The preset as it was kept before, if it was; its tags are others since."""
    for entry in library.find(tags=[KEPT]):
        if load(entry.path).model_copy(update={"tags": preset.tags}) == preset:
            return entry
    return None


def around_candidate(job: J, store: Store, *, before: float | None = None) -> J:
    """The job, with the file of a patch in `start` where that is its number; as `candidate`."""
    start = getattr(job, "start", None)
    if start is None or not start.isdecimal():
        return job
    return cast(J, job.model_copy(update={"start": str(file_of(store, start, before=before))}))


def file_of(store: Store, number: str, *, before: float | None = None) -> Path:
    """The preset file of a patch by its number, decimal digits; as `candidate`."""
    chosen = candidate(store, int(number[:9]), before=before)
    if chosen.library is None or chosen.preset.is_file():
        return chosen.preset
    return chosen.library


def _search(store: Store, job: str) -> Entry:
    """The search of this id. Raises `ValueError` when it is none, or has no result."""
    entry = store.get(job)
    if entry is None:
        raise ValueError(f"there is no job {job[:100]!r}")
    if entry.job.kind != SEARCH:
        raise ValueError(f"job {job} is no search but {entry.job.kind}")
    if entry.state != "done":
        raise ValueError(f"search {job} has no patches: it is {entry.state}")
    return entry
