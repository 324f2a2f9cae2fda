"""The demo: a real OSC client makes a real server turn prompts into patches, a mixture into stems.

    python examples/demo.py --out demo-out

Starts `scorewire serve` on a free port of this machine and talks to it over UDP, as a DAW or a
controller would. Leaves presets, WAVs, stems and one PNG a job in the folder, and prints a table.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from presets.python_child import python_child

DATA = Path(__file__).parent / "data"
SOURCES = (
    ("alto saxophone playing a melody", "saxophone.flac"),
    ("ocean waves breaking on the shore", "sea_waves.flac"),
)
PATCHES = (
    ("kick drum, bass, reverb", "fm"),
    ("hitting pot with wooden spoon", "impact"),
)
SILENCE = 20.0  # seconds without an answer before asking again: UDP may lose any datagram
PATIENCE = 600.0  # seconds without an answer before giving up
LINE_GAP = 2.0  # seconds between two printed lines of one stage


class Unanswered(RuntimeError):
    """The server failed, or said nothing for too long."""


@dataclass
class Client:
    """A musician's side: one UDP socket, requests by number, answers printed as they come."""

    host: str
    port: int
    key: str = ""  # what `scorewire token` says
    req: int = 0

    def __post_init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(SILENCE)
        self.began = time.monotonic()

    def send(self, address: str, *values: int | float | str) -> None:
        """One OSC message."""
        message = OscMessageBuilder(address)
        for value in (*values, *([f"key={self.key}"] if self.key else [])):
            message.add_arg(value)
        self.socket.sendto(message.build().dgram, (self.host, self.port))

    def answers(self, address: str, *values: int | float | str) -> Iterator[OscMessage]:
        """Ask, and yield what comes back for this request; ask again when it is quiet."""
        self.req += 1
        self.send(address, self.req, *values)
        heard = time.monotonic()
        while True:
            try:
                answer = OscMessage(self.socket.recv(2048))
            except TimeoutError:
                if time.monotonic() - heard > PATIENCE:
                    raise Unanswered(f"{address}: no answer for {PATIENCE:g} s") from None
                self.send(address, self.req, *values)
                continue
            if answer.params[:1] == [self.req]:
                heard = time.monotonic()
                yield answer

    def job(self, address: str, *values: int | float | str) -> dict[str, Any]:
        """Ask for work, print its progress, and return its result."""
        last, stage, began = 0.0, "", time.monotonic()
        for answer in self.answers(address, *values):
            match answer.address:
                case "/scorewire/progress":
                    _, _, fraction, name, eta, *figures = answer.params
                    now = time.monotonic()
                    if name == stage and now - last < LINE_GAP:
                        continue
                    last, stage = now, name
                    left = f"{eta:4.0f} s left" if eta >= 0 else ""
                    pairs = zip(figures[::2], figures[1::2], strict=False)
                    facts = "  ".join(f"{key} {value:.3g}" for key, value in pairs)
                    say(f"{100 * fraction:5.1f} %  {name:<12} {left:<11} {facts}", now - began)
                case "/scorewire/best":
                    score, wav = answer.params[2], answer.params[4]
                    say(f"         best so far {score:.3f}, playable: {Path(wav).name}")
                case "/scorewire/stem":
                    say(f"         stem {answer.params[2]}: {answer.params[3]}")
                case "/scorewire/done":
                    say("100.0 %  done", time.monotonic() - began)
                    return dict(json.loads(Path(answer.params[2]).read_text(encoding="utf-8")))
                case "/scorewire/fail":
                    raise Unanswered(f"{address} failed ({answer.params[2]}): {answer.params[3]}")
                case "/scorewire/cancelled":
                    raise Unanswered(f"{address} was cancelled")
        raise Unanswered(address)


def say(text: str, elapsed: float | None = None) -> None:
    """One line, at once."""
    clock = "" if elapsed is None else f"{int(elapsed) // 60}:{int(elapsed) % 60:02d}"
    print(f"  {clock:>5}  {text}", flush=True)


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, int]]:
    """A `scorewire serve` of our own on a free port; it is gone when we leave, however we do."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "config.toml"
    settings.write_text(f"osc_port = 0\ndata = {json.dumps(str(folder))}\n", encoding="utf-8")
    command = python_child("bridge.cli", "serve", "--config", str(settings), "--json")
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        line = server.stdout.readline() if server.stdout else ""
        if not line.strip():
            raise Unanswered(f"the server did not start; see {folder / 'server.log'}")
        place = json.loads(line)
        yield place["host"], place["port"]
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def separation_facts(result: dict[str, Any]) -> list[tuple[str, float, float]]:
    """SI-SDR in dB of each known source: of the mixture itself, then of the stem."""
    from sds.metrics import separation
    from sds.signal import audio_files

    mixture, _ = audio_files.read(DATA / "mixture.flac")
    facts = []
    for (prompt, file), stem in zip(SOURCES, result["stems"], strict=True):
        source, estimate = audio_files.read(DATA / file)[0], audio_files.read(stem["wav"])[0]
        before, after = (float(separation.si_sdr(x, source)[0]) for x in (mixture, estimate))
        facts.append((prompt, before, after))
    return facts


def picture_patch(result: dict[str, Any], prompt: str, renderer: str, path: Path) -> None:
    """The PNG of a patch."""
    from examples import plots

    curves = json.loads(Path(result["curves"]).read_text(encoding="utf-8"))
    before, after = result["score_before"], result["score_after"]
    evaluated = before is not None
    curves |= {"judged": evaluated, "score_before": before}
    titles = ("The first random patch", "The patch found")
    if evaluated:
        titles = (f"{titles[0]}: match {before:.2f}", f"{titles[1]}: match {after:.2f}")
    panels = (
        plots.Panel(title, Path(result[key]))
        for title, key in zip(titles, ("initial_wav", "wav"), strict=True)
    )
    plots.patch(path, f"“{prompt}”, {renderer}", *panels, curves)


def picture_stems(
    result: dict[str, Any], facts: list[tuple[str, float, float]], path: Path
) -> None:
    """The PNG of the separation."""
    from examples import plots

    curves = json.loads(Path(result["curves"]).read_text(encoding="utf-8"))
    manifest = json.loads(Path(result["manifest"]).read_text(encoding="utf-8"))
    matches = [
        (stem["prompt"], stem["score_before"], stem["score_after"])
        for stem in manifest["stems"]
        if stem["score_after"] is not None
    ]
    pairs = [
        (
            plots.Panel(
                f"Stem “{prompt}”: SI-SDR {before:.1f} to {after:.1f} dB", Path(stem["wav"])
            ),
            plots.Panel(f"Known source: {prompt}", DATA / file),
        )
        for (prompt, before, after), (_, file), stem in zip(
            facts, SOURCES, result["stems"], strict=True
        )
    ]
    plots.stems(
        path,
        "One recording, two prompts",
        plots.Panel("Mixture", DATA / "mixture.flac"),
        plots.Panel("Residual", Path(result["residual"])),
        pairs,
        curves,
        matches,
    )


def table(rows: list[tuple[str, ...]]) -> str:
    """Columns as wide as they need."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])


def arrow(before: float | None, after: float | None, digits: int) -> str:
    """`before -> after`, or a dash when it was not measured."""
    if before is None or after is None:
        return "-"
    return f"{before:.{digits}f} -> {after:.{digits}f}"


def main() -> int:
    """Run the three jobs; 0 when all went well."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="folder for everything")
    parser.add_argument("--model", default="default", help="name, folder or hub id")
    parser.add_argument("--recipe", default="default", help="paper, default or fast")
    parser.add_argument("--duration", type=float, default=2.0, help="seconds of the patches")
    parser.add_argument("--steps", type=int, help="optimisation steps, for a quick look")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    out = asked.out.absolute()
    options = [f"model={asked.model}", f"seed={asked.seed}"]
    if asked.steps is not None:
        options.append(f"steps={asked.steps}")
    began = time.monotonic()
    rows: list[tuple[str, ...]] = [
        ("job", "prompt match", "SI-SDR, dB", "null depth, dB", "seconds")
    ]
    try:
        with serving(out / "server") as (host, port):
            key = (out / "server" / "token").read_text(encoding="utf-8").strip()
            client = Client(host, port, key)
            pong = next(client.answers("/scorewire/ping"))
            print(f"Scorewire {pong.params[1]} answers OSC on {host}:{port}", flush=True)
            for prompt, renderer in PATCHES:
                print(f"\n{prompt!r} for the {renderer} renderer", flush=True)
                folder = out / f"patch-{renderer}"
                more = [*options, f"duration={asked.duration}", f"recipe={asked.recipe}"]
                result = client.job("/scorewire/patch", prompt, renderer, str(folder), *more)
                picture_patch(result, prompt, renderer, out / f"patch-{renderer}.png")
                match = arrow(result["score_before"], result["score_after"], 3)
                rows.append((f"{renderer}: {prompt}", match, "", "", f"{result['seconds']:.0f}"))
            prompts = [prompt for prompt, _ in SOURCES]
            print(f"\nmixture.flac into {' and '.join(map(repr, prompts))}", flush=True)
            request = (str(DATA / "mixture.flac"), str(out / "stems"), *prompts, *options)
            result = client.job("/scorewire/separate", *request)
            facts = separation_facts(result)
            picture_stems(result, facts, out / "stems.png")
            scored = json.loads(Path(result["manifest"]).read_text(encoding="utf-8"))["stems"]
            null, spent = f"{result['null_db']:.1f}", f"{result['seconds']:.0f}"
            for (prompt, before, after), stem in zip(facts, scored, strict=True):
                match = arrow(stem["score_before"], stem["score_after"], 3)
                rows.append((f"stem: {prompt}", match, arrow(before, after, 1), null, spent))
    except (Unanswered, OSError, KeyboardInterrupt) as error:
        print(f"\nThe demo failed: {error or 'stopped'}", file=sys.stderr, flush=True)
        return 1
    print(f"\n{table(rows)}\n", flush=True)
    print(f"Everything is in {out} ({time.monotonic() - began:.0f} s in all).", flush=True)
    print(f"To see and hear it in a browser, and to make more: {panel_command(out)}", flush=True)
    return 0


def panel_command(out: Path) -> str:
    """What opens the panel on the demo's jobs, to be pasted."""
    script = Path(sysconfig.get_path("scripts")) / "scorewire"
    program = [str(script)] if script.is_file() else python_child("bridge.cli")
    return shlex.join([*program, "panel", "--config", str(out / "server" / "config.toml")])


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    raise SystemExit(main())
