"""What a server is made of: settings, the job ledger, a job's life, who may read and write where.

- `config`: The settings of one process: a frozen dataclass, from defaults, a TOML file and
  SCOREWIRE_*.
- `discovery`: The server that runs for a data folder: where it listens, for programs that would
  rather ask it.
- `file_access`: The files of a job, checked before the worker is asked: a sentence now beats a
  crash later.
- `job_server`: A job's life, top to bottom: accept -> ledger -> engine -> events -> ledger and
  faces.
- `language_model`: A language model that turns tags or a caption into prompts; off unless the
  settings name one.
- `ledger`: The job ledger: what was asked, by whom, how far it came, how it ended.
- `player_process`: The player process as the server sees it: commands answered, happenings told,
  slots put back.
- `rate_limited_log`: Log lines that others can cause: one a second for each source, with the
  number of the rest.
- `signals`: SIGINT and SIGTERM as an event, so that a server ends with its children.
"""
