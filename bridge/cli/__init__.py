"""The commands of `scorewire`, a subject a file; `main` puts them together.

- `__main__`: `python -m bridge.cli`: what `scorewire` runs.
- `base`: Options that commands share, running a job, and showing its result.
- `choices`: The names that help texts list, as literals: the tables they come from take long to
  load.
- `convert`: Convert released checkpoints to safetensors.
- `copycheck`: Find the training recordings that sounds are nearest to.
- `evaluate`: The scoreboard: eval.
- `generate`: Generate sounds and stem sets by prompts, and stems that go with given ones.
- `hosts`: Put stems on the tracks of a DAW, and install our scripts in it.
- `import_presets`: Import files of other synths as preset files, and list what each voice lost.
- `library`: `scorewire library`: keep presets, find them again, give them slots.
- `main`: `scorewire`: its commands, from `serve` to `library` (`bridge.cli`).
- `presets`: Make patches from prompts, and work with patches: patch, render, edit, export .
- `record`: Record audio from JACK.
- `serve`: Run and inspect the server: serve, panel, play, doctor, jobs.
- `stems`: Separate tracks into stems, and verify that stems add up.
- `suggest`: Suggest prompts for a track.
- `tables`: Format progress with the time left, and results as a few lines, for a terminal.
"""
