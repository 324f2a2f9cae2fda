"""Faust programs run: compiled to C in double precision, or by DawDreamer in single."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from presets import Note
from renderers.denormals import exact_denormals
from renderers.engines.base import Engine

BLOCK = 512

MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "faust/gui/CInterface.h"
static int max(int a, int b) { return a < b ? b : a; }
static int min(int a, int b) { return a < b ? a : b; }
#include "patch.c"

static char** argument;  /* rate, frequency, gain, samples, those with the key down */
static double* gate;

static void box(void* ui, const char* label) {}
static void end(void* ui) {}
static void note_for(void* ui, double* zone, const char* key, const char* value) {}
static void button(void* ui, const char* label, double* zone) { *(gate = zone) = 1.0; }
static void slider(void* ui, const char* label, double* zone,
                   double start, double low, double high, double step) {
  if (!strcmp(label, "freq")) *zone = atof(argument[2]);
  if (!strcmp(label, "gain")) *zone = atof(argument[3]);
}

int main(int count, char** arguments) {
  static double out[512];
  double* channels[] = {out};
  UIGlue glue = {.openVerticalBox = box, .closeBox = end, .addButton = button,
                 .addHorizontalSlider = slider, .declare = note_for};
  patch* dsp = newpatch();
  argument = arguments;
  initpatch(dsp, atoi(argument[1]));
  buildUserInterfacepatch(dsp, &glue);
  long samples = atol(argument[4]), held = atol(argument[5]);
  for (long at = 0, count; at < samples; at += count) {
    *gate = at < held;
    count = (at < held ? held : samples) - at;
    if (count > 512) count = 512;
    computepatch(dsp, count, 0, channels);
    fwrite(out, sizeof(double), count, stdout);
  }
}
"""


def doubles(file: Path, note: Note, seconds: float, rate: int) -> NDArray[np.float64]:
    """One note of a .dsp file with one output, in double precision: [T]."""
    samples = round(seconds * rate)
    held = samples if note.held >= seconds else round(note.held * rate)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "main.c").write_text(MAIN, encoding="utf-8")
        translate = ["faust", "-double", "-lang", "c", "-cn", "patch", "-o", "patch.c"]
        _run([*translate, str(file.resolve())], folder)
        _run(["gcc", "-O1", "-DFAUSTFLOAT=double", "main.c", "-o", "play", "-lm"], folder)
        numbers = (rate, repr(note.hz), repr(note.velocity / 127), samples, held)
        played = _run(["./play", *map(str, numbers)], folder)
    return np.frombuffer(played, dtype=np.float64)


def _run(command: list[str], folder: str) -> bytes:
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise ValueError(f"{Path(command[0]).name} refused the Faust program: {said}")
    return done.stdout


def _play_compiled(file: Path, note: Note, seconds: float, rate: int) -> NDArray[np.float32]:
    return doubles(file, note, seconds, rate).astype(np.float32)[None]


def _play_dawdreamer(file: Path, note: Note, seconds: float, rate: int) -> NDArray[np.float32]:
    dawdreamer = importlib.import_module("dawdreamer")
    engine = dawdreamer.RenderEngine(rate, BLOCK)
    faust = engine.make_faust_processor("patch")
    faust.num_voices = 8
    faust.set_dsp_string(file.read_text(encoding="utf-8"))
    with exact_denormals():  # where they are zero, its intervals abort the process
        faust.compile()
    if note.number != round(note.number):
        raise ValueError(f"DawDreamer plays whole note numbers, got {note.number}")
    faust.add_midi_note(round(note.number), note.velocity, 0.0, min(note.held, seconds))
    engine.load_graph([(faust, [])])
    engine.render(seconds)
    audio: NDArray[np.float32] = engine.get_audio()
    return audio[:1, : round(seconds * rate)]


def _compiler_missing() -> str:
    absent = [program for program in ("faust", "gcc") if shutil.which(program) is None]
    return f"{' and '.join(absent)} not installed: apt install faust gcc" if absent else ""


def _dawdreamer_missing() -> str:
    here = importlib.util.find_spec("dawdreamer") is not None
    return "" if here else "dawdreamer is not installed: pip install dawdreamer"


COMPILED = Engine("faust and gcc, double precision", _compiler_missing, _play_compiled)
DAWDREAMER = Engine("DawDreamer's Faust, single precision", _dawdreamer_missing, _play_dawdreamer)
