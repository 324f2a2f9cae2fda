"""The OSC endpoint: the table of addresses, and an answer to each.

- `addresses`: Every OSC address with its arguments, in two tables, and how a message is read by
  them.
- `datagrams`: Datagrams taken from the kernel as fast as they come, and handled one after
  another.
- `endpoint`: The OSC face: UDP on loopback, replies to whoever asked, the request id echoed
  first.
- `host_requests`: The OSC answers for hosts that run: what a DAW's own script asks for, and how
  it is told.
- `player_requests`: The OSC answers of a server that plays: slots, knobs and the player's own
  news.
- `requests`: OSC requests to jobs: the table of answers, one function an address.
- `subscriptions`: Who is told what happens to everybody's jobs and in the player: each for a
  time, then no more.
"""
