"""Subscriptions to the events of all jobs and of the player, each for a limited time.

Several controllers work beside one another: replies go to whoever asked, news to all who have a
lease. A lease that is not renewed ends by itself, so one that was switched off is forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from functools import partial

from bridge.osc import player_requests
from bridge.osc.addresses import Call, Refused, Target
from bridge.osc.endpoint import OscEndpoint

TOPICS = ("jobs", "play")
MAX_LEASES = 32
MAX_LEASE = 3600.0  # seconds


class Subscriptions:
    """The subscribers of one endpoint, by their reply address."""

    def __init__(self, endpoint: OscEndpoint) -> None:
        self._endpoint = endpoint
        self._ends: dict[Target, asyncio.TimerHandle] = {}
        self._trusted: set[Target] = set()  # those of them that gave the key: counted apart

    def take(self, call: Call) -> None:
        """Begin, renew (with 0 seconds end) the lease of whoever calls."""
        seconds, topics = call.values["seconds"], _topics(call)
        if not 0 <= seconds <= MAX_LEASE:
            raise Refused("bad-arguments", f"seconds must be 0 .. {MAX_LEASE:g}, got {seconds:g}")
        trusted = self._endpoint.trusts(call)
        others = self._trusted if trusted else self._ends.keys() - self._trusted
        if call.target not in self._ends and len(others) >= MAX_LEASES:
            raise Refused("queue-full", f"{MAX_LEASES} clients have subscribed already")
        self._end(call.target)
        if seconds > 0:
            if trusted:
                self._trusted.add(call.target)
            loop = asyncio.get_running_loop()
            lapse = partial(self._lapse, call.target, call.req)
            self._ends[call.target] = loop.call_later(seconds, lapse)
            self.follow(call.target, call.req, topics)
        self._endpoint.send(call.target, "/scorewire/ok", call.req)

    def follow(self, target: Target, req: int, topics: Collection[str] = TOPICS) -> None:
        """Tell `target` the news of these topics under `req`, until `leave`."""
        server = self._endpoint.server
        if "jobs" in topics:
            server.listen(None, target, self._endpoint.follower(target, req))
        if "play" in topics and server.player is not None:
            server.player.listen(
                target, partial(player_requests.send_player_event, self._endpoint, target, req)
            )

    def leave(self, target: Target) -> None:
        """Undo `follow`."""
        self._endpoint.server.ignore(None, target)
        if self._endpoint.server.player is not None:
            self._endpoint.server.player.ignore(target)

    def close(self) -> None:
        """End all of them, without a word."""
        for target in list(self._ends):
            self._end(target)

    def _end(self, target: Target) -> None:
        handle = self._ends.pop(target, None)
        self._trusted.discard(target)
        if handle is not None:
            handle.cancel()
            self.leave(target)

    def _lapse(self, target: Target, req: int) -> None:
        self._end(target)
        self._endpoint.send(target, "/scorewire/lapsed", req)


def _topics(call: Call) -> tuple[str, ...]:
    wanted = call.options.get("topics", ",".join(TOPICS)).split(",")
    unknown = [topic for topic in wanted if topic not in TOPICS]
    if unknown:
        raise Refused("bad-arguments", f"topics are {', '.join(TOPICS)}, got {unknown[0]!r:.60}")
    return tuple(wanted)
