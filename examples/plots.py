"""One picture a job: spectrograms on one dB scale, and the curves of the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import soundfile as sf
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

INK, MUTED, ACCENT, SECOND = "#1d2433", "#6b7385", "#2f6690", "#c8553d"
# Quiet is white, loud is dark; lightness falls evenly.
COLOURS = LinearSegmentedColormap.from_list(
    "level", ["#ffffff", "#d8ebe7", "#93cbd0", "#4a9bb8", "#2f6690", "#1b2f5c", "#0d1330"]
)
RANGE_DB = 70.0
LOW_HZ, HIGH_HZ, ROWS = 40.0, 16000.0, 220
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#c9ced8",
    "axes.titlecolor": INK,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclass(frozen=True)
class Panel:
    """A sound file and what to call it."""

    title: str
    wav: Path


def patch(path: Path, title: str, before: Panel, after: Panel, curves: dict[str, Any]) -> None:
    """Two spectrograms side by side, and under them loss and prompt match, step by step."""
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(10, 6.2), layout="constrained")
        grid = figure.add_gridspec(2, 2, height_ratios=(1.5, 1))
        axes = [figure.add_subplot(grid[0, i]) for i in range(2)]
        image = _spectrograms(axes, (before, after))
        bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=28)
        bar.set_label("level, dB below the loudest")
        bar.outline.set_visible(False)  # type: ignore[operator]
        _loss(figure.add_subplot(grid[1, 0]), curves)
        _match(figure.add_subplot(grid[1, 1]), curves)
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
        figure.savefig(path, dpi=130)
        plt.close(figure)


def sheet(path: Path, panels: Sequence[Panel], *, columns: int = 4) -> None:
    """Small spectrograms in rows, each on its own scale."""
    rows = -(-len(panels) // columns)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows, columns, figsize=(11, 2.0 * rows), squeeze=False, layout="constrained"
        )
        for ax, panel in zip(axes.flat, panels, strict=False):
            _spectrograms([ax], [panel])
            ax.set_xlabel("")
            ax.set_ylabel("")
        for ax in axes.flat[len(panels) :]:
            ax.set_axis_off()
        figure.savefig(path, dpi=80)
        plt.close(figure)


def stems(
    path: Path,
    title: str,
    mixture: Panel,
    residual: Panel,
    pairs: Sequence[tuple[Panel, Panel]],
    curves: dict[str, Any],
    matches: Sequence[tuple[str, float, float]],
) -> None:
    """Mixture and residual, then each stem beside the source it should be, then the curves.

    `matches` are (prompt, cosine of the mixture, cosine of the stem); none when not measured.
    """
    rows = len(pairs) + 1
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(10, 2.3 * rows + 1.7), layout="constrained")
        grid = figure.add_gridspec(rows + 1, 2, height_ratios=(*[1.5] * rows, 1))
        axes = [figure.add_subplot(grid[i, j]) for i in range(rows) for j in range(2)]
        image = _spectrograms(axes, [mixture, residual, *(panel for two in pairs for panel in two)])
        bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=50)
        bar.set_label("level, dB below the loudest")
        bar.outline.set_visible(False)  # type: ignore[operator]
        _refinement(figure.add_subplot(grid[rows, 0 if matches else slice(2)]), curves)
        if matches:
            _matches(figure.add_subplot(grid[rows, 1]), matches)
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
        figure.savefig(path, dpi=130)
        plt.close(figure)


def _spectrograms(axes: Sequence[Axes], panels: Sequence[Panel]) -> AxesImage:
    """All panels on one scale: 0 dB is the loudest bin of them all."""
    pictures = [_log_spectrogram(panel.wav) for panel in panels]
    top = max(picture.max() for picture, _ in pictures)
    ticks = (100, 1000, 10000)
    for ax, panel, (picture, seconds) in zip(axes, panels, pictures, strict=True):
        image = ax.imshow(
            picture - top,
            origin="lower",
            aspect="auto",
            cmap=COLOURS,
            vmin=-RANGE_DB,
            vmax=0,
            extent=(0, seconds, 0, 1),
            interpolation="bilinear",
        )
        ax.set_title(panel.title)
        ax.set_yticks(
            [float(np.log(hz / LOW_HZ) / np.log(HIGH_HZ / LOW_HZ)) for hz in ticks],
            ["100", "1k", "10k"],
        )
        ax.set_ylabel("frequency, Hz")
        ax.set_xlabel("time, s")
    return image


def _log_spectrogram(wav: Path, size: int = 2048) -> tuple[np.ndarray, float]:
    """Power in dB on a logarithmic frequency axis [ROWS, N], and the seconds it lasts."""
    audio, rate = sf.read(wav, dtype="float32", always_2d=True)
    mono = np.pad(audio.mean(1), size // 2)
    hop = max(128, len(mono) // 900)
    frames = np.lib.stride_tricks.sliding_window_view(mono, size)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)).T ** 2  # [F, N]
    hz = LOW_HZ * (HIGH_HZ / LOW_HZ) ** np.linspace(0, 1, ROWS)
    bins = np.clip(hz * size / rate, 0, len(power) - 1)
    low = np.minimum(bins.astype(int), len(power) - 2)
    share = (bins - low)[:, None]
    picture = power[low] * (1 - share) + power[low + 1] * share
    return 10 * np.log10(picture + 1e-9), len(audio) / rate


def _loss(ax: Axes, curves: dict[str, Any]) -> None:
    """The loss, each stage on its own scale: 1 is where the stage began."""
    ax.set_title("Loss, relative to the start of each stage")
    stages = [s for s in dict.fromkeys(curves["stage"]) if s not in ("search", "generate")]
    for stage, colour in zip(stages, (ACCENT, SECOND, MUTED), strict=False):
        points = [
            (step, loss)
            for step, name, loss in zip(
                curves["step"], curves["stage"], curves["loss"], strict=True
            )
            if name == stage and loss is not None
        ]
        if points and points[0][1] > 0:
            x, y = np.array(points).T
            ax.plot(x, y / y[0], color=colour, lw=1.4, label=stage)
    if ax.lines:  # a search without fit and descent has no loss
        ax.legend(frameon=False, fontsize=8)
    ax.set_xlabel("step")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("loss")
    ax.set_ylim(bottom=0)
    ax.margins(x=0.01)


def _match(ax: Axes, curves: dict[str, Any]) -> None:
    """The best score so far, with the place of the first patch."""
    evaluated = curves.get("judged", False)
    ax.set_title(
        "Prompt match of the best so far" if evaluated else "The prior's score, best so far"
    )
    ax.plot(curves["step"], curves["score"], color=ACCENT, lw=1.8, drawstyle="steps-post")
    if evaluated:
        ax.axhline(curves["score_before"], color=MUTED, lw=1, ls=(0, (4, 3)))
        ax.annotate(
            "first patch",
            (1, curves["score_before"]),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            color=MUTED,
            fontsize=8,
        )
    ax.set_xlabel("step")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("cosine" if evaluated else "minus distance")
    ax.margins(x=0.01)


def _refinement(ax: Axes, curves: dict[str, Any]) -> None:
    """The loss of each window of the file, one line a window; without refinement, mask changes."""
    refined = "refine" in curves["stage"]
    wanted, key = ("refine", "loss") if refined else ("estimate", "change")
    windows: list[list[float]] = [[]]
    for stage, figures in zip(curves["stage"], curves["figures"], strict=True):
        if stage == wanted and key in figures:
            windows[-1].append(figures[key])
        elif windows[-1]:
            windows.append([])
    windows = [losses for losses in windows if losses]
    what = "Loss" if refined else "Change of the masks"
    ax.set_title(f"{what}, one line for each window of the file")
    for number, losses in enumerate(windows):
        shade = 0.35 + 0.6 * number / max(1, len(windows) - 1)
        steps = range(1, len(losses) + 1)
        ax.plot(steps, losses, color=COLOURS(shade), lw=1.5, label=f"window {number + 1}")
    if 1 < len(windows) <= 8:
        ax.legend(frameon=False, fontsize=8, ncols=2)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("step" if refined else "noise level, the draws one after another")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("loss" if refined else "mean change")
    ax.margins(x=0.01)


def _matches(ax: Axes, matches: Sequence[tuple[str, float, float]]) -> None:
    """Prompt match of each stem, from the mixture's to its own."""
    ax.set_title("Prompt match, from the mixture to the stem")
    for (prompt, before, after), colour in zip(matches, _lines(len(matches)), strict=True):
        ax.plot((0, 1), (before, after), color=colour, lw=1.8, marker="o", ms=4)
        ax.annotate(
            f"{prompt} {after:.2f}",
            (1, after),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=8,
        )
    ax.set_xticks((0, 1), ("mixture", "stem"))
    ax.set_xlim(-0.1, 1.6)
    ax.set_ylabel("cosine")
    ax.margins(y=0.2)


def _lines(count: int) -> list[Any]:
    return (
        [ACCENT, SECOND] if count == 2 else [COLOURS(0.4 + 0.6 * i / count) for i in range(count)]
    )
