"""Whole programs of the light process: the server, `doctor`, jobs asked for by files.

- `doctor`: `scorewire doctor`: do what a first job needs, say what is missing and how to get it.
- `folder_requests`: A separation asked for by files in a folder: for hosts whose scripts have no
  sockets.
- `serve`: One process of ledger, worker, OSC and HTTP, until SIGINT or SIGTERM.
"""
