"""The live instrument: slots that play presets from MIDI, from OSC and from lines of JSON.

- `live.lines`: every line that goes into and comes out of `python -m bridge.player`.
- `live.macros`: the six knobs that every patch has, and the MIDI controllers that move them.
- `live.instrument`: slots, notes and effects to blocks of audio; what an audio callback calls.
- `live.midi`: MIDI bytes to notes, programs, controllers, with soft take-over and learning.
- `live.sampler`: sounds that cannot be made in time, rendered by a child and kept in memory.
- `live.prerender`: that child, run with -m; the only one here that loads torch.
- `live.outputs`: JACK, PortAudio, and an offline driver with exact time.
- `live.priority`: its threads before other programs.

Only `lines` and `macros` are for the bridge's light process; the rest belongs to the player.
"""
