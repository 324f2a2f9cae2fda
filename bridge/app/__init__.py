"""Whole programs of the light process: the server, `doctor`, jobs asked for by files.

- `doctor`: Check what a first job needs, and say what is missing and how to get it: `scorewire
  doctor`.
- `engines`: The engine that the settings name.
- `folder_requests`: Run a separation requested by files in a folder: for hosts whose scripts have
  no sockets.
- `handing_over`: Hand a job to the server that runs for the data folder, whose models are loaded,
  and follow it.
- `serve`: Run ledger, worker, OSC and HTTP in one process, until SIGINT or SIGTERM.
"""
