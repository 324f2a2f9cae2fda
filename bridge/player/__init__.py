"""The player process: slots that play presets from MIDI, from OSC and from lines of JSON.

- `__main__`: The live player: `python -m bridge.player [--output auto|jack|portaudio|offline]
  ...`.
- `audio_outputs`: Where the sound goes and the MIDI comes from: JACK, PortAudio with RtMidi, or a
  file.
- `device`: Open the audio and MIDI device by its name, notice when it vanishes, and open it again.
- `instrument`: Slots, notes and effects to blocks of audio: what an audio callback calls.
- `loading`: A preset made ready to play: limits applied, effects built, off the audio thread.
- `macros`: The six knobs that every patch has, and the MIDI controllers that move them.
- `midi`: MIDI bytes to what an instrument does: notes, programs, controllers, clock.
- `options`: The command line of the player process.
- `player`: Take a player's lines: steer slots, notes and devices, and answer each command.
- `prerender`: Notes to samples, for sounds that cannot be made in time: `python -m
  bridge.player.prerender`.
- `protocol`: What goes into and comes out of the player: one JSON object a line, told apart by
  `kind`.
- `sampler`: Sounds that cannot be made in time: a child renders notes, a store keeps them, none
  waits.
- `slots`: Load presets into slots, build their sounds off the audio thread, free what nothing
  plays.
- `thread_priority`: Every thread of the player before other programs, where the system allows it.
"""
