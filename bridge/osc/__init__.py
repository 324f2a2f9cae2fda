"""The OSC endpoint: the table of addresses, and an answer to each.

- `addresses`: Every OSC address with its arguments, in two tables, and how a message is read by
  them.
- `datagrams`: Take datagrams from the kernel as fast as they come, and handle them one after
  another.
- `endpoint`: The OSC endpoint: UDP on loopback, replies to the sender, the request id echoed
  first.
- `host_requests`: Answer the OSC requests of a running DAW's own scripts.
- `player_requests`: Answer OSC requests for slots and knobs, and send the player's own events.
- `requests`: Turn OSC requests into jobs: the table of handlers, one function an address.
- `subscriptions`: Subscriptions to the events of all jobs and of the player, each for a limited
  time.
"""
