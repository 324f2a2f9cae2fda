"""Where notes begin, and whether two tracks begin them together; how fast the beat is.

Onset strength is the rise of the level, in dB, summed over bands a third of an octave wide
(spectral flux; Bello et al. 2005, doi 10.1109/TSA.2005.851998, section III). Nothing is learned.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.signal.audio_files import mono, resample

RATE = 22050
N, HOP = 1024, 220  # 46 ms; a frame each 10 ms
FRAMES = RATE / HOP  # a second
LOWEST, BANDS = 43.0, 27  # Hz; thirds of octaves up to 17 kHz, of which those below RATE / 2 count
RANGE = 50.0  # dB below the loudest band of the track; what is softer is silence
LAG = 2  # frames over which a rise is taken: half a window and less would count noise
NEAR = 3  # frames on either side that an onset is the greatest of
AROUND = 12  # frames on either side whose mean an onset stands out of
OVER = 0.12  # of the greatest strength that it stands out by
TOLERANCE = 0.05  # seconds between onsets that are one (MIREX)
SMOOTH = 0.02  # seconds, deviation of the Gaussian that envelopes are correlated under
SLOWEST, FASTEST, USUAL = 40.0, 240.0, 110.0  # beats a minute
OCTAVES = 0.9  # deviation of a tempo from the usual one


def onset_strength(audio: Tensor, rate: int) -> Tensor:
    """Onset strength [L], 100 frames a second, of audio [C, T] at `rate` Hz; zeros for silence."""
    x = resample(mono(audio[None].float())[0], rate, RATE)
    x = F.pad(x, (N // 2, N // 2 + HOP))
    spectrum = torch.stft(x, N, HOP, window=torch.hann_window(N), center=False, return_complex=True)
    power = _bands() @ (spectrum.real**2 + spectrum.imag**2)
    top = float(power.max())
    if top <= 0.0:
        return torch.zeros(power.shape[-1])
    db = 10 * (power / top).clamp_min(10 ** (-RANGE / 10)).log10()
    before = F.pad(db, (LAG, 0), value=-RANGE)[:, :-LAG]
    return (db - before).clamp_min(0.0).sum(0)


def _bands() -> Tensor:
    """Weights [K, N / 2 + 1] of bins in bands: 1 between its edges."""
    hz = torch.arange(N // 2 + 1) * RATE / N
    edges = LOWEST * 2.0 ** (torch.arange(BANDS + 1) / 3)
    inside = (hz >= edges[:-1, None]) & (hz < edges[1:, None])
    return inside[inside.any(1)].float()


def onset_times(strength: Tensor) -> Tensor:
    """Seconds [K] of the onsets in a strength [L]: peaks that stand out of what is around them."""
    top = float(strength.max()) if len(strength) else 0.0
    if top <= 0.0:
        return torch.zeros(0)
    row = strength[None, None]
    near = F.max_pool1d(row, 2 * NEAR + 1, 1, NEAR)[0, 0]
    around = F.avg_pool1d(row, 2 * AROUND + 1, 1, AROUND, count_include_pad=False)[0, 0]
    found = (strength >= near) & (strength >= around + OVER * top)
    times = found.nonzero()[:, 0] / FRAMES
    kept = F.pad(times.diff(), (1, 0), value=math.inf) > NEAR / FRAMES  # of a plateau the first
    return times[kept]


def onset_f_measure(one: Tensor, other: Tensor, tolerance: float = TOLERANCE) -> float:
    """F-measure 0..1 of onsets [K] against onsets [M] in seconds, each at most once in a pair not
    farther apart than `tolerance`; NaN where both have none, 0 where one has.

    2 m / (K + M) of m pairs; in order of time, the first that fits is taken, which pairs most.
    """
    a, b = sorted(one.tolist()), sorted(other.tolist())
    if not a and not b:
        return math.nan
    pairs = i = j = 0
    while i < len(a) and j < len(b):
        if abs(a[i] - b[j]) <= tolerance + 1e-9:
            pairs, i, j = pairs + 1, i + 1, j + 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
    return 2 * pairs / (len(a) + len(b))


def onset_correlation(one: Tensor, other: Tensor) -> float:
    """Correlation -1..1 of onset strengths [L] of two tracks under a Gaussian of 20 ms; NaN where
    one never rises. Strengths enter as square roots, so that one loud stroke does not decide.
    """
    count = min(len(one), len(other))
    x = torch.stack([smooth(track[:count].clamp_min(0).sqrt()) for track in (one, other)])
    x = (x - x.mean(1, keepdim=True)).double()
    norms = x.norm(dim=1)
    if float(norms.min()) <= 1e-9:
        return math.nan
    return float((x[0] * x[1]).sum() / (norms[0] * norms[1]))


def smooth(track: Tensor) -> Tensor:
    """A track [L] under a Gaussian of 20 ms."""
    deviation = SMOOTH * FRAMES
    reach = math.ceil(3 * deviation)
    window = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation) ** 2)
    return F.conv1d(track[None, None], (window / window.sum())[None, None], padding=reach)[0, 0]


def beat_spectrum(strength: Tensor) -> Tensor:
    """Autocorrelation [K] of an onset strength [L] at lags of a beat from `FASTEST` to `SLOWEST`,
    over that at lag 0 (Foote and Uchihashi 2001); zeros where nothing rises.
    """
    x = smooth(strength.clamp_min(0).sqrt())
    x = x - x.mean()
    size = 2 ** math.ceil(math.log2(2 * len(x)))
    spectrum = torch.fft.rfft(x, size)
    lags = torch.fft.irfft(spectrum.abs().square(), size)
    first, last = round(60 * FRAMES / FASTEST), round(60 * FRAMES / SLOWEST)
    found = F.pad(lags[: len(x)], (0, max(0, last + 1 - len(x))))
    return found[first : last + 1] / found[0].clamp_min(1e-9)


def tempo(strength: Tensor) -> float:
    """Beats a minute of an onset strength [L], 40..240; NaN where nothing rises.

    The lag of the greatest autocorrelation, weighted by a log-normal around 110 (Ellis 2007, doi
    10.1080/09298210701653344, eq. 7), between frames by a parabola.
    """
    found = beat_spectrum(strength)
    if not bool((found != 0).any()):
        return math.nan
    first = round(60 * FRAMES / FASTEST)
    bpm = 60 * FRAMES / (first + torch.arange(len(found)))
    weight = torch.exp(-0.5 * (torch.log2(bpm / USUAL) / OCTAVES) ** 2)
    best = int((found.clamp_min(0) * weight).argmax())
    shift = 0.0
    if 0 < best < len(found) - 1:
        left, here, right = (float(found[best + step]) for step in (-1, 0, 1))
        bend = left - 2 * here + right
        shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return 60 * FRAMES / (first + best + max(-0.5, min(0.5, shift)))


def tempo_agreement(one: Tensor, other: Tensor) -> float:
    """Cosine -1..1 of the beat spectra of two onset strengths [L]: 1 where they go at one tempo;
    NaN where nothing rises in one.
    """
    a, b = beat_spectrum(one).double(), beat_spectrum(other).double()
    norms = float(a.norm() * b.norm())
    return float(a @ b) / norms if norms > 1e-9 else math.nan
