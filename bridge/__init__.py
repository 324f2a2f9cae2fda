"""Beside the DAW: a light process that speaks OSC and HTTP with jobs for a worker. No torch.

- `app`: Whole programs of the light process: the server, `doctor`, jobs asked for by files.
- `cli`: The commands of `scorewire`, a subject a file; `main` puts them together.
- `cluster`: Run jobs on the machines of a Ray cluster: `python -m bridge.cluster`, started by an
  engine.
- `execution`: Where jobs run: engines, each a process or several, supervised.
- `files`: Files as the light process reads and writes them: WAV, names, results that appear
  whole.
- `hosts`: How stems come back into a DAW: HOSTS, the literal table; one host a file.
- `http`: The HTTP endpoint: jobs, their events and files, uploads, OSCQuery; in one loop with
  OSC.
- `osc`: The OSC endpoint: the table of addresses, and an answer to each.
- `player`: The player process: slots that play presets from MIDI, from OSC and from lines of
  JSON.
- `processes`: Processes of ours: how children are started, watched and told apart. Standard
  library only.
- `protocol`: What the processes say to each other: jobs, events, and how they travel.
- `service`: What a server is made of: settings, the job ledger, a job's life, who may read and
  write where.
- `stems`: Stem sets: the manifest, the null test, what a stem's file says of itself.
- `worker`: THE SEAM: the one process where presets, renderers and priors meet.
- `recorder`: Record what plays on a JACK server into a WAV, in a process of its own.
"""
