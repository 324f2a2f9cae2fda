"""The player process: slots that play presets from MIDI, from OSC and from lines of JSON.

- `__main__`: The live player: `python -m bridge.player [--output auto|jack|portaudio|offline]
  ...`.
- `audio_outputs`: Audio outputs with their MIDI inputs: JACK, PortAudio with RtMidi, or a file.
- `device`: Open the audio and MIDI device by its name, notice when it vanishes, and open it
  again.
- `instrument`: Render slots, notes and effects to blocks of audio: what an audio callback calls.
- `loading`: Make a preset ready to play: apply limits, build effects, off the audio thread.
- `macros`: The six macro knobs of every patch, and the MIDI controllers that move them.
- `midi`: Turn MIDI bytes into an instrument's notes, programs, controllers, clock.
- `options`: Parse the command line of the player process.
- `player`: Take a player's lines: steer slots, notes and devices, and answer each command.
- `prerender`: Render notes that cannot be rendered in real time: `python -m
  bridge.player.prerender`.
- `protocol`: The commands and events of the player: one JSON object a line, distinguished by
  `kind`.
- `sampler`: Sample sounds that cannot be rendered in real time: a child renders notes, a store
  keeps them.
- `slots`: Load presets into slots, build their sounds off the audio thread, free what nothing
  plays.
- `thread_priority`: Run every thread of the player in real time, where the system allows it.
"""
