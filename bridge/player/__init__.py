"""The player process: slots that play presets from MIDI, from OSC and from lines of JSON.

- `__main__`: The live player: `python -m bridge.player [--output auto|jack|portaudio|offline]
  ...`.
- `audio_outputs`: Where the sound goes and the MIDI comes from: JACK, PortAudio with RtMidi, or a
  file.
- `instrument`: Slots, notes and effects to blocks of audio: what an audio callback calls.
- `loading`: A preset made ready to play: limits applied, effects built, off the audio thread.
- `macros`: The six knobs that every patch has, and the MIDI controllers that move them.
- `midi`: MIDI bytes to what an instrument does: notes, programs, controllers, clock.
- `options`: The command line of the player process.
- `player`: The player: slots, audio and MIDI devices, and the lines that steer them.
- `prerender`: Notes to samples, for sounds that cannot be made in time: `python -m
  bridge.player.prerender`.
- `protocol`: What goes into and comes out of the player: one JSON object a line, told apart by
  `kind`.
- `sampler`: Sounds that cannot be made in time: a child renders notes, a store keeps them, none
  waits.
- `thread_priority`: Every thread of the player before other programs, where the system allows it.
"""
