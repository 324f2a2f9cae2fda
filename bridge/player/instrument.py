"""Render slots, notes and effects to blocks of audio: what an audio callback calls.

`block` runs on the audio thread and touches nothing slow: notes are one compiled call, effects
were built before. Every other thread talks to it through `later`, which is heard at the next block.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.player import macros
from bridge.player.loading import Sample, Sound, build, warm_up
from bridge.player.protocol import SLOTS, Turned
from presets import Effect, Note, Preset, ranges
from renderers import effects, voice, voice_state
from renderers.limiter import limit, limiter

HEADROOM = 0.25  # 16 voices add up to four times one's level, unless their peaks meet
VOICES = 64  # that sound at once; as many rows more can be fading out
BUSES = 48
LINES = 16  # the key of notes that come from lines, after MIDI channels 0..15
TAIL_SECONDS = 12.0  # the longest silence between two echoes of an effect, and some
SILENT = 1e-5  # -100 dB
REVERB = {"room_size": 0.7, "damping": 0.4, "wet_level": 1.0, "dry_level": 0.0, "width": 0.0}

Post = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class MissingNote:
    """A note was struck that is not rendered yet."""

    slot: int
    note: int


@dataclass(frozen=True, slots=True)
class RetiredSound:
    """No slot will play this sound any more; voices still may (`reads`)."""

    sound: Sound


@dataclass(slots=True)
class Slot:
    """A slot on the audio thread: its sound, its next sound, the positions of its knobs."""

    sound: Sound | None = None
    coming: Sound | None = None
    places: dict[str, float] = field(default_factory=macros.neutral)


@dataclass(slots=True)
class Bus:
    """The way of a slot's preset from its voices through its effects into the mix."""

    slot: int
    preset: Preset
    board: Any
    gain: float
    quiet: int = 0  # samples
    key: int = voice.ANY  # who played it last
    hush: int = 0  # samples until its effects have forgotten all


class Instrument:
    """128 slots played by notes, on one stereo output of two equal channels."""

    def __init__(self, rate: int, frames: int, post: Post) -> None:
        """`frames` is the longest block; `post` takes events, `MissingNote` and `RetiredSound`."""
        self.rate, self.frames = rate, frames
        self.slots = [Slot() for _ in range(SLOTS + 1)]  # 0 is nobody's
        self._bar_until = 0  # a clock ran when it was heard last: new sounds wait for the bar
        self.spent: deque[float] = deque(maxlen=4096)  # seconds a block took
        self.sounding = 0
        self.faults = 0  # samples that were not finite or too loud
        self._post = post
        self._todo: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._voices = voice_state.voices(2 * VOICES)
        self._hands = voice_state.hands(SLOTS + 1)
        self._store = np.zeros(4, np.float32)
        self._buses: list[Bus | None] = [None] * BUSES
        self._sustain = [False] * (LINES + 1)
        self._sostenuto = [False] * (LINES + 1)
        self._offs: list[tuple[int, int, int]] = []  # frame, slot, note
        self._now = 0
        self._rows = np.zeros((BUSES, frames))
        self._mix, self._shared, self._y = np.zeros((3, frames))
        self._scratch = voice_state.scratch()
        self._clean, self._out = np.zeros((2, frames), np.float32)
        self._limiter = limiter(rate)
        self._room = warm_up(effects.chain([Effect(kind="Reverb", values=REVERB)]), rate)
        self._room_gain, self._room_hush = 1.0, 0
        self._room_quiet = round(TAIL_SECONDS * rate)

    # from any thread

    def later(self, act: Callable[..., None], *arguments: Any) -> None:
        """Call one of the acts below on the audio thread, before its next block."""
        self._todo.append((act, arguments))

    def reads(self, sound: Sound) -> bool:
        """Whether a voice still plays a sample or the noise of a retired sound."""
        firsts = [sample.first for sample in sound.samples.values()]
        if sound.noise is not None:
            firsts.append(sound.noise.first)
        playing = self._voices.kind != voice_state.FREE
        return bool((playing & np.isin(self._voices.first, firsts)).any())

    # acts, on the audio thread only; `wait` is in samples from the start of the block

    def use_store(self, store: NDArray[np.float32]) -> None:
        """Read samples from this array."""
        self._store = store

    def put(self, slot: int, sound: Sound | None) -> None:
        """A slot's next sound: heard from the next note (or bar); None empties the slot."""
        here = self.slots[slot]
        before, here.coming = here.coming, sound
        if before is not None:
            self._leave(before)
        if sound is None or here.sound is None:
            self._adopt(slot)

    def renew(self, slot: int, sound: Sound) -> None:
        """The same preset with its knobs moved, in place of what was built before."""
        here = self.slots[slot]
        if here.coming is not None:
            self.put(slot, sound)
        elif here.sound is not None:
            here.coming = sound
            self._adopt(slot)

    def clock(self, running: bool) -> None:
        """MIDI clock runs, or stops; one that falls silent without a word has stopped too."""
        self._bar_until = self._now + self.rate if running else 0

    def bar(self) -> None:
        """A bar begins: what waited for it is played from now on."""
        for slot, here in enumerate(self.slots):
            if here.coming is not None:
                self._adopt(slot)

    def press(self, slot: int, key: int, note: int, velocity: int, wait: int = 0) -> None:
        """A note of a slot begins; the same note of the same key ends.

        One that sostenuto held is held again: its damper is still up.
        """
        here = self.slots[slot]
        if here.coming is not None and self._now >= self._bar_until:
            self._adopt(slot)
        sound = here.sound
        if sound is None:
            return
        caught = voice.end_strike(self._voices, key, slot, note, wait)
        if key == LINES:  # the end of an earlier strike is not the end of this note
            self._offs = [off for off in self._offs if off[1:] != (slot, note)]
        played, bus = Note(note, velocity), self._bus(slot, sound, key)
        where = (float(self.rate), bus, slot, key, note, wait)
        if sound.patch is not None:
            noise = -1 if sound.noise is None else sound.noise.first
            voice.start(
                self._voices, self._hands, sound.patch, VOICES, noise, played.hz, played.gain,
                *where,
            )  # fmt: skip
        else:
            self._press_sampled(sound, note, played, where)
        if caught:
            voice.catch(self._voices, key, slot, note)

    def _press_sampled(
        self, sound: Sound, note: int, played: Note, where: tuple[float, int, int, int, int, int]
    ) -> None:
        """A sampled note begins, from the nearest that is rendered, and is asked for if missing."""
        nearest = sound.nearest(note)
        if nearest != note:
            self._post(MissingNote(where[2], note))
        if nearest is not None:
            sample, step = sound.samples[nearest], played.hz / Note(nearest).hz
            voice.start_sample(
                self._voices, self._hands, VOICES, sample.first, sample.samples, step,
                played.gain, sound.rise * self.rate, *where,
            )  # fmt: skip

    def strike(self, slot: int, note: int | None, velocity: int, seconds: float | None) -> None:
        """A note from a line, at the sound's own pitch unless given, released after `seconds`.

        Where it would sound for ever, after those that the preset is held.
        """
        sound = self.slots[slot].coming or self.slots[slot].sound
        if sound is None:
            return
        if seconds is None and sound.patch is not None and sound.patch.holds:
            preset = sound.preset
            seconds = preset.seconds if preset.held is None else preset.held
        number = round(sound.preset.note) if note is None else note
        self.press(slot, LINES, number, velocity)
        if seconds is not None:
            self._offs.append((self._now + round(seconds * self.rate), slot, number))

    def let_go(self, key: int, note: int, slot: int = voice.ANY, wait: int = 0) -> None:
        """A key is released, which a pedal may put off."""
        voice.release(self._voices, key, slot, note, self._sustain[key], wait)

    def pedal(self, key: int, down: bool, wait: int = 0) -> None:
        """Sustain."""
        self._sustain[key] = down
        voice.lift(self._voices, key, down, self._sostenuto[key], wait)

    def sostenuto(self, key: int, down: bool, wait: int = 0) -> None:
        """Hold what sounds when the pedal goes down, and none of what is struck later."""
        if down and not self._sostenuto[key]:
            voice.catch(self._voices, key, voice.ANY, voice.ANY)
        self._sostenuto[key] = down
        voice.lift(self._voices, key, self._sustain[key], down, wait)

    def bend(self, key: int, semitones: float) -> None:
        """Bend all notes of a key."""
        self._hands.bend[key] = 2.0 ** (semitones / 12.0)

    def touch(self, key: int, factor: float) -> None:
        """Scale the modulation of all notes of a key; 1 is as designed. Samples do not follow."""
        self._hands.touch[key] = factor

    def turn(self, slot: int, name: str, place: float, *, tell: bool = False) -> None:
        """Move a knob. Level and reverb act here; the main thread builds the rest on `Turned`."""
        self.slots[slot].places[name] = place
        if tell:
            self._post(Turned(slot=slot, name=name, position=place))

    def release_all(self, key: int) -> None:
        """All notes off: every key is let go, which a pedal may put off."""
        self.let_go(key, voice.ANY)

    def silence(self, slot: int = voice.ANY, key: int = voice.ANY) -> None:
        """All sound off: voices fade out in 5 ms, effects in a block; of everything: pedals up."""
        fading = round(voice.STEAL * self.rate) + 1  # what fades goes into the effects too
        voice.silence(self._voices, key, slot, float(self.rate))
        for bus in self._buses:
            if bus is not None and slot in (voice.ANY, bus.slot) and key in (voice.ANY, bus.key):
                bus.hush = 0 if bus.board is None else fading
        if slot == key == voice.ANY:
            self._room_hush = fading
            self._sustain = [False] * (LINES + 1)
            self._sostenuto = [False] * (LINES + 1)

    # the block

    def catch_up(self) -> None:
        """Act on what came by `later`; called by `block`, by others where no block is played."""
        while self._todo:
            act, arguments = self._todo.popleft()
            act(*arguments)

    def block(self, count: int) -> NDArray[np.float32]:
        """The next `count` samples, float32 [count]: the same array at each call.

        `HEADROOM` times what `mix` gives, later by `renderers.limiter.LOOK_AHEAD`, within +-1.
        """
        began = time.perf_counter()
        out = self._out[:count]
        limit(self._limiter, self.mix(count), HEADROOM, out)
        self.spent.append(time.perf_counter() - began)
        return out

    def mix(self, count: int) -> NDArray[np.float32]:
        """The next `count` samples as loud as the presets are, however loud that is."""
        self.catch_up()
        self._release_due(count)
        rows, mix, shared = self._rows[:, :count], self._mix[:count], self._shared[:count]
        for row, bus in enumerate(self._buses):
            if bus is not None:
                rows[row] = 0.0
        mix[:] = 0.0
        shared[:] = 0.0
        self.sounding = voice.advance(
            self._voices, self._hands, self._store, float(self.rate), rows,
            self._y[:count], self._scratch,
        )  # fmt: skip
        for row, bus in enumerate(self._buses):
            if bus is not None:
                self._carry(row, bus, rows[row], mix, shared)
        self._reverberate(mix, shared)
        clean = self._clean[:count]
        self.faults += voice.clean(mix, clean)
        self._now += count
        return clean

    def _carry(self, row: int, bus: Bus, x: Any, mix: Any, shared: Any) -> None:
        """One bus through its effects into the mix; it is given up when it has been silent."""
        board, count = bus.board, x.size
        if board is not None:
            dry = self._clean[:count]
            voice.clean(x, dry)
            x = through(board, dry, self.rate)
        places = self.slots[bus.slot].places
        gain = 0.0 if bus.hush else macros.gain(places["level"])
        peak = voice.blend(x, bus.gain, gain, places["reverb"], mix, shared)
        bus.gain = gain
        if bus.hush:
            bus.hush = max(0, bus.hush - count)
            if not bus.hush:
                board.reset()
        bus.quiet = 0 if peak > SILENT else bus.quiet + count
        linger = TAIL_SECONDS * self.rate if board is not None else 0
        if bus.quiet > linger and not self._in_use(row):
            self._buses[row] = None

    def _reverberate(self, mix: Any, shared: Any) -> None:
        if np.abs(shared).max() > SILENT:
            self._room_quiet = 0
        if self._room_quiet < TAIL_SECONDS * self.rate:
            dry = self._clean[: shared.size]
            voice.clean(shared, dry)
            wet = through(self._room, dry, self.rate)
            gain = 0.0 if self._room_hush else 1.0
            voice.blend(wet, self._room_gain, gain, 0.0, mix, shared)
            self._room_gain = gain
            self._room_quiet += shared.size
        if self._room_hush:
            self._room_hush = max(0, self._room_hush - shared.size)
            if not self._room_hush:
                self._room.reset()

    def _in_use(self, row: int) -> bool:
        return bool(((self._voices.bus == row) & (self._voices.kind != voice_state.FREE)).any())

    def _bus(self, slot: int, sound: Sound, key: int) -> int:
        """The row of a slot's preset; where all are taken, that of the longest silence."""
        free, longest = 0, -1
        for row, bus in enumerate(self._buses):
            quiet = 1 << 40 if bus is None else bus.quiet
            if quiet > longest:
                free, longest = row, quiet
            if bus is not None and bus.slot == slot and bus.preset is sound.preset:
                bus.key = key
                return row
        gain = macros.gain(self.slots[slot].places["level"])
        self._buses[free] = Bus(slot, sound.preset, sound.board, gain, key=key)
        self._rows[free] = 0.0
        return free

    def _adopt(self, slot: int) -> None:
        here = self.slots[slot]
        old, here.sound, here.coming = here.sound, here.coming, None
        if here.sound is not None:
            self._hands.depth[slot] = here.sound.depth
        if old is not None:
            self._leave(old)

    def _leave(self, sound: Sound) -> None:
        if not any(sound in (here.sound, here.coming) for here in self.slots):
            self._post(RetiredSound(sound))

    def _release_due(self, count: int) -> None:
        for due in [due for due in self._offs if due[0] < self._now + count]:
            self._offs.remove(due)
            frame, slot, note = due
            self.let_go(LINES, note, slot, max(0, frame - self._now))


def through(board: Any, dry: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Audio [T] through a board that goes on where it was; latency at its start is silence."""
    wet: NDArray[np.float32] = board.process(dry[None], rate, reset=False)[0]
    if not np.isfinite(wet).all():  # a filter that diverged would never end
        board.reset()
        wet[:] = 0.0
    if wet.size == dry.size:
        return wet
    padded = np.zeros(dry.size, np.float32)
    padded[dry.size - wet.size :] = wet
    return padded


def warm() -> None:
    """Compile, or read from disk, all that a block may need: before a device is open."""
    quiet = Instrument(48000, 128, lambda _: None)  # longer than a block: other types else
    synthesised, full = (
        build(silent_preset(kind), macros.neutral(), None) for kind in ranges.VOICES
    )
    sampled = replace(synthesised, patch=None, samples={60: Sample(0, 4)})
    for slot, sound in ((1, synthesised), (2, sampled), (3, full)):
        quiet.later(quiet.put, slot, sound)
        quiet.later(quiet.press, slot, 0, 60, 100)
    quiet.later(quiet.bend, 0, 1.0)
    quiet.later(quiet.turn, 1, "reverb", 0.5)
    quiet.block(64)
    quiet.later(quiet.sostenuto, 0, True)
    quiet.later(quiet.press, 1, 0, 60, 100)
    quiet.later(quiet.pedal, 0, False)
    quiet.later(quiet.let_go, 0, 60)
    quiet.later(quiet.silence)
    quiet.block(64)


def silent_preset(kind: str) -> Preset:
    """An FM preset of one operator that is not mixed, paper or full."""
    values = {p.name: p.low for p in ranges.fm(operators=1, voice=kind)}
    return Preset(name="warm", renderer="fm", renderer_version=1, values=values)
