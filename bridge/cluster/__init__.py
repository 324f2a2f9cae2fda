"""Run jobs on the machines of a Ray cluster: `python -m bridge.cluster`, started by an engine.

- `__main__`: `python -m bridge.cluster`: jobs from stdin to a Ray cluster, events to stdout.
- `dispatch`: Hand jobs to workers, whole or in parts, and once more when a machine dies.
- `driver`: Connect to a cluster, and do what lines ask for until they end.
- `landing`: Put files that come from other machines where the job would have written them.
- `parcels`: Files on their way to another machine and back, by content, in pieces.
- `worker_host`: The Ray actor: one worker process on its machine, and the files it reads and
  writes.
"""
