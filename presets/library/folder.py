"""`Library`: a folder of preset files, one sound a file, with slots, a trash and a search index.

What is kept is in the files: `NAME.json`, `NAME.wav` for a preview if there is one, `slots.json`.
Any other program may change them. Each method is one change that happens wholly or not at all;
several processes may use a folder at once.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from presets.library import disk, index, search, slots
from presets.library.disk import TRASH, draft
from presets.library.names import fold, free, stem
from presets.moves import Move
from presets.preset import Preset, load, save
from presets.reading import read_json

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One preset of a library. `distance` is 0 .. 1, and there when similarity was asked for."""

    path: Path
    name: str
    renderer: str
    prompt: str
    tags: tuple[str, ...]
    distance: float | None = None

    @property
    def preview(self) -> Path | None:
        """The sound file beside the preset, None when there is none."""
        wav = self.path.with_suffix(".wav")
        return wav if wav.is_file() else None


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of files that were taken in: added, already there, and not presets (and why)."""

    added: tuple[Path, ...]
    same: tuple[Path, ...]
    refused: tuple[tuple[Path, str], ...]


@dataclass(frozen=True, slots=True)
class Library:
    """The presets in `folder`, which the first change makes when it is not there.

    `patience` is how many seconds to wait for another process that changes it.

    A preset is named by its file (`kick` or `kick.json`) or, where only one has it, by its name.
    Every method raises `ValueError` with one sentence for what is not there or not possible.
    """

    folder: Path
    patience: float = disk.PATIENCE

    def find(
        self,
        words: str = "",
        *,
        tags: Iterable[str] = (),
        renderer: str = "",
        like: str = "",
        limit: int = 50,
    ) -> tuple[Entry, ...]:
        """Presets with all `words` (or beginnings) in name, tags or prompt, and with all `tags`.

        The best first; by name without words; the most similar to `like` first when it is given.
        """
        limit = max(0, limit)
        some = tuple(tags)
        if not like:

            def ask(db: sqlite3.Connection) -> tuple[Entry, ...]:
                rows = search.search(db, words=words, tags=some, renderer=renderer, limit=limit)
                return tuple(self._entry(row) for row in rows)

            return self._ask(ask)

        def ask_near(db: sqlite3.Connection) -> tuple[Entry, ...]:
            file = self._called(db, like).path.name
            rows = search.nearest(db, file, words=words, tags=some, renderer=renderer, limit=limit)
            return tuple(self._entry(row, away) for row, away in rows)

        return self._ask(ask_near)

    def get(self, called: str) -> Entry:
        """The preset of this file name or name."""
        return self._ask(lambda db: self._called(db, called))

    def count(self) -> int:
        """How many presets there are."""
        return self._ask(search.count)

    def tags(self) -> tuple[str, ...]:
        """The tags that presets have, each once, by name."""
        return tuple(self._ask(search.tags))

    def unreadable(self) -> tuple[tuple[str, str], ...]:
        """The .json files here that are not presets, each with the reason."""
        return tuple(self._ask(search.unreadable))

    def add(self, preset: Preset, *, preview: Path | None = None, once: bool = False) -> Entry:
        """Keep `preset`, and a copy of the sound file `preview`, under a file name of its own.

        With `once`, the one that is here with the same contents is kept, if there is one.
        """
        with self._changing():
            if once:
                with self._stepped() as db:
                    if row := search.same(db, preset):
                        return self._entry(row)
            file = f"{free(stem(preset.name), _stems(self.folder))}.json"
            disk.commit(self.folder, self._drafts(preset, file, preview))
        return self._made(preset, file)

    def add_files(self, files: Iterable[Path]) -> Taken:
        """Take in preset files, with the previews beside them; all at once.

        A preset that is here with the same contents is not added a second time.
        """
        moves: list[Move] = []
        added, same, refused = [], [], []
        with self._changing():
            taken, seen = _stems(self.folder), set[str]()
            with self._stepped() as db:
                for path in files:
                    try:
                        preset = load(path)
                    except (OSError, ValueError) as error:
                        why = error.strerror if isinstance(error, OSError) else str(error)
                        refused.append((path, why or type(error).__name__))
                        continue
                    text = preset.model_dump_json()
                    if text in seen or search.same(db, preset):
                        same.append(path)
                        continue
                    seen.add(text)
                    name = free(stem(preset.name), taken)
                    taken.add(name)
                    wav = path.with_suffix(".wav")
                    moves += self._drafts(preset, f"{name}.json", wav if wav.is_file() else None)
                    added.append(self.folder / f"{name}.json")
            disk.commit(self.folder, moves)
        return Taken(tuple(added), tuple(same), tuple(refused))

    def copy_files(self, called: Iterable[str], target: Path) -> tuple[Path, ...]:
        """Copy presets and their previews into the new folder `target`, as they are."""
        if target.exists():
            raise ValueError(f"{target} is there already; presets are copied into a new folder")
        with self._changing(), self._stepped() as db:
            entries = [self._called(db, one) for one in called]
            partial = target.with_name(f".{Path(draft()).name}")
            try:
                partial.mkdir(parents=True)
                for entry in entries:
                    for path in filter(None, (entry.path, entry.preview)):
                        shutil.copyfile(path, partial / path.name)
                partial.rename(target)
            except OSError as error:
                shutil.rmtree(partial, ignore_errors=True)
                raise ValueError(f"{target} cannot be written: {error}") from error
        return tuple(target / entry.path.name for entry in entries)

    def replace(self, called: str, preset: Preset) -> Entry:
        """Write `preset` in the place of another one, under the same file name."""
        with self._changing(), self._stepped() as db:
            file = self._called(db, called).path.name
            disk.commit(self.folder, self._drafts(preset, file, None))
        return self._made(preset, file)

    def tag(self, called: str, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Entry:
        """Give the preset tags and take some away; case does not tell tags apart."""
        with self._changing(), self._stepped() as db:
            entry = self._called(db, called)
            preset = load(entry.path)
            gone = {fold(tag) for tag in remove}
            tags = [tag for tag in preset.tags if fold(tag) not in gone]
            for tag in add:
                if not tag.strip():
                    raise ValueError(f"a tag must not be blank, got {tag!r}")
                if fold(tag) not in {fold(other) for other in tags}:
                    tags.append(tag.strip())
            changed = _changed(preset, tags=tuple(tags))
            disk.commit(self.folder, self._drafts(changed, entry.path.name, None))
        return self._made(changed, entry.path.name)

    def rename(self, called: str, name: str) -> Entry:
        """Call the preset `name`; its file, preview and slots go with it."""
        with self._changing(), self._stepped() as db:
            old = self._called(db, called).path
            preset = _changed(load(old), name=name)
            own = fold(old.stem)
            chosen = free(stem(name), _stems(self.folder) - {own})
            file = old.name if chosen == own else f"{chosen}.json"
            moves = self._drafts(preset, file, None)
            if file != old.name:
                moves += [(old.name, draft()), *self._follow(old, file)]
                before = slots.read(self.folder)
                after = {n: file if held == old.name else held for n, held in before.items()}
                moves += slots.slots_move(self.folder, after) if after != before else []
            disk.commit(self.folder, moves)
        return self._made(preset, file)

    def duplicate(self, called: str, name: str = "") -> Entry:
        """Keep a second one, called `name` (the same name when empty), with its own preview."""
        with self._changing(), self._stepped() as db:
            entry = self._called(db, called)
            preset = _changed(load(entry.path), name=name or entry.name)
            file = f"{free(stem(preset.name), _stems(self.folder))}.json"
            disk.commit(self.folder, self._drafts(preset, file, entry.preview))
        return self._made(preset, file)

    def delete(self, called: str) -> Path:
        """Move the preset and its preview to the trash, empty its slots; returns where it is."""
        with self._changing(), self._stepped() as db:
            old = self._called(db, called).path
            file = f"{TRASH}/{free(old.stem, _stems(self.folder / TRASH))}.json"
            moves = [(old.name, file), *self._follow(old, file)]
            before = slots.read(self.folder)
            after = {n: held for n, held in before.items() if held != old.name}
            moves += slots.slots_move(self.folder, after) if after != before else []
            disk.commit(self.folder, moves)
        return self.folder / file

    def trash(self) -> tuple[str, ...]:
        """File names of the presets that were deleted, for `restore`."""
        return tuple(sorted(path.name for path in (self.folder / TRASH).glob("*.json")))

    def restore(self, file: str) -> Entry:
        """Bring a preset back from the trash, under another file name if its own is taken."""
        with self._changing():
            named = {fold(name): name for name in self.trash()}
            here = named.get(fold(file)) or named.get(f"{fold(file)}.json")
            if here is None:
                some = ", ".join(self.trash()[:5]) or "nothing"
                raise ValueError(f"the trash holds no {file!r}; it holds {some}")
            old = self.folder / TRASH / here
            preset = load(old)
            file = f"{free(old.stem, _stems(self.folder))}.json"
            disk.commit(self.folder, [(f"{TRASH}/{here}", file), *self._follow(old, file)])
        return self._made(preset, file)

    def slots(self) -> Mapping[int, Path]:
        """The files in slots 1 .. 128, by slot number; a file may have gone since."""
        return {number: self.folder / file for number, file in slots.read(self.folder).items()}

    def assign(self, slot: int, called: str) -> Entry:
        """Put a preset in a slot, in the place of what is there."""
        slots.check(slot)
        with self._changing(), self._stepped() as db:
            entry = self._called(db, called)
            after = slots.read(self.folder) | {slot: entry.path.name}
            disk.commit(self.folder, slots.slots_move(self.folder, after))
        return entry

    def clear(self, slot: int) -> None:
        """Empty a slot."""
        slots.check(slot)
        with self._changing():
            after = {n: held for n, held in slots.read(self.folder).items() if n != slot}
            disk.commit(self.folder, slots.slots_move(self.folder, after))

    def reindex(self) -> int:
        """Make the search index again from the files; returns how many presets there are."""
        with self._changing():
            index.drop(self.folder)
            with self._stepped() as db:
                return search.count(db)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock; what the file system refuses is one sentence."""
        with disk.lock_folder(self.folder, patience=self.patience):
            try:
                yield
            except OSError as error:
                raise ValueError(f"the library {self.folder} cannot be changed: {error}") from error
            except sqlite3.Error as error:
                index.drop(self.folder)
                raise ValueError(
                    f"the search index of {self.folder} was damaged ({error}) and is made anew; "
                    "the presets are as they were: try again"
                ) from error

    @contextmanager
    def _stepped(self) -> Iterator[sqlite3.Connection]:
        """The index, brought in step with the folder. Needs the lock."""
        try:
            db = index.open_index(self.folder)
        except sqlite3.DatabaseError:
            index.drop(self.folder)
            db = index.open_index(self.folder)
        with closing(db):
            yield db

    def _ask(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """The answer of an index in step; the lock is needed only when it is not."""
        if not os.access(self.folder, os.W_OK):
            with closing(index.in_memory(self.folder)) as db:
                return ask(db)
        if (self.folder / disk.INDEX).is_file():
            try:
                with closing(index.connect(self.folder)) as db:
                    if index.in_step(db, self.folder):
                        return ask(db)
            except sqlite3.DatabaseError:  # damaged: made again
                with self._changing():
                    index.drop(self.folder)
        with self._changing(), self._stepped() as db:
            return ask(db)

    def _called(self, db: sqlite3.Connection, called: str) -> Entry:
        rows = search.by_name(db, called)
        if len(rows) == 1:
            return self._entry(rows[0])
        if rows:
            files = ", ".join(row[0] for row in rows[:5])
            raise ValueError(f"{len(rows)} presets are called {called!r}: say which file, {files}")
        near = ", ".join(search.like_words(db, called))
        hint = f"; similar: {near}" if near else ""
        raise ValueError(f"no preset is called {called!r} in {self.folder}{hint}")

    def _entry(self, row: search.Row, distance: float | None = None) -> Entry:
        file, name, renderer, prompt, tags = row
        path = self.folder / file
        return Entry(path, name, renderer, prompt, tuple(read_json(tags)), distance)

    def _made(self, preset: Preset, file: str) -> Entry:
        path = self.folder / file
        return Entry(path, preset.name, preset.renderer, preset.prompt, preset.tags)

    def _drafts(self, preset: Preset, file: str, preview: Path | None) -> list[Move]:
        """Write a preset and a copy of a preview to be moved to `file`."""
        moves = [(draft(), file)]
        save(preset, self.folder / moves[0][0])
        if preview is not None:
            moves.append((draft(), f"{Path(file).stem}.wav"))
            shutil.copyfile(preview, self.folder / moves[1][0])
        return moves

    def _follow(self, old: Path, file: str) -> list[Move]:
        """The move of the preview of `old`, if there is one, to beside `file`."""
        wav = old.with_suffix(".wav")
        if not wav.is_file():
            return []
        return [(wav.relative_to(self.folder).as_posix(), str(Path(file).with_suffix(".wav")))]


def _changed(preset: Preset, **fields: object) -> Preset:
    """A copy with other fields, checked as a file would be, and with a name that can be read."""
    name = fields.get("name")
    if name is not None and not str(name).strip():
        raise ValueError(f"a name must not be blank, got {name!r}")
    try:
        return Preset.model_validate(preset.model_dump() | fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{first['loc'][0]}: {first['msg']}, got {first['input']!r}") from error


def _stems(folder: Path) -> set[str]:
    return {
        fold(path.stem) for path in folder.iterdir() if path.suffix.lower() in (".json", ".wav")
    }
