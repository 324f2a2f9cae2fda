"""Processes of ours: how children are started, watched and told apart. Standard library only.

- `background_threads`: Work that blocks, beside the event loop, in threads that a process does
  not wait for at its end.
- `parent_watch`: Child processes that leave when the process which started them has died, also
  while they import.
- `process_identity`: Name a process so that no other ever has the name: id, start time and boot.
"""
