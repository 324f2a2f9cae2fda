"""Announce the server on one network interface by mDNS, only when asked to."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from zeroconf import ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from bridge.service.config import Config

OSCQUERY, OSC = "_oscjson._tcp.local.", "_osc._udp.local."


def services(config: Config, *, osc: int, http: int) -> tuple[ServiceInfo, ...]:
    """OSCQuery where HTTP listens; OSC too when it listens at the same address."""
    name = f"Scorewire {socket.gethostname().partition('.')[0]} {http}"
    kinds = [(OSCQUERY, http)] + ([(OSC, osc)] if config.osc_host == config.http_host else [])
    address = ipaddress.ip_address(config.http_host).packed
    host = f"scorewire-{http}.local."
    return tuple(
        ServiceInfo(kind, f"{name}.{kind}", port=port, addresses=[address], server=host)
        for kind, port in kinds
    )


@asynccontextmanager
async def mdns_service(config: Config, *, osc: int, http: int) -> AsyncIterator[None]:
    """Be found while inside. A name that is taken gets a number.

    Raises `ValueError` when HTTP listens on every interface: one must be chosen.
    """
    if ipaddress.ip_address(config.http_host).is_unspecified:
        raise ValueError(f"to announce, set http_host to one address, not {config.http_host}")
    network = AsyncZeroconf(interfaces=[config.http_host])
    try:
        for service in services(config, osc=osc, http=http):
            await (await network.async_register_service(service, allow_name_change=True))
        yield
    finally:
        await network.async_unregister_all_services()
        await network.async_close()
