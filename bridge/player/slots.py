"""Load presets into slots, build their sounds off the audio thread, free what nothing plays."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from bridge.player import loading as sounds
from bridge.player import macros, protocol, sampler
from bridge.player.audio_outputs import LONGEST_BLOCK, Message
from bridge.player.instrument import Instrument, MissingNote, RetiredSound
from bridge.player.midi import Midi
from presets import Preset, load, ranges
from renderers.noise import PERIOD
from renderers.voice_patch import noise_loop

log = logging.getLogger(__name__)
SETTLE = 0.15  # seconds that knobs rest before notes are rendered anew
PLAYED = frozenset({"level", "reverb"})  # knobs that the instrument turns by itself


@dataclass(slots=True)
class HeldLoad:
    """What the main thread knows of a loaded slot."""

    preset: Preset
    board: Any
    sound: sounds.Sound


@dataclass(frozen=True, slots=True)
class Loading:
    """A load that waits for its first note to be rendered."""

    command: str  # its id
    sound: sounds.Sound


class Slots:
    """What every slot plays, and the instrument, MIDI and rendering child of the present rate.

    `put` takes what other threads have for the main thread; `say` writes a line of the player.
    All methods but the function that `play_function` returns are called on the main thread.
    """

    def __init__(
        self, rate: int, put: Callable[[Any], None], say: Callable[[BaseModel], None]
    ) -> None:
        self._put, self._say = put, say
        self._held: dict[int, HeldLoad] = {}
        self._loading: dict[int, Loading] = {}  # by slot
        self._places = [macros.neutral() for _ in range(protocol.SLOTS + 1)]
        self._moved: dict[int, float] = {}  # slots whose sound is to be built anew, and when
        self._retired: list[sounds.Sound] = []
        self._equip(rate)

    @property
    def names(self) -> dict[int, str]:
        """The name of the preset in each slot that can be played."""
        return {slot: held.preset.name for slot, held in self._held.items()}

    def state(self, slot: int) -> str:
        """A slot as "playable", "still being loaded" or "empty"."""
        if slot in self._held:
            return "playable"
        return "still being loaded" if slot in self._loading else "empty"

    def load(self, command: protocol.Load) -> bool:
        """Put a preset into its slot; False where the first note must be rendered before."""
        slot = command.slot
        self._say(protocol.LoadBegun(slot=slot, preset=command.preset))
        preset = load(command.preset)
        ranges.check(preset)
        board = sounds.effect_board(preset, self.instrument.rate)
        sound = sounds.build(preset, self._places[slot], board)
        self._mix_noise(sound)
        self._supersede(slot)
        if sound.patch is not None:
            self._hold(slot, HeldLoad(preset, board, sound))
            return True
        self._loading[slot] = Loading(command.id, sound)

        def playable(_note: int) -> None:
            del self._loading[slot]
            self._hold(slot, HeldLoad(preset, board, sound))
            self._fill(slot, sound)
            if command.id:
                self._say(protocol.Ok(id=command.id))

        def failed(reason: str) -> None:
            del self._loading[slot]
            self._refuse(command.id, "bad-input", reason, slot)

        self._sampler.want(sampler.Request(sound, round(preset.note), playable, failed))
        return False

    def unload(self, slot: int) -> None:
        """Empty a slot, and give up a load into it."""
        self._held.pop(slot, None)
        self._supersede(slot)
        self.instrument.later(self.instrument.put, slot, None)

    def _supersede(self, slot: int) -> None:
        """A load that is not playable yet never will be."""
        old = self._loading.pop(slot, None)
        if old is not None:
            self._sampler.drop(old.sound)
            reason = f"slot {slot} was loaded anew or emptied meanwhile"
            self._refuse(old.command, "failed", reason)

    def _hold(self, slot: int, held: HeldLoad) -> None:
        if slot in self._held:
            self._sampler.drop(self._held[slot].sound)
        self._held[slot] = held
        self.instrument.later(self.instrument.put, slot, held.sound)
        preset = held.preset
        loaded = protocol.Loaded(
            slot=slot,
            name=preset.name,
            note=preset.note,
            sampled=held.sound.patch is None,
            without=sounds.missing_plugins(preset),
        )
        self._say(loaded)

    def _fill(self, slot: int, sound: sounds.Sound) -> None:
        """Render what was not asked for, in an order that brings a near note soon."""
        for urgency, note in enumerate(sampler.notes(round(sound.preset.note))):
            self._sampler.want(self._request(slot, sound, note), float(urgency))

    def _request(self, slot: int, sound: sounds.Sound, note: int) -> sampler.Request:
        def done(note: int) -> None:
            self._say(protocol.Rendered(slot=slot, note=note))

        return sampler.Request(sound, note, done, log.warning)

    def render(self, wanted: MissingNote) -> None:
        """Render a note that the instrument lacks."""
        held = self._held.get(wanted.slot)
        if held is not None and held.sound.patch is None:
            self._sampler.want(self._request(wanted.slot, held.sound, wanted.note))

    def turn(self, slot: int, name: str, place: float) -> None:
        """Note a knob of a slot at `place` in [0, 1]; its sound is built anew by `rebuild`."""
        self._places[slot][name] = place
        held = self._held.get(slot)
        if held is not None and name not in PLAYED:
            wait = 0.0 if held.sound.patch is not None else SETTLE
            self._moved[slot] = time.monotonic() + wait

    def rebuild(self) -> None:
        """Build sounds whose knobs moved: FM at once, samples when their first note is rendered."""
        due = [slot for slot, when in self._moved.items() if when <= time.monotonic()]
        for slot in due:
            del self._moved[slot]
            held = self._held.get(slot)
            if held is not None:
                sound = sounds.build(held.preset, self._places[slot], held.board)
                if sound.patch is not None:
                    self._share_noise(sound, held.sound.noise)
                    self._replace(slot, held, sound)
                else:
                    self._render_anew(slot, held, sound)

    def _mix_noise(self, sound: sounds.Sound) -> None:
        """Put the noise of a full FM voice into the store; raises `ValueError` where it is full."""
        if sound.patch is None or sound.patch.noise == 0.0:
            return
        store = self._sampler.store
        first = store.take(PERIOD)
        if first is None:
            raise ValueError("there is no memory for its noise: empty a slot")
        store.audio[first : first + PERIOD] = noise_loop(sound.preset.values, self.instrument.rate)
        sound.noise = self._noises[sound] = sounds.Sample(first, PERIOD)

    def _share_noise(self, sound: sounds.Sound, noise: sounds.Sample | None) -> None:
        """Another sound of the same preset has the same noise."""
        if noise is not None:
            sound.noise = self._noises[sound] = noise

    def _give_noise(self, sound: sounds.Sound) -> None:
        """A sound is played no more; its noise is given back with the last that has it."""
        noise = self._noises.pop(sound, None)
        if noise is not None and noise not in self._noises.values():
            self._sampler.store.give(noise.first, noise.samples)

    def _replace(self, slot: int, held: HeldLoad, sound: sounds.Sound) -> None:
        held.sound = sound
        self.instrument.later(self.instrument.renew, slot, sound)

    def _render_anew(self, slot: int, held: HeldLoad, sound: sounds.Sound) -> None:
        self._sampler.drop(held.sound)

        def first(_note: int) -> None:
            if self._held.get(slot) is held:
                self._replace(slot, held, sound)
                self._fill(slot, sound)
            else:
                self._sampler.forget(sound)

        self._sampler.want(sampler.Request(sound, round(held.preset.note), first, log.warning))

    def retire(self, retired: RetiredSound) -> None:
        """Render nothing more of a sound that has been replaced; `free` gives back its memory."""
        self._sampler.drop(retired.sound)
        self._retired.append(retired.sound)

    def free(self) -> None:
        """Give back the memory of sounds that nothing plays any more."""
        for sound in [sound for sound in self._retired if not self.instrument.reads(sound)]:
            self._retired.remove(sound)
            self._sampler.forget(sound)
            self._give_noise(sound)

    def close(self) -> None:
        """End the rendering child."""
        self._sampler.close()

    def _equip(self, rate: int) -> None:
        """An instrument for this rate, with everything loaded so far."""
        self.instrument = Instrument(rate, LONGEST_BLOCK, self._put)
        self.midi = Midi(self.instrument, self._put)
        self._sampler = sampler.Sampler(rate, self._put)
        self.instrument.use_store(self._sampler.store.audio)
        self._noises: dict[sounds.Sound, sounds.Sample] = {}  # in this store
        for slot, held in self._held.items():
            held.sound.samples = {}
            self._mix_noise(held.sound)
            self.instrument.later(self.instrument.put, slot, held.sound)
            if held.board is not None:
                sounds.warm_up(held.board, rate)
            if held.sound.patch is None:
                self._moved[slot] = 0.0  # to be rendered anew
        for slot, places in enumerate(self._places):
            for name, place in places.items():
                self.instrument.turn(slot, name, place)

    def play_function(self, rate: int) -> Callable[[Iterable[Message], int], NDArray[np.float32]]:
        """The audio callback at `rate` in Hz: MIDI events and a frame count to a block.

        At another rate than before everything loaded is put into a new instrument first.
        """
        if rate != self.instrument.rate:
            loading, midi = [load.sound for load in self._loading.values()], self.midi
            unfinished = [request for request in self._sampler.close() if request.sound in loading]
            self._retired = []
            self._equip(rate)
            self.midi.channels, self.midi.controllers = midi.channels, midi.controllers
            for request in unfinished:
                self._sampler.want(request)

        def play(events: Iterable[Message], count: int) -> NDArray[np.float32]:
            for wait, data in events:
                self.midi.hear(data, wait)
            return self.instrument.block(count)

        return play

    def _refuse(self, command: str, code: Any, reason: str, slot: int | None = None) -> None:
        self._say(protocol.Refused(id=command, code=code, reason=reason, slot=slot))
