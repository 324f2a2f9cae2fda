"""The HTTP endpoint: jobs, their events and files, uploads, OSCQuery; in one loop with OSC.

- `access`: Who may ask: a plain ASGI wrapper around HTTP and websockets alike.
- `app`: What there is under which address: the table, and the application made of it.
- `blobs`: Uploaded sounds on disk, each under the SHA-256 of what is in it.
- `broadcast`: What the server tells everybody, heard once for all who look at it through
  OSCQuery.
- `events`: What happened to jobs, kept for those who ask late, and told as Server-Sent Events.
- `files`: The files of a job's result: those its result names, below its own folder, and no
  others.
- `jobs`: Jobs over HTTP: asked for, listed, looked at, cancelled.
- `journal`: The events of the latest jobs, kept for clients that connect late or again.
- `mdns`: Telling the network that we are here (mDNS), only when asked to, on one interface.
- `openapi`: The OpenAPI document of /v1, made from the table of addresses and the models of
  `bridge.protocol.jobs`.
- `oscquery`: The OSC addresses as an OSCQuery namespace (Vidvox proposal), made from the two
  tables.
- `oscquery_listen`: OSCQuery over HTTP, and its websocket: LISTEN and IGNORE as text, OSC
  messages as binary frames.
- `responses`: What every answer is made of: JSON, and one shape for whatever went wrong; and
  bodies.
- `server`: Uvicorn in the loop that OSC runs in, on the first free port, gone when the server
  goes.
- `state`: What all HTTP handlers share: the server, its event journal, uploads and the broadcast.
- `uploads`: Uploads over HTTP: HEAD says how much is here, PUT sends the whole or goes on with
  it.
"""
