"""What the processes say to each other: jobs, events, and how they travel.

- `base`: What jobs, events and cancellations have in common.
- `cluster_lines`: What an engine and the process that drives its cluster say to each other, a
  JSON line each.
- `events`: The events of a job: progress, the best result so far, and how it ended.
- `host_names`: The names of the hosts that finished stems can be placed in, without their
  adapters.
- `jobs`: The models of all jobs: what may be asked of the worker, field by field, and in which
  range.
- `kinds`: Every kind of job, a row each: its fields that name files, its faces, and who does it.
- `multitrack_jobs`: The models of jobs that make sound: clips of a prompt, stem sets, stems that go
  with others.
- `osc_wire`: OSC 1.0 datagrams to messages and back: python-osc's readers, without its traps.
- `patch_jobs`: The models of jobs about patches: design, render, export, vary, morph, edit.
- `patch_requests`: What is asked about patches and done at once: keep, change, put into slots,
  play, hear.
- `sampling_fields`: Fields that say how sounds are sampled and what of a recording is kept, by
  name.
- `stem_classes`: The four classes of stems that one model generates, accompanies and takes apart.
- `stem_requests`: What is asked about a finished stem set and done at once: put it on the tracks of
  a host.
- `worker_loop`: Run the worker's end of the pipe: jobs from stdin, events to stdout, cancelled in
  between.
"""
