"""Files on their way to another machine and back."""

import asyncio

import pytest

from bridge.cluster import parcels
from bridge.cluster.parcels import Parcel, Store, pack, read_pieces


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(parcels, "PIECE", 4)


async def taken(reference):
    """Ray's references are awaited; here they are the bytes."""
    return reference


def unpack(store, parcel, place):
    asyncio.run(store.unpack(parcel, place, taken))


@pytest.mark.parametrize("data", [b"", b"abc", b"abcd", b"abcdefghi"])
def test_a_file_arrives_as_it_was(tmp_path, data):
    file, place = tmp_path / "a.wav", tmp_path / "there" / "below" / "a.wav"
    file.write_bytes(data)
    pieces = list(read_pieces(file))
    assert b"".join(piece for piece, _ in pieces) == data
    assert [last for _, last in pieces] == [False] * (len(pieces) - 1) + [True]
    assert all(len(piece) <= 4 for piece, _ in pieces)
    unpack(Store(tmp_path / "store"), pack(file, bytes), place)
    assert place.read_bytes() == data


def test_what_is_kept_does_not_travel_again_and_the_oldest_goes(tmp_path):
    store, asked = Store(tmp_path / "store", limit=10), []
    files = [tmp_path / name for name in "abc"]
    for file in files:
        file.write_bytes(file.name.encode() * 4)

    def put(data):
        asked.append(data)
        return data

    sent = [pack(file, put, keep=True) for file in files]
    for number, parcel in enumerate((*sent, sent[1], sent[2])):
        empty = Parcel(parcel.path, parcel.sha256, [], keep=True) if number > 2 else parcel
        unpack(store, empty, tmp_path / "out" / str(number))
    assert [(tmp_path / "out" / str(n)).read_bytes() for n in range(5)] == [
        b"aaaa", b"bbbb", b"cccc", b"bbbb", b"cccc",
    ]  # fmt: skip
    assert sorted(p.name for p in (tmp_path / "store").iterdir()) == sorted(
        parcel.sha256 for parcel in sent[1:]
    )


def test_what_comes_damaged_is_refused(tmp_path):
    file = tmp_path / "a.wav"
    file.write_bytes(b"abcdef")
    sent = pack(file, bytes)
    broken = Parcel(sent.path, sent.sha256, [b"abcd", b"eX"], keep=False)
    with pytest.raises(ValueError, match=r"a\.wav came damaged to this machine"):
        unpack(Store(tmp_path / "store"), broken, tmp_path / "there")
    assert not (tmp_path / "there").exists()
    assert list((tmp_path / "store").iterdir()) == []
