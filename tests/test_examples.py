"""The demo, whole, on the prior that needs no weights: server, OSC client, files, pictures."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import soundfile as sf

from bridge.stems import null_test
from presets import load
from tests.browser import noting_browser
from tests.http_server import Http
from tests.test_panel_stems import until

ROOT = Path(__file__).parents[1]
DATA = ROOT / "examples" / "data"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder it left, and what it printed."""
    out = tmp_path_factory.mktemp("demo")
    command = [
        sys.executable, str(ROOT / "examples" / "demo.py"), "--out", str(out),
        "--model", "gaussian", "--recipe", "fast", "--steps", "1", "--duration", "0.25",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=280, cwd=out, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_sources_add_up_to_the_mixture() -> None:
    parts = [
        sf.read(DATA / f"{name}.flac", dtype="int16")[0] for name in ("saxophone", "sea_waves")
    ]
    mixture, rate = sf.read(DATA / "mixture.flac", dtype="int16")
    np.testing.assert_array_equal(parts[0] + parts[1], mixture)
    assert (rate, len(mixture)) == (44100, 9 * 44100)


def test_it_leaves_patches_stems_and_pictures(demo: tuple[Path, str]) -> None:
    out, _ = demo
    for renderer in ("fm", "impact"):
        presets = sorted(out.glob(f"patch-{renderer}/[hk]*.json"))
        assert 1 <= len(presets) <= 4
        for path in presets:
            assert load(path).renderer == renderer
            sound, rate = sf.read(path.with_suffix(".wav"))
            assert len(sound) == round(load(path).seconds * rate) > 0
            assert 20 * np.log10(np.abs(sound).max()) == pytest.approx(-1.0, abs=0.1)
    assert null_test.verify(out / "stems" / "stems.json") < -100
    for name in ("patch-fm", "patch-impact", "stems"):
        picture = matplotlib.image.imread(out / f"{name}.png")
        assert picture.shape[1] == 1300
        assert 0.2 < picture[..., :3].mean() < 0.99  # dark on light, and not blank


def test_it_prints_progress_and_a_table(demo: tuple[Path, str]) -> None:
    _, said = demo
    assert "answers OSC on 127.0.0.1:" in said
    for words in ("distill", "refine", "best so far", "stem 2: ocean waves", "100.0 %  done"):
        assert words in said
    table = said[said.index("prompt match  ") :].splitlines()
    assert [line.split("  ")[0] for line in table[2:6]] == [
        "fm: kick drum, bass, reverb", "impact: hitting pot with wooden spoon",
        "stem: alto saxophone playing a melody", "stem: ocean waves breaking on the shore",
    ]  # fmt: skip
    assert "0.0 -> " in table[4]  # the mixture as the estimate: both sources equally loud


def test_what_it_ends_with_opens_the_panel_on_its_jobs(
    demo: tuple[Path, str], tmp_path: Path
) -> None:
    _, said = demo
    command = shlex.split(said.splitlines()[-1].partition("more: ")[2])
    link, own = noting_browser(tmp_path)
    with subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | own, stdout=subprocess.DEVNULL
    ) as server:
        try:
            until(link.is_file, patience=60)
            where, _, path = link.read_text().strip().removeprefix("http://").partition("/")
            client = Http(int(where.rpartition(":")[2]), None)
            entered = client.ask("GET", f"/{path}", token=None)
            assert (entered.status, entered.headers["Location"]) == (303, "/panel/")
            cookie = entered.headers["Set-Cookie"].partition(";")[0]
            jobs = client.ask("GET", "/v1/jobs", token=None, Cookie=cookie).json["jobs"]
        finally:
            server.send_signal(signal.SIGINT)
    assert [(job["kind"], job["state"]) for job in jobs] == [
        ("separate", "done"), ("patch", "done"), ("patch", "done"),
    ]  # fmt: skip


def test_it_leaves_no_server_behind(demo: tuple[Path, str]) -> None:
    out, _ = demo
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(out) in command and "bridge" in command:
            left.append(command)
    assert left == []
    log = (out / "server" / "server.log").read_text()
    assert "stopping" in log
    assert "Traceback" not in log


def test_a_demo_that_fails_says_so(tmp_path: Path) -> None:
    command = [
        sys.executable, str(ROOT / "examples" / "demo.py"), "--out", str(tmp_path),
        "--model", str(tmp_path / "no-model"), "--recipe", "fast",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 1
    assert "The demo failed: /scorewire/patch failed (no-model): " in done.stderr


def test_every_source_is_named_and_kept_from_training() -> None:
    text = (DATA / "SOURCES.md").read_text()
    assert text.count("CC0-1.0") >= 3
    listed = text.split("```")[1].split()
    assert len(listed) == 11
    assert json.dumps(listed).count("weresax/") == 10


def test_the_page_of_factory_presets(tmp_path: Path) -> None:
    script = ROOT / "examples" / "factory_page.py"
    subprocess.run([sys.executable, str(script), "--out", str(tmp_path)], check=True, timeout=280)
    page = (tmp_path / "factory.md").read_text(encoding="utf-8")
    for path in (ROOT / "presets" / "factory").glob("*.json"):
        assert f"| {load(path).name} | {load(path).prompt} |" in page
    pictures = sorted(tmp_path.glob("*.png"))
    assert [picture.name in page for picture in pictures] == [True] * len(pictures) != []
