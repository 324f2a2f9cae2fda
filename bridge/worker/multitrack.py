"""Generate stem sets, and stems that go with given ones.

What is finished waits on disk: of several stem sets, a killed job makes only those that are left.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bridge.files import atomic_output, names
from bridge.protocol import worker_loop
from bridge.protocol.events import Event
from bridge.protocol.multitrack_jobs import MAX_SET, Accompany, GenerateClips
from bridge.protocol.stem_classes import STEMS
from bridge.stems.bwf_metadata import Origin
from bridge.stems.manifest import Task
from bridge.stems.tempo import Points, Tempo
from bridge.worker import made_set, mixture
from bridge.worker.made_set import MadeSet
from bridge.worker.mixture import Mixture
from bridge.worker.models import VERSION, Models, model_hash
from bridge.worker.sought_sound import recording
from bridge.worker.stem_writer import turned_down
from bridge.worker.window_store import FinishedWindows, check_space, code, digest
from sds.multitrack.base import MultiTrackModel
from sds.signal import audio_files

READ = 0.02  # fraction of the job: the given files are read ...
MADE = 0.95  # ... stems are made; the rest is writing
LIKE_SECONDS = 30.0  # heard of a recording to be like
SEEDS = 2**31


@dataclass(frozen=True, slots=True)
class _Wish:
    """One set to make: `number` among those of its job."""

    number: int
    prompt: str
    seed: int
    folder: str = ""


@dataclass(frozen=True)
class _Arranging:
    """What all sets of a job share: the model, how it is asked, and where the sound belongs."""

    model: MultiTrackModel
    stems: tuple[str, ...]
    add: tuple[str, ...]
    given: Mapping[str, Mixture]
    frames: int
    rate: int
    channels: int
    start: int
    task: Task
    steps: int | None
    guidance: float | None
    like: Tensor | None
    tempo: Points
    asked: Sequence[Any]  # all that the sound depends on beside prompt and seed

    @property
    def key(self) -> str:
        """A digest of all that the sound depends on but words and seed."""
        model = [self.model.name, model_hash(self.model)]
        shape = [self.stems, self.add, self.frames, self.rate, self.steps, self.guidance]
        place = [self.tempo, self.start] if self.tempo else []
        return digest([*self.asked, self.task, model, shape, place])

    def made(self, wish: _Wish, added: Mapping[str, Tensor]) -> MadeSet:
        """The set of a wish, with the sounds made for it."""
        job = digest([self.key, wish.prompt, wish.seed, self.start, self.tempo, VERSION])
        source = f"{names.slug(wish.prompt, otherwise=self.task)}.wav"
        origin = Origin(
            job=job, source=source, source_sha256="", prompts=self.stems, negatives=(),
            method=self.task, steps=self.steps or 0, seed=wish.seed, model=self.model.name,
            model_hash=model_hash(self.model), code=VERSION, rate=self.rate,
            channels=self.channels, start_samples=self.start, task=self.task, words=wish.prompt,
        )  # fmt: skip
        return MadeSet(
            origin, self.frames, added, given=self.given, folder=wish.folder, tempo=self.tempo
        )


def generate_sets(job: GenerateClips, models: Models) -> worker_loop.Events:
    """`count` stem sets of each prompt, each in a folder of its own where there are several.

    Set n of a prompt has the noise of seed `seed` + n - 1. A set whose mix would clip is turned
    down as a whole.
    """
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    model = models.multi_track(job.stem_model)
    rate = model.sample_rate
    arranging = _Arranging(
        model=model, stems=job.stems, add=job.stems, given={}, frames=round(job.seconds * rate),
        rate=rate, channels=1, start=0, task="generate", steps=job.steps, guidance=job.guidance,
        like=_like(job.like, rate), tempo=((0.0, job.tempo),) if job.tempo else (),
        asked=[_sha256(job.like)],
    )  # fmt: skip
    pairs = list(product(job.prompts, range(job.each)))
    wishes = [
        _Wish(number, prompt, (job.seed + n) % SEEDS, str(number + 1) if len(pairs) > 1 else "")
        for number, (prompt, n) in enumerate(pairs)
    ]
    with _resumable(job, arranging, wishes) as out:
        sets = yield from _make(arranging, wishes, out, clock)
    stems = [stem for made in sets for stem in made["stems"]]
    yield clock.done({"stems": stems, "manifest": sets[0]["manifest"], "sets": sets})


def accompany(job: Accompany, models: Models) -> worker_loop.Events:
    """Stems that go with the given ones, which stay as they are, sample for sample.

    What is added has their rate, length and place, and as many channels as the widest of them.
    Raises `ValueError` with one sentence for files that do not lie beside each other, or are
    silent.
    """
    clock = worker_loop.Clock(job.id)
    given: dict[str, Mixture] = {}
    share = READ / len(job.given)
    for stem, file in job.given.items():
        begin = share * len(given)
        given[stem] = yield from mixture.measure(
            Path(file), clock, share, begin=begin, name=f"given {stem}"
        )
    first = _alike(given)
    yield clock.progress(READ, "loading the model")
    model = models.multi_track(job.stem_model)
    stems = tuple(stem for stem in STEMS if stem in given or stem in job.add)
    arranging = _Arranging(
        model=model, stems=stems, add=job.add, given=given, frames=first.frames, rate=first.rate,
        channels=max(source.channels for source in given.values()), start=first.start,
        task="accompany", steps=job.steps, guidance=job.guidance,
        like=_like(job.like, first.rate), tempo=job.tempo,
        asked=[{stem: source.sha256 for stem, source in given.items()}, _sha256(job.like)],
    )  # fmt: skip
    wishes = [_Wish(0, job.prompt, job.seed)]
    with _resumable(job, arranging, wishes) as out:
        (made,) = yield from _make(arranging, wishes, out, clock)
    yield clock.done(made | {"given": list(given), "added": list(job.add)})


def _alike(given: Mapping[str, Mixture]) -> Mixture:
    """The first of the given files, when all are of one rate, length and place and none is silent.

    Raises `ValueError` with one sentence, which names two of them, or the one that is wrong.
    """
    (name, first), *others = given.items()
    for stem, source in given.items():
        if float(source.powers.max()) <= audio_files.SOFTEST**2:
            raise ValueError(f"given {stem} is silent: nothing can go with {source.file.name}")
        if source.frames > MAX_SET * source.rate:
            raise ValueError(
                f"given {stem} lasts {source.frames / source.rate:.0f} seconds; "
                f"at most {MAX_SET:g} are allowed"
            )
    for stem, source in others:
        for what, own, wanted in (
            ("a rate of {} Hz", source.rate, first.rate),
            ("{} samples", source.frames, first.frames),
            ("its begin at sample {} of the session", source.start, first.start),
        ):
            if own != wanted:
                raise ValueError(
                    f"given stems must lie beside each other: {stem} has {what.format(own)}, "
                    f"{name} {what.format(wanted)}"
                )
    return first


@contextmanager
def _resumable(
    job: GenerateClips | Accompany, arranging: _Arranging, wishes: Sequence[_Wish]
) -> Iterator[atomic_output.Output]:
    """The folder of a job; entered in its outermost generator, or it would not hear that the
    worker must leave, and drop what is finished.
    """
    _check_space(job.out, arranging, len(wishes))
    key = digest([arranging.key, [(w.prompt, w.seed) for w in wishes], code()])
    stale = [atomic_output.RESULT]
    with atomic_output.resumable(Path(job.out), key, job.terms, stale=stale) as out:
        for wish in wishes:
            out.expect(*made_set.file_names(arranging.made(wish, {})))
        yield out


def _make(
    arranging: _Arranging,
    wishes: Sequence[_Wish],
    out: atomic_output.Output,
    clock: worker_loop.Clock,
) -> Generator[Event, None, list[dict[str, Any]]]:
    """Make and write all sets; the results of them. Sets that an earlier run left are not made
    again.
    """
    windows = [(0, arranging.frames)] * len(wishes)
    finished = FinishedWindows(out.scratch, windows, len(arranging.add), 1)
    yield from _arrange_all(arranging, wishes, finished, clock)
    results: list[dict[str, Any]] = []
    for wish in wishes:
        sounds, gain_db = finished.get(wish.number), 0.0
        if not arranging.given:
            sounds, gain_db = _turned_down(sounds)
        made = arranging.made(wish, dict(zip(arranging.add, sounds, strict=True)))
        result = yield from _progress(
            made_set.write(made, out), clock, "writing the stems", MADE, 1.0, wish.number,
            len(wishes),
        )  # fmt: skip
        facts = {"prompt": wish.prompt, "seed": wish.seed, "gain_db": round(gain_db, 3)}
        results.append(facts | result)
    return results


def _arrange_all(
    arranging: _Arranging,
    wishes: Sequence[_Wish],
    finished: FinishedWindows,
    clock: worker_loop.Clock,
) -> Generator[Event, None, None]:
    """Ask the model for every set that is not there yet."""
    todo = [wish for wish in wishes if wish.number not in finished]
    given = {
        stem: audio_files.mono(_samples(source))[None] for stem, source in arranging.given.items()
    }
    share = (MADE - READ) / len(wishes)
    low = MADE - share * len(todo)
    clock.resume(low)
    for n, wish in enumerate(todo):
        what = f"stem set {wish.number + 1} of {len(wishes)}" if len(wishes) > 1 else "stems"
        made = yield from _progress(
            _arrange(arranging, wish, given), clock, what, low, MADE, n, len(todo)
        )
        finished.put(wish.number, torch.stack([made[stem].float() for stem in arranging.add]), [])


def _arrange(
    arranging: _Arranging, wish: _Wish, given: Mapping[str, Tensor]
) -> Generator[float, None, dict[str, Tensor]]:
    from sds.multitrack.arrange import arrange_stepwise

    return (
        yield from arrange_stepwise(
            arranging.model,
            prompt=wish.prompt,
            given=given,
            add=arranging.add,
            samples=arranging.frames,
            rate=arranging.rate,
            like=arranging.like,
            beats=_beats(arranging),
            steps=arranging.steps,
            guidance=arranging.guidance,
            generator=torch.Generator().manual_seed(wish.seed),
        )
    )


def _beats(arranging: _Arranging) -> Callable[[float], float] | None:
    """Beats of the session at seconds from the place of the stems; None where they are unknown."""
    if not arranging.tempo:
        return None
    tempo, begin = Tempo(arranging.tempo), arranging.start / arranging.rate
    return lambda seconds: tempo.beats(begin + seconds)


def _progress(
    work: Generator[float, None, Any],
    clock: worker_loop.Clock,
    stage: str,
    low: float,
    high: float,
    done: int,
    of: int,
) -> Generator[Event, None, Any]:
    """Tell how far work is, the part `done` of `of` between two fractions; what it returns."""
    try:
        while True:
            share = (done + next(work)) / of
            yield clock.progress(low + (high - low) * share, stage)
    except StopIteration as end:
        return end.value
    finally:
        work.close()


def _turned_down(sounds: Tensor) -> tuple[Tensor, float]:
    """Stems [K, 1, T] whose sum does not clip, and the gain of all in dB, 0 where it was low."""
    _, gain_db = turned_down(sounds.sum(0))
    return sounds * 10 ** (gain_db / 20), gain_db


def _samples(source: Mixture) -> Tensor:
    """All samples [C, T] of a given file."""
    with mixture.open_recording(source.file) as file:
        return file.read(0, source.frames)


def _like(file: str | None, rate: int) -> Tensor | None:
    return None if file is None else recording(file, rate, LIKE_SECONDS)


def _sha256(file: str | None) -> str:
    return "" if file is None else names.sha256(Path(file))


def _check_space(place: str, arranging: _Arranging, sets: int) -> None:
    """Refuse early what would fill the disk: what is made, all files and the mix."""
    files = arranging.channels * (len(arranging.stems) + 1) + len(arranging.add)
    seconds = arranging.frames / arranging.rate
    what = f"{sets * len(arranging.stems)} stems of {seconds:.0f} seconds"
    check_space(Path(place), 4 * arranging.frames * files * sets, what)
