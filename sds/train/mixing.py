"""Mixtures made while a network trains: clips cut, repeated or played as phrases, in rooms.

A source is one clip at some speed, a short one again and again, or several clips of one instrument
as a phrase (single notes are most of what instruments were recorded as, and nobody separates single
notes). Some sources get an equaliser curve or a room. A mixture is one to four sources of different
names, with prompts for some of them and for sounds that are not in it; sources without a prompt and
a noise floor are its rest.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sds.datasets.captions import PHRASES
from sds.separation.single_prompt_network import text_features
from sds.train.data import RATE, Clip, Corpus, class_weights
from sds.train.latents import RECORDINGS
from sds.train.sentence_table import sentence_table

PROMPTS = 5  # places for prompts of a mixture
COUNT = (0.06, 0.50, 0.28, 0.16)  # how often a mixture has 1, 2, 3 or 4 sources
ASKED_ALL = 0.65  # how often all of them have a prompt
ABSENT = (0.5, 0.35, 0.15)  # how often 0, 1 or 2 absent sounds have a prompt
BAND = 0.2  # share of mixtures of instruments alone
SAME_CLASS = 0.08  # share of sources whose class may be there already
LEVEL_DB, FARTHEST_DB = 4.0, 10.0  # spread of the sources' levels, and the most
GAIN_DB = (-12.0, 0.0)  # of the mixture's peak, from PEAK
PEAK = 0.5
SPEED = (0.85, 1.18)
SHORT, NOTE = 1.2, 4.5  # seconds below which a clip may come again, or be a note of a phrase
AGAIN, PHRASE = 0.6, 0.6  # how often it does
ROOM, EQUALISED, FLOOR = 0.25, 0.3, 0.3  # share of sources and of mixtures
ROOMS = 64
TRIES = 60  # to find a clip of another class
ALIKE, NEAR = 0.85, 0.5  # cosine of prompts that mean the same, or might
INSTRUMENTS = (
    "bass", "drum loop", "guitar", "piano", "electric piano", "organ", "saxophone", "brass",
    "flute", "bowed strings", "synth lead", "synth pad", "reed", "accordion", "mallet percussion",
    "bagpipes", "harpsichord", "plucked string", "singing",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mixed:
    """One mixture.

    - `sounds`: [PROMPTS + 1, T], what each prompt names, silent where it names nothing, and the
      rest; the mixture is their sum.
    - `text`: sentence vectors [PROMPTS, D]; `words`: [PROMPTS, n, D'], the features of
      `sds.separation.single_prompt_network`; `asked`: [PROMPTS], which places have a prompt;
      `there`: [PROMPTS], whose sound is in the mixture.
    """

    sounds: Tensor
    text: Tensor
    words: Tensor
    asked: Tensor
    there: Tensor


def names(clip: Clip) -> tuple[str, ...]:
    """All that a clip may be called: its captions, and what comes before their first comma."""
    heads = [caption.split(",")[0] for caption in clip.captions[:3]]
    return tuple(dict.fromkeys([*clip.captions, *heads, *PHRASES.get(clip.label, ())]))


class Mixer:
    """Draws clips of a corpus and mixes them, `frames` samples at a time."""

    def __init__(
        self, corpus: Corpus, *, frames: int, real: float, kept: Path | None = None
    ) -> None:
        """`real` is how many times as often as by its class a recording is drawn, `kept` a folder
        for what takes long to make.
        """
        self.corpus, self.frames = corpus, frames
        weights = class_weights(corpus.clips)
        weights *= [real if clip.part == RECORDINGS else 1.0 for clip in corpus.clips]
        self.weights = weights / weights.sum()
        band = weights * [clip.label in INSTRUMENTS for clip in corpus.clips]
        self.band = band / band.sum() if band.sum() else self.weights
        self.place, self.table = sentence_table(
            {text for clip in corpus.clips for text in names(clip)}, kept
        )
        self.groups: dict[tuple[str, str], list[Clip]] = defaultdict(list)
        for clip in corpus.clips:
            if clip.part == RECORDINGS and clip.frames < NOTE * RATE:
                self.groups[_instrument(clip)].append(clip)
        self.rooms = _rooms(np.random.default_rng(0))

    def draw(self, rng: np.random.Generator) -> Mixed:
        """Draw one mixture."""
        count = 1 + int(rng.choice(len(COUNT), p=COUNT))
        weights = self.band if rng.random() < BAND else self.weights
        clips, prompts = self._sources(count, weights, rng)
        count = len(clips)
        sounds = torch.stack([self._sound(clip, rng) for clip in clips])
        decibels = np.clip(rng.normal(0, LEVEL_DB, count), -FARTHEST_DB, FARTHEST_DB)
        sounds = sounds * torch.from_numpy(10 ** (decibels / 20)).float()[:, None]
        asked = count if rng.random() < ASKED_ALL else int(rng.integers(1, count + 1))
        absent = self._absent(int(rng.choice(len(ABSENT), p=ABSENT)), clips, rng)
        rest = sounds[asked:].sum(0)
        if rng.random() < FLOOR:
            rest = rest + 10 ** (rng.uniform(-55, -28) / 20) * _noise(self.frames, rng)
        texts = [*prompts[:asked], *absent][:PROMPTS]
        out = torch.zeros(PROMPTS + 1, self.frames)
        out[:asked], out[-1] = sounds[:asked], rest
        gain = PEAK * 10 ** (rng.uniform(*GAIN_DB) / 20) / float(out.sum(0).abs().max() + 1e-6)
        text = torch.zeros(PROMPTS, self.table.shape[1])
        text[: len(texts)] = self.table[[self.place[t] for t in texts]].float()
        words = text_features([*texts, *[""] * (PROMPTS - len(texts))])
        there = torch.arange(PROMPTS) < asked
        return Mixed(out * gain, text, words, torch.arange(PROMPTS) < len(texts), there)

    def _pick(self, weights: np.ndarray, rng: np.random.Generator) -> Clip:
        return self.corpus.clips[int(rng.choice(len(weights), p=weights))]

    def _sources(
        self, count: int, weights: np.ndarray, rng: np.random.Generator
    ) -> tuple[list[Clip], list[str]]:
        """Clips, as many as asked for where the corpus has so many classes, and a prompt for each
        that names none of the others.
        """
        clips: list[Clip] = []
        prompts: list[str] = []
        for _ in range(TRIES):
            if len(clips) == count:
                break
            clip = self._pick(weights, rng)
            taken = any(clip.label == other.label for other in clips)
            if taken and rng.random() > SAME_CLASS:
                continue
            choices = names(clip)
            prompt = choices[int(rng.integers(len(choices)))]
            if self._closest(prompt, prompts) < ALIKE:
                clips.append(clip)
                prompts.append(prompt)
        return clips, prompts

    def _closest(self, prompt: str, others: list[str]) -> float:
        """The greatest cosine of a prompt with the others; -1 where there are none."""
        if not others:
            return -1.0
        rows = self.table[[self.place[text] for text in others]].float()
        return float((rows @ self.table[self.place[prompt]].float()).max())

    def _absent(self, count: int, clips: list[Clip], rng: np.random.Generator) -> list[str]:
        """Prompts that name none of the clips, where the corpus has so many classes."""
        own = [text for clip in clips for text in names(clip)]
        labels = {clip.label for clip in clips}
        found: list[str] = []
        for _ in range(TRIES):
            if len(found) == count:
                break
            clip = self._pick(self.weights, rng)
            choices = names(clip)
            prompt = choices[int(rng.integers(len(choices)))]
            if clip.label not in labels and self._closest(prompt, [*own, *found]) < NEAR:
                found.append(prompt)
        return found

    def _sound(self, clip: Clip, rng: np.random.Generator) -> Tensor:
        """A source [frames] of unit power that begins with a clip."""
        group = self.groups.get(_instrument(clip), ()) if clip.part == RECORDINGS else ()
        if len(group) > 2 and clip.frames < NOTE * RATE and rng.random() < PHRASE:
            audio = self._phrase(clip, group, rng)
        else:
            audio = self._alone(clip, rng)
        if rng.random() < EQUALISED:
            audio = _equalised(audio, rng)
        if rng.random() < ROOM:
            audio = _convolved(audio, self.rooms[int(rng.integers(ROOMS))])
        return audio / audio.square().mean().sqrt().clamp_min(1e-4)

    def _alone(self, clip: Clip, rng: np.random.Generator) -> Tensor:
        """One clip [frames] at some speed: a short one anywhere, or repeated."""
        speed = float(rng.uniform(*SPEED))
        size = int(self.frames * speed)
        audio = self.corpus.crop(clip, min(size, clip.frames), rng)
        if len(audio) < min(size, SHORT * RATE) and rng.random() < AGAIN:
            gap = int(rng.uniform(0.02, 0.6) * RATE)
            audio = F.pad(audio, (0, gap)).repeat(-(-size // (len(audio) + gap)))[:size]
        if len(audio) < size:
            before = int(rng.integers(0, size - len(audio) + 1))
            audio = F.pad(audio, (before, size - len(audio) - before))
        return F.interpolate(audio[None, None], size=self.frames, mode="linear")[0, 0]

    def _phrase(self, clip: Clip, group: list[Clip], rng: np.random.Generator) -> Tensor:
        """Clips of one instrument [frames], one after the other or at once, on a beat."""
        out = torch.zeros(self.frames)
        beat = rng.uniform(0.1, 0.6) * RATE
        fade = int(0.02 * RATE)
        for index in range(int(rng.integers(2, 10))):
            note = clip if index == 0 else group[int(rng.integers(len(group)))]
            audio = self.corpus.audio(note)
            begin = int(rng.integers(0, max(1, int(self.frames / beat))) * beat)
            size = min(len(audio), self.frames - begin, int(beat * rng.integers(1, 9)))
            if size <= 2 * fade:
                continue
            part = audio[:size].clone()
            part[-fade:] *= torch.linspace(1, 0, fade)
            gain = 10 ** (rng.uniform(-8, 0) / 20) / float(part.abs().max() + 1e-3)
            out[begin : begin + size] += gain * part
        return out


def _instrument(clip: Clip) -> tuple[str, str]:
    """What single notes are played together: one folder's recordings of a class."""
    return "/".join(clip.origin.split("/")[:-1]), clip.label


def _noise(frames: int, rng: np.random.Generator) -> Tensor:
    """Noise [frames] of unit power whose level falls with frequency, by 0 to 6 dB an octave."""
    size = 1 << (frames - 1).bit_length()
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** rng.uniform(0, 1)
    audio = np.fft.irfft(spectrum)[:frames]
    return torch.from_numpy(audio / np.sqrt(np.mean(audio**2) + 1e-12)).float()


def _equalised(audio: Tensor, rng: np.random.Generator) -> Tensor:
    """Audio [T] with the level of its octaves changed by up to 6 dB, smoothly."""
    spectrum = torch.fft.rfft(audio)
    hertz = np.linspace(0, RATE / 2, len(spectrum))
    knots = rng.uniform(-6, 6, 9)
    curve = np.interp(np.log2(np.maximum(hertz, 40) / 40), np.arange(9), knots)
    gain = torch.from_numpy(10 ** (curve / 20)).float()
    out: Tensor = torch.fft.irfft(spectrum * gain, n=len(audio))
    return out


def _rooms(rng: np.random.Generator) -> list[Tensor]:
    """Impulse responses of rooms: the direct sound and noise that decays and darkens."""
    rooms = []
    for _ in range(ROOMS):
        t60 = float(np.exp(rng.uniform(np.log(0.15), np.log(1.8))))
        time = np.arange(int(min(t60, 1.0) * RATE)) / RATE
        bright, dark = rng.standard_normal((2, len(time)))
        dark = np.convolve(dark, np.ones(24) / 24**0.5, "same")
        tail = bright * 10 ** (-3 * time / (0.5 * t60)) + dark * 10 ** (-3 * time / t60)
        tail *= 1 - np.exp(-time / rng.uniform(0.002, 0.02))
        tail *= 10 ** (rng.uniform(-16, 0) / 20) / np.sqrt(np.sum(tail**2) + 1e-9)
        tail[0] = 1.0
        rooms.append(torch.from_numpy(tail).float())
    return rooms


def _convolved(audio: Tensor, response: Tensor) -> Tensor:
    """Audio [T] in a room, of the same length."""
    size = 1 << (len(audio) + len(response) - 2).bit_length()
    spectrum = torch.fft.rfft(audio, n=size) * torch.fft.rfft(response, n=size)
    out: Tensor = torch.fft.irfft(spectrum, n=size)[: len(audio)]
    return out
