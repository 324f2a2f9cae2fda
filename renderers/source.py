"""A preset's sound as bytes: what exporters, which hold no array library, are given.

`RenderedSource` is the `Source` of `presets.export.base`. Notes pass through the preset's effects,
but for `cycles`, which are dry, and `impulse`, which is the space alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from presets import Note, Preset
from presets.export import laws
from presets.params import A4_HZ, A4_NUMBER
from renderers import effects, for_preset, from_values, impact, loops, noise
from renderers.base import Renderer, physical
from renderers.reverberation import T60

Audio = NDArray[np.float32]  # [C, T]

LENGTHS = (4.0, 15.0, 60.0)  # seconds rendered until the sound is seen to end
QUIET = 1e-4  # -80 dB
FADE = 0.01  # seconds, at the end of integer samples
CACHE_BYTES = 128 << 20

NOISE_FADE = 0.1  # seconds of the seam of a steady noise
IMPULSE_PEAK = 10 ** (-1 / 20)  # -1 dBFS
IMPULSE_FADE = 0.05  # seconds


class RenderedSource:
    """A preset played by its renderer at `rate` Hz; the last notes are kept in memory.

    Raises `ValueError` when the preset does not fit its renderer, or is silent at its own note.
    """

    def __init__(self, preset: Preset, rate: int = 44100) -> None:
        self._preset = preset
        self._renderer: Renderer = for_preset(preset)
        self._kept: dict[tuple[Note, int], Audio] = {}
        self._own = own_note(preset)
        self.rate = rate
        self.seconds = self._length()
        self.channels = self._audio(self._own, self.seconds).shape[0]

    def floats(self, note: Note, seconds: float) -> bytes:
        """One note as 32-bit floats, interleaved; values beyond 1 are kept."""
        return _interleave(self._audio(note, seconds).astype("<f4"))

    def pcm(
        self,
        note: Note,
        seconds: float,
        *,
        bits: int,
        gain: float = 1.0,
        loop: tuple[int, int] | None = None,
    ) -> bytes:
        """One note times `gain` as 16- or 24-bit integers, the last 10 ms faded out.

        With a `loop` (`self.loop`) it ends with that instead, and 32 samples of it more. Raises
        `ValueError` for other `bits`, and when the note would be clipped.
        """
        if bits not in (16, 24):
            raise ValueError(f"bits must be 16 or 24, got {bits}")
        audio = self._audio(note, seconds).astype(np.float64) * gain
        peak, full = float(np.abs(audio).max()), 2.0 ** (bits - 1)
        if peak > 1.0:
            raise ValueError(f"samples must stay within 1 of full scale, got a peak of {peak:.3g}")
        if loop is None:
            count = min(audio.shape[1], round(FADE * self.rate))
            audio[:, audio.shape[1] - count :] *= _fall(count)
        else:  # a seam of noise may peak above both its sides
            seamless = loops.seamless(audio.astype(np.float32), loop, self.rate)
            audio = np.clip(seamless.astype(np.float64), -1.0, 1.0)
        levels = np.minimum(np.round(audio * full), full - 1)
        if bits == 16:
            return _interleave(levels.astype("<i2"))
        wide = np.ascontiguousarray(levels.T.astype("<i4")).reshape(-1, 1)
        return wide.view(np.uint8)[:, :3].tobytes()

    def peak(self, note: Note, seconds: float) -> float:
        """The largest absolute sample of one note."""
        return float(np.abs(self._audio(note, seconds)).max())

    def loop(
        self, note: Note, seconds: float, *, start: float, every: float = 0.0
    ) -> tuple[int, int]:
        """(first sample, the one behind the last) of the loop of a note: `renderers.loops.find`."""
        audio = self._audio(note, seconds)
        return loops.find(audio, round(start * self.rate), self.rate, every)

    def cycles(self, note: Note, times: Sequence[float], size: int) -> list[bytes]:
        """One period, `size` floats, around each of `times` (seconds): dry, in phase, band-limited.

        The note is moved to the nearest one whose period is a whole number of samples. A period is
        d <= 4 cycles of the note, for the smallest d with which every ratio heard times d is whole
        (within 3.5 cents, and then rendered as whole). Raises `ValueError` when there is none.
        """
        if self._renderer.name != "fm":
            raise ValueError(f"{self._renderer.name} patches have no period: only fm ones may have")
        values, cycles = _periodic(self._preset.values)
        period = round(cycles * self.rate / note.hz)
        number = A4_NUMBER + 12 * math.log2(cycles * self.rate / period / A4_HZ)
        dry = self._preset.model_copy(update={"values": values, "effects": (), "held": None})
        seconds = max(times) + 2 * period / self.rate
        x = effects.render(
            dry, note=number, velocity=note.velocity, seconds=seconds, rate=self.rate
        )[0].astype(np.float64)
        return [_cycle(x, round(t * self.rate), period, size).tobytes() for t in times]

    def noise(self, seconds: float) -> bytes:
        """The noise of a full FM voice at unit power, dry, unfiltered and steady: floats.

        It repeats without a seam after `seconds`. Raises `ValueError` for a voice without noise.
        """
        fm = self._renderer.name == "fm"
        moving = laws.voice(self._preset.values).movement if fm else None
        if moving is None or moving.noise_level <= 0.0:
            raise ValueError(f"preset {self._preset.name!r} has no noise")
        weights = noise.noise_weights(moving.noise_hz, moving.noise_width, self.rate)
        count, fade = round(seconds * self.rate), round(NOISE_FADE * self.rate)
        bands = noise.noise_bands(noise.BANDS, self.rate)[:, : count + fade]
        x = weights @ bands
        turn = 0.5 * np.pi * np.arange(fade) / fade  # what comes after the end fades into the start
        x[:fade] = x[:fade] * np.sin(turn) + x[count:] * np.cos(turn)
        return x[:count].astype("<f4").tobytes()

    def impulse(self, rate: int) -> bytes:
        """The impulse response dry + room of an impact preset at `rate`: floats, peak -1 dBFS; the
        left one where there are two.

        It lasts until the room stays 80 dB below its own peak, and 50 ms more, faded out.
        Raises `ValueError` for other renderers.
        """
        if self._renderer.name != "impact":
            raise ValueError(f"{self._renderer.name} patches have no space: only impact ones have")
        lay = impact.layout(self._renderer.params)
        u = from_values(self._renderer, self._preset.values)[None]
        o = impact.struck(lay, physical(lay.table, u), Note(self._preset.note), rate)
        seconds = 80 / 60 * T60 / float(o.band_decay.min()) + IMPULSE_FADE
        samples = round(min(seconds, LENGTHS[-1]) * rate)
        decay = o.band_decay / rate
        h = impact.room(o.band_gain, decay, o.band_hz, lay.bands, rate, samples, torch.float64)
        x, fade = h[0, 0].numpy(), round(IMPULSE_FADE * rate)
        end = np.flatnonzero(np.abs(x) > QUIET * np.abs(x).max())[-1] + 1
        x = x[: end + fade]
        x[end:] *= _fall(x.size - end)
        x[0] += float(o.dry)
        x *= IMPULSE_PEAK / np.abs(x).max()
        return x.astype("<f4").tobytes()

    def _audio(self, note: Note, seconds: float) -> Audio:
        """One note [C, T] float32, from memory when it was played lately."""
        key = (note, round(seconds * self.rate))
        if key not in self._kept:
            held = None if note.held == math.inf else note.held
            audio = effects.render(
                self._preset.model_copy(update={"held": held}),
                note=note.number,
                velocity=note.velocity,
                seconds=seconds,
                rate=self.rate,
            )
            while self._kept and sum(a.nbytes for a in self._kept.values()) > CACHE_BYTES:
                del self._kept[next(iter(self._kept))]  # the oldest
            self._kept[key] = audio
        return self._kept[key]

    def _length(self) -> float:
        """Seconds until the preset's own note stays 80 dB below its peak, at most 60."""
        # an echo may follow a silence as long as the delay; nobody knows a plugin's
        gaps = {"Delay": 0.5, "VST3": 2.0}
        chain = self._preset.effects
        gap = max((e.values.get("delay_seconds", gaps.get(e.kind, 0)) for e in chain), default=0)
        end = 0.0
        for length in LENGTHS:
            x = np.abs(self._audio(self._own, length)).max(0)
            loud = np.flatnonzero(x > QUIET * x.max())
            if loud.size == 0:
                raise ValueError(
                    f"preset {self._preset.name!r} is silent at note {self._preset.note:g}"
                )
            end = float(loud[-1] + 1) / self.rate
            if end + gap + 0.1 < length:
                break
        return end


def own_note(preset: Preset) -> Note:
    """The note of a preset as it sounds itself: a patch that holds lets its key go."""
    held = preset.held
    if held is None:
        holds = preset.renderer == "fm" and laws.holds(laws.voice(preset.values))
        held = preset.seconds if holds else math.inf
    return Note(preset.note, held=held)


def _periodic(values: dict[str, float]) -> tuple[dict[str, float], int]:
    """Values with ratios whole times 1/d, without pitch, LFO and noise; and d."""
    voice = laws.voice(values)
    weights = laws.importance(voice)
    names = [f"op{v}_ratio" for v, weight in enumerate(weights, 1) if weight > 0.0]
    d = laws.cycles(voice)
    if d is None:
        ratios = ", ".join(f"{values[n]:.4g}" for n in names)
        raise ValueError(
            "a period needs ratios that are whole when multiplied by 1, 2, 3 or 4, within 3.5"
            f" cents; the ratios are {ratios}"
        )
    whole = {name: round(values[name] * d) / d for name in names}
    still = [n for n in values if n.startswith("lfo_to_") or n.endswith("_detune")]
    still += [n for n in ("pitch_start", "noise_level") if n in values]
    return values | whole | dict.fromkeys(still, 0.0), d


# With x periodic, any P samples are the cycle. Where x swells or decays the cut would click, so two
# periods are faded into one another: c[n] = x[k - P + n] n/P + x[k + n] (1 - n/P), whose both ends
# are x[k]. Its harmonics are those of x around k seen through a triangle 2 P long. Rolling by k
# puts every cycle at the phase of sample 0, so that neighbours may be faded from one to the next.
def _cycle(x: NDArray[np.float64], k: int, period: int, size: int) -> Audio:
    """The period around sample k of x [T] at `size` samples, without the mean."""
    ramp = np.arange(period) / period
    padded = np.concatenate([np.zeros(period), x])  # before the note there is silence
    before, after = padded[k : k + period], padded[k + period : k + 2 * period]
    spectrum = np.fft.rfft(np.roll(before * ramp + after * (1 - ramp), k % period))
    spectrum[0] = 0.0
    partials = np.zeros(size // 2 + 1, dtype=complex)
    count = min(spectrum.size, partials.size) - 1  # neither Nyquist has a phase
    partials[:count] = spectrum[:count]
    return (np.fft.irfft(partials, size) * (size / period)).astype("<f4")


def _fall(count: int) -> NDArray[np.float64]:
    """Half a cosine from 1 to 0, `count` samples."""
    fall: NDArray[np.float64] = 0.5 + 0.5 * np.cos(np.pi * np.arange(1, count + 1) / count)
    return fall


def _interleave(audio: NDArray[np.generic]) -> bytes:
    return np.ascontiguousarray(audio.T).tobytes()
