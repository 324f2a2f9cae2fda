"""Checkpoints whose pickle is not trusted: tensors come out, nothing runs."""

import collections
import io
import os
import pickle
import zipfile

import pytest
import torch

from sds.priors.checkpoints import ModelUnavailable
from sds.priors.pickled_checkpoint import read_state_dict


class LogNormalDistribution:
    """What a released checkpoint has in its hyper-parameters."""

    def __init__(self, mean, std):
        self.mean, self.std = mean, std


class Calls:
    """A pickle of it calls `function` when it is opened."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def saved(path, content):
    torch.save(content, path)
    return path


def with_entry(source, target, name, data):
    """The archive with another entry `name`."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            is_it = entry.filename.endswith(name)
            new.writestr(entry.filename, data if is_it else old.read(entry))
    return target


def with_pickle(source, target, data):
    return with_entry(source, target, "/data.pkl", data)


def test_tensors_come_back_and_objects_do_not(tmp_path):
    shared = torch.arange(12.0)
    state = collections.OrderedDict(
        a=torch.randn(3, 4), view=shared.reshape(3, 4).T, same=shared[2:5],
        half=torch.ones(2, dtype=torch.float16), brain=torch.ones(2, dtype=torch.bfloat16),
        count=torch.tensor(7), nothing=torch.zeros(0, 3),
        parameter=torch.nn.Parameter(torch.ones(2)),
    )  # fmt: skip
    content = {
        "epoch": 419,
        "hyper_parameters": {"sigma": LogNormalDistribution(-3.0, 1.0), "lr": 1e-4},
        "state_dict": state,
        "optimizer_states": [],
    }
    found = read_state_dict(saved(tmp_path / "a.ckpt", content))
    assert list(found) == list(state)
    for name, value in state.items():
        assert torch.equal(found[name], value.data), name
        assert found[name].dtype == value.dtype
    assert found["view"].untyped_storage().data_ptr() == found["same"].untyped_storage().data_ptr()


def test_tensors_without_a_state_dict_around_them(tmp_path):
    found = read_state_dict(saved(tmp_path / "a.pt", {"w": torch.ones(2), "n": 3}))
    assert found["w"].tolist() == [1.0, 1.0]
    assert list(found) == ["w"]


@pytest.mark.parametrize("place", ["state_dict", "hyper_parameters", "whole"])
def test_nothing_that_a_pickle_calls_runs(tmp_path, place):
    mark = tmp_path / "it-ran"
    evil = [
        Calls(os.system, f"touch {mark}"),
        Calls(eval, f"open({str(mark)!r}, 'w')"),
        Calls(exec, f"open({str(mark)!r}, 'w')"),
        Calls(os.mkdir, str(mark)),
        Calls(getattr, "text", "upper"),
        Calls(pickle.loads, pickle.dumps(Calls(os.mkdir, str(mark)))),
    ]
    for i, call in enumerate(evil):
        content = {"state_dict": {"w": torch.ones(2)}, "hyper_parameters": {}}
        if place == "whole":
            content = call
        else:
            content[place]["x"] = call
        path = saved(tmp_path / f"{i}.ckpt", content)
        if place == "whole":
            with pytest.raises(ModelUnavailable, match="no tensors by name"):
                read_state_dict(path)
        else:
            assert list(read_state_dict(path)) == ["w"]
        assert not mark.exists()


def test_the_test_would_notice(tmp_path):
    mark = tmp_path / "it-ran"
    torch.load(saved(tmp_path / "a.ckpt", Calls(os.mkdir, str(mark))), weights_only=False)
    assert mark.exists()


def rebuilt(shape, strides, offset=0, length=4, key="0", kind=torch.FloatStorage):
    """A pickle of {"w": tensor} whose tensor is as said, whatever its storage is."""

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return ("storage", kind, key, "cpu", length) if isinstance(obj, Storage) else None

    file = io.BytesIO()
    call = Calls(torch._utils._rebuild_tensor_v2, Storage(), offset, shape, strides, False, {})
    Pickler(file, protocol=2).dump({"w": call})
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (rebuilt((2, 2), (2, 1)), None),
        (rebuilt((2, 2), (4, 1)), "a tensor is larger than its storage"),
        (rebuilt((5,), (1,)), "a tensor is larger than its storage"),
        (rebuilt((1 << 40,), (0,)), "a tensor is larger than its storage"),
        (rebuilt((2,), (1,), offset=3), "a tensor is larger than its storage"),
        (rebuilt((2,), (1,), offset=-1), "shape, strides and offset do not fit"),
        (rebuilt((2,), (-1,), offset=3), "no row of whole numbers"),
        (rebuilt((2,), (1, 1)), "shape, strides and offset do not fit"),
        (rebuilt([2], (1,)), "no row of whole numbers"),
        (rebuilt((2,), (1,), length=1 << 40), "storage 0 has 16 bytes"),
        (rebuilt((2,), (1,), kind=torch.DoubleStorage), "storage 0 has 16 bytes"),
        (rebuilt((2,), (1,), kind=dict), "a storage has no kind, name or length"),
        (rebuilt((2,), (1,), key="../../x"), "KeyError"),
        (b"\x80\x02" + pickle.LONG_BINPUT + b"\xff\xff\xff\xff.", "not written by Python"),
        (b"\x80\x02}" + pickle.LONG_BINPUT + b"\xff\xff\xff\x7f.", "not written by Python"),
        (b"\x80\x02(" * 1000, "damaged"),
        (b"", "damaged"),
        (pickle.dumps([1, 2]), "it holds no tensors by name"),
    ],
)
def test_a_pickle_that_torch_did_not_write(tmp_path, data, sentence):
    honest = saved(tmp_path / "honest.ckpt", {"w": torch.arange(4.0)})
    path = with_pickle(honest, tmp_path / "a.ckpt", data)
    if sentence is None:
        assert read_state_dict(path)["w"].tolist() == [[0.0, 1.0], [2.0, 3.0]]
        return
    with pytest.raises(ModelUnavailable, match=sentence) as refused:
        read_state_dict(path)
    assert str(refused.value).startswith(f"{path} is not a checkpoint of PyTorch")
    assert "\n" not in str(refused.value)


def test_a_tensor_cannot_be_changed_behind_its_check(tmp_path):
    """BUILD with a state would make torch set another shape: what stands for a tensor has none."""
    data = rebuilt((2, 2), (2, 1))
    assert data[-2:] == b"s."
    state = pickle.dumps((None, {"shape": (9, 9)}), protocol=2)[2:-1]
    honest = saved(tmp_path / "honest.ckpt", {"w": torch.arange(4.0)})
    path = with_pickle(honest, tmp_path / "a.ckpt", data[:-2] + state + b"bs.")
    with pytest.raises(ModelUnavailable, match="AttributeError"):
        read_state_dict(path)


def test_files_that_are_no_checkpoints(tmp_path):
    text = tmp_path / "a.ckpt"
    text.write_text("hello")
    with pytest.raises(ModelUnavailable, match=r"1\.6 or newer, which is a ZIP archive; where it"):
        read_state_dict(text)
    honest = saved(tmp_path / "honest.ckpt", {"w": torch.arange(4.0)})
    cut = tmp_path / "cut.ckpt"
    cut.write_bytes(honest.read_bytes()[:-40])
    with pytest.raises(ModelUnavailable):
        read_state_dict(cut)
    empty = tmp_path / "empty.ckpt"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("readme", "hello")
    with pytest.raises(ModelUnavailable, match=r"it has no data\.pkl"):
        read_state_dict(empty)
    small = tmp_path / "small.ckpt"
    with (
        zipfile.ZipFile(honest) as old,
        zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    with pytest.raises(ModelUnavailable, match="its entries are compressed"):
        read_state_dict(small)


def test_big_endian_numbers(tmp_path):
    honest = saved(tmp_path / "honest.ckpt", {"w": torch.arange(4.0)})
    path = with_entry(honest, tmp_path / "a.ckpt", "/byteorder", b"big")
    with pytest.raises(ModelUnavailable, match="big-endian"):
        read_state_dict(path)


def test_a_file_that_is_too_large(tmp_path):
    path = tmp_path / "a.ckpt"
    with path.open("wb") as file:
        file.truncate((8 << 30) + 1)  # sparse
    with pytest.raises(ModelUnavailable, match="larger than 8 GB"):
        read_state_dict(path)
