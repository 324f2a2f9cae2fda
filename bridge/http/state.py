"""The state that HTTP handlers share: the server, its event journal, uploads and the broadcast."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from bridge.http.blobs import Blobs
from bridge.http.broadcast import Broadcast
from bridge.http.examination import Examination
from bridge.http.journal import Journal
from bridge.http.log_tail import LogTail
from bridge.http.sessions import LoginCodes
from bridge.osc.endpoint import OscEndpoint
from bridge.protocol.kinds import files_read
from bridge.service.job_server import Server
from bridge.service.rate_limited_log import RateLimitedLog

log = logging.getLogger(__name__)

HEARTBEAT = 10.0  # seconds of silence in an event stream


@dataclass(frozen=True, slots=True)
class HttpState:
    """What the handlers share."""

    osc: OscEndpoint
    blobs: Blobs
    token: bytes
    examination: Examination
    heartbeat: float = HEARTBEAT
    journal: Journal = field(default_factory=Journal)
    broadcast: Broadcast = field(default_factory=Broadcast)
    codes: LoginCodes = field(default_factory=LoginCodes)
    log_tail: LogTail = field(default_factory=LogTail)
    began: float = field(default_factory=time.time)
    refusals: RateLimitedLog = field(default_factory=lambda: RateLimitedLog(log))

    @property
    def server(self) -> Server:
        """The job server."""
        return self.osc.server

    def files_in_use(self) -> tuple[str, ...]:
        """What jobs that wait or run read."""
        store, most = self.server.store, self.server.config.queue
        live = [*store.list(limit=most, state="queued"), *store.list(limit=most, state="running")]
        return tuple(path for entry in live for _, path in files_read(entry.job))
