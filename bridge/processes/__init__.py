"""Processes of ours: how children are started, watched and told apart. Standard library only.

- `process_identity`: Which process is it: a name that no other process has had or will have,
  while this one lives.
"""
