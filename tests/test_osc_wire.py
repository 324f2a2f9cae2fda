"""Datagrams as common clients send them, byte for byte; `test_osc` has those that are refused."""

import struct

import pytest

from bridge.protocol.osc_wire import Malformed, Message, TooMuch, decode, decode_each

PING = b"/scorewire/ping\0"
ONE = PING + b",i\0\0\0\0\0\1"


def bundle(*elements):
    parts = b"".join(struct.pack(">i", len(part)) + part for part in elements)
    return b"#bundle\0" + struct.pack(">Q", 1) + parts


@pytest.mark.parametrize(
    ("tags", "data", "args"),
    [
        (b",[i]\0\0\0\0", b"\0\0\0\1", (1,)),
        (b",i[]\0\0\0\0", b"\0\0\0\1", (1,)),
        (b",i[s[f]]\0\0\0\0", b"\0\0\0\1abc\0\x3f\0\0\0", (1, "abc", 0.5)),
        (b",S\0\0", b"abc\0", ("abc",)),
        (b",iSN\0\0\0\0", b"\0\0\0\1abc\0", (1, "abc", None)),
        (b",TFN\0\0\0\0", b"", (True, False, None)),
        (b",hd\0", struct.pack(">qd", -(2**40), 1.5), (-(2**40), 1.5)),
    ],
)
def test_types_as_clients_send_them(tags, data, args):
    assert decode(PING + tags + data) == (Message("/scorewire/ping", args),)


@pytest.mark.parametrize(("tags", "words"), [(b",i]\0", "not opened"), (b",[i\0", "not closed")])
def test_arrays_are_balanced(tags, words):
    with pytest.raises(Malformed, match=words):
        decode(PING + tags + b"\0\0\0\1")


def test_a_bad_element_of_a_bundle_leaves_the_others():
    one = Message("/scorewire/ping", (1,))
    first, second, third = decode_each(bundle(ONE, b"junk", ONE))
    assert (first, third) == (one, one)
    assert isinstance(second, Malformed)
    with pytest.raises(Malformed):
        decode(bundle(ONE, b"junk"))
    broken = bundle(ONE) + struct.pack(">i", 400)  # where it ends is not known
    first, second = decode_each(broken)
    assert (first, type(second)) == (one, Malformed)


def test_elements_of_size_0_are_none():
    assert decode_each(bundle(b"", ONE, b"")) == (Message("/scorewire/ping", (1,)),)
    assert decode_each(bundle()) == ()


def test_beyond_the_limits_nothing_is_read():
    deep = ONE
    for _ in range(5):
        deep = bundle(ONE, deep)
    for data in (deep, bundle(*[ONE] * 65), bundle(*[b"junk"] * 65)):
        with pytest.raises(TooMuch):
            decode_each(data)
    assert len(decode_each(bundle(*[ONE] * 64))) == 64
