"""A burst of real datagrams: what the kernel gives is taken, in its order, within bounds."""

import asyncio
import contextlib
import logging
import socket

import pytest

from bridge.osc import datagrams
from bridge.osc.datagrams import DatagramQueue, bound


class Endpoint(asyncio.DatagramProtocol):
    """What asyncio calls; it hands all to the inbox."""

    def datagram_received(self, data, addr):
        self.inbox.put(data, addr)


async def received(count, *, size=8, wait=5.0, faulty=None):
    """What comes of `count` datagrams sent before the loop goes round; how often it does. At the
    number `faulty` the handler raises.
    """
    heard, rounds = [], 0

    def handle(data, _sender):
        if int(data) == faulty:
            raise KeyError("preset")
        heard.append(int(data))

    with contextlib.closing(bound("127.0.0.1", 0)) as own:
        loop = asyncio.get_running_loop()
        transport, endpoint = await loop.create_datagram_endpoint(Endpoint, sock=own)
        endpoint.inbox = DatagramQueue(own, handle)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(count):
                sender.sendto(b"%0*d" % (size, number), own.getsockname())
        end = loop.time() + wait
        while len(heard) < count - (faulty is not None) and loop.time() < end:
            await asyncio.sleep(0)
            rounds += 1
        transport.close()
        await asyncio.sleep(0)
    return heard, rounds


def test_all_that_the_kernel_holds_is_taken_at_once():
    heard, rounds = asyncio.run(received(200))
    assert heard == list(range(200))
    assert rounds < 100  # asyncio alone takes one a round


def test_a_fault_in_one_request_does_not_stop_the_others(caplog):
    heard, _ = asyncio.run(received(20, faulty=3))
    assert heard == [0, 1, 2, *range(4, 20)]
    assert "could not be handled" in caplog.text


def test_more_than_may_wait_is_dropped_and_said_once(monkeypatch, caplog):
    monkeypatch.setattr(datagrams, "MAX_WAITING", 50)
    with caplog.at_level(logging.WARNING):
        heard, _ = asyncio.run(received(200, wait=0.5))
    assert heard == list(range(50))
    assert [record.getMessage() for record in caplog.records] == ["dropped a datagram: 50 wait"]


def test_bytes_that_wait_are_bounded_too(monkeypatch):
    monkeypatch.setattr(datagrams, "MAX_BYTES", 1000)
    heard, _ = asyncio.run(received(50, size=100, wait=0.5))
    assert heard == list(range(10))


def test_a_taken_port_is_an_error_that_leaves_no_socket():
    with contextlib.closing(bound("127.0.0.1", 0)) as own:
        with pytest.raises(OSError, match="in use"):
            bound("127.0.0.1", own.getsockname()[1])
