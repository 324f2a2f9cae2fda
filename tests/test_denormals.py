"""Short decays over 10 s hold no denormal number; every process that computes counts them as 0."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import renderers
from bench import stage
from presets import Note
from renderers import fm, impact, kernels, voice, voice_patch, voice_state
from renderers.base import Renderer
from renderers.noise import noise_bands
from renderers.reverberation import reverberation
from tests.peers import peer

ROOT = Path(__file__).parents[1]
RATE = 44100


def denormal(*arrays: Tensor | np.ndarray | None) -> int:
    """How many numbers lie strictly between 0 and the smallest normal one of their type."""
    sizes = [np.abs(np.asarray(each)) for each in arrays if each is not None]
    assert len(sizes) == len(arrays)
    return sum(int(((x > 0) & (x < np.finfo(x.dtype).tiny)).sum()) for x in sizes)


def short(renderer: Renderer, dtype: torch.dtype) -> Tensor:
    """A patch whose decays are all as short as their knobs go, everything else in the middle."""
    values = renderers.to_values(renderer, torch.full((len(renderer.params),), 0.5).double())
    for p in renderer.params:
        if "decay" in p.name or p.name == "ring":
            values[p.name] = p.low
    return renderers.from_values(renderer, values)[None].to(dtype).requires_grad_()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("renderer", [fm.renderer(), fm.renderer(matrix="free"), impact.renderer()])
def test_ten_seconds_of_short_decays_hold_no_denormal(
    renderer: Renderer, dtype: torch.dtype
) -> None:
    u = short(renderer, dtype)
    audio = renderer.render(u, Note(60), RATE, 10 * RATE)
    audio.square().mean().backward()
    assert denormal(audio.detach(), u.grad) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_bank_of_short_modes_holds_no_denormal(dtype: torch.dtype) -> None:
    """The tables of its product, too: they are what it is slow on."""
    modes = torch.linspace(0.0, 1.0, 64, dtype=torch.float64)[None]
    leaves = [(0.001 + 0.4 * modes), 10.0 ** (-3.0 + 1.8 * modes), 1e-4 + modes]
    for leaf in leaves:
        leaf.requires_grad_()
    audio = impact.modal_bank(*leaves, 10 * RATE, dtype)
    node: Any = audio.grad_fn
    assert denormal(audio.detach(), *(t.detach() for t in node.saved_tensors)) == 0
    audio.square().mean().backward()
    assert denormal(*(leaf.grad for leaf in leaves)) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_short_room_holds_no_denormal(dtype: torch.dtype) -> None:
    decay = torch.logspace(-2.5, -1.5, 8, dtype=torch.float64)[None].requires_grad_()
    gain = torch.full((1, 8), 1e-4, dtype=torch.float64).requires_grad_()
    noise = noise_bands(8, RATE)
    audio = reverberation(gain, decay, noise, 10 * RATE, dtype)
    audio.square().mean().backward()
    assert denormal(audio.detach(), decay.grad, gain.grad) == 0


@pytest.mark.parametrize("decay", [0.02, 0.004, 0.0014, 1e-5])
def test_an_envelope_holds_no_denormal(decay: float) -> None:
    """exp(-r / d^2) falls by 1 / d nepers until r = d: below 1.4 ms it leaves double precision."""
    table, outputs = np.empty(kernels.BLOCK), np.empty((3, kernels.BLOCK))
    kernels.powers(RATE, decay, table)
    found = denormal(table)
    for start in range(0, 10 * kernels.BLOCK, kernels.BLOCK):
        kernels.envelope(outputs[0], start, RATE, 0.001, decay, table)
        found += denormal(outputs[0])
        kernels.envelope_slopes(*outputs, start, RATE, 0.001, decay, table)
        found += denormal(outputs)
    assert found == 0


@pytest.mark.parametrize("decay", [0.02, 0.0014])
def test_a_voice_that_fades_holds_no_denormal(decay: float) -> None:
    """One operator falls fast, one lasts: 10 s of blocks of the state and of what is heard."""
    values = {"level": 1.0, "op2_from_op1": 1.0, "op1_from_op1": 0.3, "op2_from_op2": 0.0}
    for v, fall in ((1, decay), (2, 10.0)):
        values |= {f"op{v}_ratio": float(v), f"op{v}_attack": 0.001, f"op{v}_decay": fall}
        values |= {f"op{v}_mix": 1.0}
    V, H, rate = voice_state.voices(2), voice_state.hands(1), float(RATE)
    voice.start(V, H, voice_patch.patch(values), 2, -1, 220.0, 1.0, rate, 0, 0, 0, 60, 0)
    out = np.empty((2, 1024))[:, :512]  # types are the player's: nothing is compiled again
    y, scratch = np.empty(512), voice_state.scratch()
    heard, found = np.empty(512, np.float32), 0
    for block in range(10 * RATE // 512):
        if block == 100:  # another note falls silent beside it
            voice.release(V, voice.ANY, voice.ANY, voice.ANY, False, 0)
        out[:] = 0.0
        voice.advance(V, H, np.zeros(1, np.float32), rate, out, y, scratch)
        voice.clean(out[0], heard)
        found += denormal(heard, V.u, V.loud, V.fade, V.table)
    assert found == 0


def test_what_is_cut_is_below_what_the_precision_holds() -> None:
    """-500 dB of the start: a bank in double precision is still its formula to 1e-12."""
    cycles, decay = np.array([0.01, 0.2]), np.array([0.05, 0.5])
    leaves = [torch.from_numpy(x)[None] for x in (cycles, decay, np.ones(2))]
    ours = impact.modal_bank(*leaves, 3000, torch.float64)
    slow = impact.modal_bank_slowly(*leaves, 3000)
    assert (ours - slow).abs().max() < 1e-14


PROGRAM = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
{flush}
small = np.array([1e-310])
from renderers import kernels
def kernel(_):
    return kernels.dot(small, np.ones(1))
with ThreadPoolExecutor(2) as pool:
    found = [float(small[0] * 1.0), *pool.map(kernel, range(2))]
{more}
sys.exit(int(any(found)))
"""
TORCH = """
import torch
torch.set_num_threads(2)
found.append(int((torch.full((1 << 20,), 1e-40) * 1.0).count_nonzero()))
"""
OURS = "from renderers.denormals import flush_denormals; assert flush_denormals()"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads inherit it on Linux")
@pytest.mark.parametrize(
    ("flush", "expected"),
    [(OURS, 0), ("import torch; assert torch.set_flush_denormal(True)", 0), ("", 1)],
    ids=["ours", "torch", "none"],
)
def test_threads_started_afterwards_flush_as_well(flush: str, expected: int) -> None:
    """Pool, OpenMP and compiled kernels; without it they all see denormals."""
    program = PROGRAM.format(flush=flush, more=TORCH)
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=ROOT, check=False)
    assert run.returncode == expected


EXACT = """
import numpy as np
from renderers.denormals import exact_denormals, flush_denormals
def heard():
    return float(np.array([1e-310])[0] * 1.0)
with exact_denormals():
    inside = heard()
outside = heard()
flush_denormals()
with exact_denormals():
    assert inside == outside == heard() == 1e-310
assert heard() == 0.0
"""


FAUST = """
import sys
from pathlib import Path
from presets import Note, load
from presets.export.faust import EXPORTER
from renderers.denormals import flush_denormals
from renderers.engines import faust
flush_denormals()
file = Path(sys.argv[2])
file.write_bytes(EXPORTER.export(load(sys.argv[1]), None, "patch").files["patch.dsp"])
print(faust.DAWDREAMER.render(file, Note(60), 0.1, 44100).shape)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sets a register on Linux")
def test_a_block_may_compute_them_again(tmp_path: Path) -> None:
    """DawDreamer's Faust compiler aborts the process where the smallest number is zero."""
    subprocess.run([sys.executable, "-c", EXACT], cwd=ROOT, check=True)
    peer("dawdreamer")
    preset = ROOT / "presets" / "factory" / "organ.json"
    command = [sys.executable, "-c", FAUST, str(preset), str(tmp_path / "patch.dsp")]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert run.stdout == "(1, 4410)\n"


JACK = """
import sys, threading
import jack, numpy as np
from renderers.denormals import flush_denormals
assert flush_denormals()
client, heard = jack.Client("denormals", no_start_server=True), threading.Event()
small, found = np.array([1e-310]), []
def process(frames):
    found.append(float(small[0] * 1.0))
    heard.set()
client.set_process_callback(process)
with client:
    assert heard.wait(30)
sys.exit(int(any(found)))
"""


def test_jack_s_thread_flushes_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    peer("jackd")
    server = stage.Server(512)
    monkeypatch.setenv("JACK_DEFAULT_SERVER", server.name)
    try:
        subprocess.run([sys.executable, "-c", JACK], cwd=ROOT, check=True, timeout=120)
    finally:
        server.stop()


# Programs that compute no sound: they speak, ask or copy.
OTHERS = {
    "bench/cluster.py",
    "bench/cluster_simulation.py",
    "bridge/cluster/__main__.py",
    "bench/separate.py",
    "bridge/cli/__main__.py",
    "bridge/cli/main.py",
    "bridge/app/folder_requests.py",
    "bridge/recorder.py",
    "bridge/processes/parent_watch.py",
    "bridge/stems/null_test_numpy.py",
    "examples/demo.py",
    "examples/factory_page.py",
    "examples/make_mixture.py",
    "examples/osc_client.py",
    "sds/train/factory.py",
}


def test_every_program_that_computes_flushes() -> None:
    programs = {}
    for package in ("renderers", "sds", "bridge", "bench", "examples"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            if 'if __name__ == "__main__":' in text:
                programs[path.relative_to(ROOT).as_posix()] = text
    silent = {
        name
        for name, text in programs.items()
        if "set_flush_denormal(True)" not in text and "flush_denormals()" not in text
    }
    assert silent == OTHERS
