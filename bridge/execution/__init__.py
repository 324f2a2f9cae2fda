"""Where jobs run: engines, each a process or several, supervised.

- `base`: Where jobs run: `local` is a supervised worker process on this machine, `recording`
  JACK.
- `child_process`: A child process that speaks in lines: stdin and stdout for the protocol, stderr
  for the log.
- `local`: One supervised worker process on this machine: JSON lines in, JSON lines out, files by
  path.
- `recording`: Run recordings, each in a process of its own, at once, beside whatever a worker
  does.
"""
