"""The commands of `scorewire`, a subject a file; `main` puts them together.

- `__main__`: `python -m bridge.cli`: what `scorewire` runs.
- `base`: What all commands share: their usual options, the run of a job, the way to show a
  result.
- `choices`: The names that help texts list, as literals: the tables they come from take long to
  load.
- `evaluate`: The scoreboard: eval.
- `hosts`: Stems onto the tracks of a DAW, and our scripts into it.
- `import_presets`: Files of other synths to preset files; what was lost is said voice by voice.
- `library`: `scorewire library`: keep presets, find them again, give them slots.
- `main`: `scorewire`: its commands, from `serve` to `library` (`bridge.cli`).
- `presets`: Prompts to patches, and what can be done with a patch: patch, render, edit, export .
- `record`: Audio in: record from JACK.
- `serve`: The server and what is around it: serve, play, doctor, jobs.
- `stems`: Tracks to stems: separate, and verify what came of it.
- `suggest`: What is in a track: suggest.
- `tables`: What people see in a terminal: progress with the time left, and a few lines at the
  end.
"""
