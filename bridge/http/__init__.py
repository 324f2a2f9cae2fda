"""The HTTP endpoint: jobs, their events and files, uploads, OSCQuery; in one loop with OSC.

- `access`: Check Host, Origin and token of every request and websocket: a plain ASGI wrapper.
- `answers`: What the addresses of /v1 answer, field by field, for the OpenAPI document.
- `app`: The table of HTTP addresses, and the application made of it.
- `blobs`: Uploaded sounds on disk, each under the SHA-256 of what is in it.
- `broadcast`: Share one subscription to the server's messages among all websockets of OSCQuery.
- `events`: Stream the events of a job as Server-Sent Events, from any event on.
- `examination`: Run the examination of `scorewire doctor` for the panel: one at a time, its report
  kept.
- `files`: The files of a job's result: those its result names, below its own folder, and no
  others.
- `health`: Say over HTTP how this server is: processes and their memory, models, player, doctor,
  log.
- `jobs`: Create, list, show and cancel jobs over HTTP.
- `journal`: The events of the latest jobs, kept for clients that connect late or again.
- `library`: Find, keep, change, delete and export presets of the library over HTTP.
- `log_tail`: The newest lines of this process's log, kept for the panel.
- `mdns`: Announce the server on one network interface by mDNS, only when asked to.
- `openapi`: The OpenAPI document of /v1, made from the table of addresses, the models of
  `bridge.protocol.jobs` and those of `bridge.http.answers`.
- `oscquery`: The OSC addresses as an OSCQuery namespace (Vidvox proposal), made from the two
  tables.
- `oscquery_listen`: OSCQuery over HTTP, and its websocket: LISTEN and IGNORE as text, OSC
  messages as binary frames.
- `panel`: Serve the panel's static files under a strict policy, and let its page in by a one-time
  link.
- `patches`: Keep what a search found, and play what the library holds, over HTTP.
- `previews`: What the knobs of a preset are, and how it sounds right now, over HTTP.
- `responses`: Make JSON answers, one shape for all errors, and read bodies.
- `server`: Run uvicorn in the loop that OSC runs in, on the first free port, until the server
  ends.
- `sessions`: Let a browser in: one-time codes of links, and the cookie that stands for the token.
- `slots`: The slots of the library and of the player over HTTP: fill, empty, strike.
- `state`: The state that HTTP handlers share: the server, its event journal, uploads and the
  broadcast.
- `stem_sets`: What is done with a finished stem set: put it in a host, fetch its source, or all
  of it.
- `uploads`: Uploads over HTTP: HEAD says how much is here, PUT sends the whole or goes on with it,
  GET lists and fetches.
"""
