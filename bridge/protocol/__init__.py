"""What the processes say to each other: jobs, events, and how they travel.

- `base`: What jobs, events and cancellations have in common.
- `events`: What a worker says of a job: progress, the best result so far, and how it ended.
- `host_names`: The names of the hosts that finished stems can be placed in, without their
  adapters.
- `jobs`: Jobs and events: the words the bridge and the worker exchange, one JSON object a line.
- `kinds`: Every kind of job, a row each: its fields that name files, its faces, and who does it.
- `osc_wire`: OSC 1.0 datagrams to messages and back: python-osc's readers, without its traps.
- `worker_loop`: The worker's end of the pipe: jobs in from stdin, events out to stdout, cancel
  heard in between.
"""
