"""Processes of ours: how children are started, watched and told apart. Standard library only.

- `background_threads`: Work that blocks, beside the event loop, in threads that a process does
  not wait for at its end.
- `parent_watch`: Child processes that leave when the process which started them has died, also
  while they import.
- `process_identity`: Which process is it: a name that no other process has had or will have,
  while this one lives.
"""
