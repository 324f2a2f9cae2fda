"""What a server is made of: settings, the job ledger, a job's life, who may read and write where.

- `choosing`: Choose among what a search found: keep a patch, or search around it, each by its
  number.
- `config`: Load the settings of a server from defaults, a TOML file and SCOREWIRE_* in the
  environment.
- `discovery`: Find the server that runs for a data folder, and ask it over HTTP.
- `file_access`: Check the files and folders of a job before it is queued.
- `job_server`: Accept jobs, run them on engines, record them in the ledger, pass their events on.
- `language_model`: Turn tags or a caption into prompts by a language model; off unless the
  settings name one.
- `ledger`: The job ledger: each job with its client, state, progress and result.
- `player_process`: Run the player process: send commands, pass on events, restart it and load its
  slots again.
- `previews`: Render presets at once, by a worker that does nothing else: never behind a job that
  takes long.
- `rate_limited_log`: Log lines that others can cause at most once a second a source, with the
  number of the rest.
- `signals`: Turn SIGINT and SIGTERM into an event, so that a server ends with its children.
"""
