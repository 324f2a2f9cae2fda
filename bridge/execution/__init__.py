"""Where jobs run: engines, each a process or several, supervised.

- `base`: Where jobs run: `local` is a supervised worker process on this machine, `ray` the
  machines of a cluster, `recording` JACK.
- `child_process`: A child process that speaks in lines: stdin and stdout for the protocol, stderr
  for the log.
- `fair_queue`: A queue that takes from its clients in turn: who asks for much keeps nobody
  waiting.
- `local`: One supervised worker process on this machine: JSON lines in, JSON lines out, files by
  path.
- `ray`: Jobs on the machines of a Ray cluster, by a driver process that speaks JSON lines.
- `recording`: Run recordings, each in a process of its own, at once, beside whatever a worker
  does.
- `ticket`: A job on its way through an engine.
"""
