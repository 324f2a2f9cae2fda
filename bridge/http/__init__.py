"""The HTTP face: jobs, their events and files, uploads, and OSCQuery, beside OSC in one process.

`serving` opens the port, `access` stands at the door, `app` is the table of what there is;
`jobs`, `events`, `files` and `uploads` (over `blobs`) answer under /v1. `oscquery` describes the
OSC addresses, `listen` speaks over the websocket what `broadcast` heard, `announce` tells the
network.
"""
