"""The real-time voice without an instrument: notes, blocks, one output."""

import numpy as np

from presets import Note
from renderers import voice, voice_state

RATE = 48000
MIDDLE_C = Note(60)


class Player:
    """Voices, hands and a store, played block by block as the instrument does."""

    def __init__(self, store=(0.0,) * 4):
        self.voices, self.hands = voice_state.voices(128), voice_state.hands(129)
        self.store = np.array(store, np.float32)

    def fm(self, patch, note=MIDDLE_C, *, slot=1, key=0, wait=0, limit=64, noise=-1):
        voice.start(
            self.voices, self.hands, patch, limit, noise, note.hz, note.gain, float(RATE),
            0, slot, key, round(note.number), wait,
        )  # fmt: skip

    def sample(self, count, *, step=1.0, rise=0.0, wait=0):
        voice.start_sample(
            self.voices, self.hands, 64, 0, count, step, 1.0, rise, float(RATE), 0, 1, 0, 60, wait
        )

    def play(self, samples, block=128):
        out = np.zeros((2, samples))
        y, scratch = np.zeros(8192), voice_state.scratch()
        for n in range(0, samples, block):
            view = out[:, n : n + block]
            self.sounding = voice.advance(
                self.voices, self.hands, self.store, float(RATE), view, y[: view.shape[1]], scratch
            )
        return out[0]
