"""Statistics of a sound, some hundred figures, and the class of recordings it is nearest to.

The measure that shares nothing with prior or evaluation scorer: nothing here is learned but how
real recordings of each class are spread. The figures are the same at any level, and when silence
follows.

What lies `FLOOR` or more below the loudest bin of its frame counts as that, so that bands which a
sound does not fill measure neither the rounding of the transform nor what a 16-bit file cannot
hold; and `LEAST` bounds the deviations that figures are divided by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.signal.audio_files import mono, resample

RATE = 44100
SECONDS = 2.0  # of a sound that are looked at: its first
N_FFT, HOP = 2048, 512
MELS, CEPSTRA = 40, 20
HEARD = 40.0  # dB below the loudest frame; what is softer does not count
BLOCK = 256  # samples of one point of the envelope
OCTAVES = (86, 430, 1000, 2000, 4000, 8000, 16000)  # Hz, edges of the bands of flatness
MODULATION = (0, 2, 4, 8, 16, 32, 64, 86)  # Hz, edges of the bands of the envelope's spectrum
FLOOR = 80.0
"""dB below the loudest bin of a frame. Rounding to 16 bits lies 10 log10(2^31 N_FFT) = 126 dB below
the bin of a sine of full scale (variance 2^-30 / 12, Hann window), so 86 dB below it in frames that
are `HEARD` softer: 80 dB is what every frame that counts can hold. It is also the range of the
evaluation scorer and of the distances in `sds.signal.spectrogram`; float32 rounds 150 dB below."""
OCTAVE_COST = 0.01  # Boersma 1993, eq. 24: of two lags that fit as well, the shorter one is it
FLAT = 0.1  # dB RMS: an envelope that moves less does not move
TINY = 1e-12
LEAST_DB, LEAST_OCTAVES, LEAST_LOG, LEAST_SHARE = 0.5, 0.05, 0.05, 0.01
"""The least deviations that count, by the unit of a figure: about what can just be told apart, a
level to half a dB, a frequency to half a semitone, a time to a twentieth. Real recordings differ by
more in every figure; those of one tone differ by rounding alone."""
LEAST = {
    "cepstrum": LEAST_DB,
    "cepstrum deviation": LEAST_DB,
    "centroid": LEAST_OCTAVES,
    "centroid deviation": LEAST_OCTAVES,
    "spread": LEAST_OCTAVES,
    "spread deviation": LEAST_OCTAVES,
    "rolloff": LEAST_OCTAVES,
    "rolloff deviation": LEAST_OCTAVES,
    "flatness": LEAST_DB,
    "flatness deviation": LEAST_DB,
    "flux": LEAST_SHARE,
    "flux deviation": LEAST_SHARE,
    "crossings": LEAST_LOG,
    "crossings deviation": LEAST_LOG,
    "periodicity": LEAST_SHARE,
    "periodicity deviation": LEAST_SHARE,
    "pitch": LEAST_OCTAVES,
    "pitch deviation": LEAST_OCTAVES,
    "cepstrum of the loudest": LEAST_DB,
    "attack": LEAST_LOG,
    "decay": LEAST_LOG,
    "length": LEAST_LOG,
    "time centroid": LEAST_LOG,
    "time spread": LEAST_LOG,
    "crest": LEAST_DB,
    "loudness deviation": LEAST_DB,
    "modulation": LEAST_LOG,
    "onsets": LEAST_LOG,
    "rises": LEAST_LOG,
    "band times": LEAST_LOG,
}


class Classes:
    """A classifier of sounds by their statistics, learned from real recordings.

    Regularised least squares (Rifkin et al. 2003, section 3) with a Gaussian kernel: a class scores
    by the recordings near the sound, each class weighing the same. `WIDTH` and `RIDGE` were chosen
    by cross-validation on real recordings.
    """

    WIDTH, RIDGE, CLIP = 1.0, 0.3, 5.0

    def __init__(self, x: Tensor, labels: Sequence[str]) -> None:
        """From statistics x [N, K], standardised, of recordings with these N labels."""
        self.names = tuple(dict.fromkeys(labels))
        y = torch.tensor([[label == name for name in self.names] for label in labels]).double()
        share = y @ y.sum(0) * len(self.names) / len(labels)  # 1 if all classes were as large
        self._x = x.double().clamp(-self.CLIP, self.CLIP)
        root = torch.linalg.cholesky(self._kernel(self._x) + self.RIDGE * torch.diag(share))
        self._alpha = torch.cholesky_solve(2 * y - 1, root)

    def _kernel(self, x: Tensor) -> Tensor:
        return (-self.WIDTH * torch.cdist(x, self._x).square() / x.shape[1]).exp()

    def scores(self, x: Tensor) -> Tensor:
        """How well each row of x [B, K], standardised like the recordings, fits each class of
        `names`; [B, C], higher is closer.
        """
        return self._kernel(x.double().clamp(-self.CLIP, self.CLIP)) @ self._alpha

    def nearest(self, x: Tensor) -> list[str]:
        """The class of each row of x [B, K], standardised like the recordings."""
        return [self.names[i] for i in self.scores(x).argmax(1).tolist()]


def statistics(audio: Tensor, rate: int) -> Tensor:
    """The figures of `measure` side by side: audio [B, C, T] -> [B, K]."""
    return torch.cat(list(measure(audio, rate).values()), 1)


def least_deviations() -> Tensor:
    """`LEAST` for each column of `statistics`, [K]."""
    widths = {name: value.shape[1] for name, value in measure(torch.zeros(1, 1, 1), RATE).items()}
    return torch.tensor([LEAST[name] for name, width in widths.items() for _ in range(width)])


def measure(audio: Tensor, rate: int) -> dict[str, Tensor]:
    """Figures of audio [B, C, T] at `rate`, each [B, k]: spectrum, pitch and envelope.

    Of what is measured frame by frame there are the mean and the standard deviation over the frames
    within `HEARD` dB of the loudest. Frequencies are in octaves (log2 Hz), times in log seconds.
    """
    audible = resample(mono(audio.detach().float()), rate, RATE)
    x = F.pad(audible, (0, round(SECONDS * RATE) - audible.shape[-1]))
    x = x / x.abs().amax(1, keepdim=True).clamp_min(TINY)
    frames = F.pad(x, (N_FFT // 2, N_FFT // 2)).unfold(1, N_FFT, HOP)  # [B, L, N]
    power = torch.fft.rfft(frames * torch.hann_window(N_FFT)).abs().square()  # [B, L, F]
    loud = power.sum(2)
    audible = loud >= loud.amax(1, keepdim=True) * 10 ** (-HEARD / 10)  # [B, L]
    weight = (audible / audible.sum(1, keepdim=True))[..., None]
    bands = floored(power) @ _mel().T  # [B, L, MELS]
    figures: dict[str, Tensor] = {}
    each = _spectrum(power, bands) | {"crossings": _crossings(frames)} | _pitch(frames)
    for name, value in each.items():
        mean = (weight * value).sum(1)
        deviation = (weight * (value - mean[:, None]).square()).sum(1).sqrt()
        figures |= {name: mean, f"{name} deviation": deviation}
    loudest = loud.argmax(1)
    figures["cepstrum of the loudest"] = each["cepstrum"][torch.arange(len(x)), loudest]
    return figures | _envelope(x) | {"band times": _band_times(bands, audible)}


def floored(power: Tensor) -> Tensor:
    """Powers [..., F] with the noise of a file added: `FLOOR` below the loudest bin of a frame."""
    return power + (power.amax(-1, keepdim=True) * 10 ** (-FLOOR / 10)).clamp_min(TINY)


def _mel() -> Tensor:
    from torchaudio.functional import melscale_fbanks

    bank: Tensor = melscale_fbanks(
        N_FFT // 2 + 1, 40.0, 16000.0, MELS, RATE, norm="slaney", mel_scale="htk"
    )
    return bank.T


def _spectrum(power: Tensor, bands: Tensor) -> dict[str, Tensor]:
    """Shape of the spectrum of each frame, from power [B, L, F] and mel bands [B, L, MELS]."""
    share = power / power.sum(2, keepdim=True).clamp_min(TINY)
    hz = torch.linspace(0.0, RATE / 2, power.shape[2])
    centroid = (share * hz).sum(2, keepdim=True)
    spread = (share * (hz - centroid).square()).sum(2, keepdim=True).sqrt()
    below = share.cumsum(2)
    rolloff = [(below < part).sum(2, keepdim=True) * hz[1] for part in (0.5, 0.85, 0.95)]
    flatness, noisy = [], floored(power)
    for low, high in pairwise(OCTAVES):
        band = noisy[..., (hz >= low) & (hz < high)]
        flatness.append(band.log10().mean(2) - band.mean(2).log10())
    # DCT-II, orthonormal, without the constant: level-blind
    k = torch.arange(1, CEPSTRA + 1)[:, None]
    dct = math.sqrt(2 / MELS) * torch.cos(math.pi / MELS * k * (torch.arange(MELS) + 0.5))
    decibels = 10 * (bands / bands.sum(2, keepdim=True).clamp_min(TINY) + 1e-6).log10()
    root = share.sqrt()
    flux = F.pad(root.diff(dim=1), (0, 0, 1, 0)).square().sum(2, keepdim=True).sqrt()
    return {
        "cepstrum": decibels @ dct.T,
        "centroid": _octaves(centroid),
        "spread": _octaves(spread),
        "rolloff": _octaves(torch.cat(rolloff, 2)),
        "flatness": 10 * torch.stack(flatness, 2),  # dB, 0 is flat
        "flux": flux,
    }


def _crossings(frames: Tensor) -> Tensor:
    """Log share of samples at which the sign changes, [B, L, 1].

    A sample `FLOOR` below the frame's peak has no sign of its own but that of the one before.
    """
    known = frames.abs() > 10 ** (-FLOOR / 20) * frames.abs().amax(2, keepdim=True)
    at = torch.where(known, torch.arange(frames.shape[2]), 0).cummax(2).values
    sign = (frames * known).sign().gather(2, at)
    return ((sign[..., 1:] * sign[..., :-1] < 0).float().mean(2, keepdim=True) + 1e-3).log()


def _pitch(frames: Tensor) -> dict[str, Tensor]:
    """The highest peak of the autocorrelation after its first zero, 43..2000 Hz, and where it is.

    Divided by the autocorrelation of the window, so that a periodic sound has 1 (Boersma 1993). Its
    multiples of a period fit as well, but for rounding: `OCTAVE_COST` an octave decides for the
    first.
    """
    window = torch.hann_window(N_FFT)

    def correlate(y: Tensor) -> Tensor:
        both: Tensor = torch.fft.irfft(torch.fft.rfft(y * window, 2 * N_FFT).abs().square())
        return both[..., : N_FFT // 2] / both[..., :1].clamp_min(TINY)

    r = correlate(frames) / correlate(torch.ones(N_FFT))
    r = r * ((r < 0).cumsum(-1) > 0)
    first = RATE // 2000
    r = r[..., first:]
    lags = torch.arange(first, first + r.shape[-1])
    at = (r - OCTAVE_COST * lags.log2()).argmax(-1, keepdim=True)
    return {"periodicity": r.gather(-1, at), "pitch": _octaves(RATE / (at + first))}


def _envelope(x: Tensor) -> dict[str, Tensor]:
    """Rise, fall, length and modulation of the level of x [B, T], in blocks of `BLOCK` samples."""
    step = BLOCK / RATE
    level = x.unfold(1, BLOCK, BLOCK).square().mean(2)
    level = level / level.amax(1, keepdim=True).clamp_min(TINY)  # [B, L], power
    db = 10 * (level + TINY).log10()
    audible = db >= db.amax(1, keepdim=True) - HEARD
    at = torch.arange(level.shape[1])
    peak = level.argmax(1, keepdim=True)

    def first(where: Tensor) -> Tensor:
        """Index of the first block of each row, the number of blocks if none."""
        return torch.where(where, at, len(at)).amin(1, keepdim=True)

    attack = (peak - first(db >= -20)).clamp_min(0)
    decay = [first((at > peak) & (db < -fall)) - peak for fall in (10, 20, 30)]
    length = [(db >= -fall).sum(1, keepdim=True) for fall in (6, 10, 20, HEARD)]
    mass = level / level.sum(1, keepdim=True).clamp_min(TINY)
    middle = (mass * at).sum(1, keepdim=True)
    spread = (mass * (at - middle).square()).sum(1, keepdim=True).sqrt()
    mean = (level * audible).sum(1, keepdim=True) / audible.sum(1, keepdim=True)
    above = (db + HEARD).clamp_min(0)
    window = torch.hann_window(len(at))
    wave = torch.fft.rfft((above - above.mean(1, keepdim=True)) * window)
    hz = torch.arange(wave.shape[1]) / (len(at) * step)
    still = FLAT**2 * len(at) / 2 * window.square().sum()  # what a movement of `FLAT` comes to
    total = wave.abs().square().sum(1) + still
    bands = [
        wave.abs().square()[:, (hz >= low) & (hz < high)].sum(1) / total
        for low, high in pairwise(MODULATION)
    ]
    smooth = 20 * (F.avg_pool1d(level.sqrt()[:, None], 4, 2)[:, 0] + 1e-3).log10()
    rise = (smooth[:, 2:] - smooth[:, :-2]).clamp_min(0)
    top = (rise[:, 1:-1] > rise[:, :-2]) & (rise[:, 1:-1] >= rise[:, 2:]) & (rise[:, 1:-1] > 6)
    return {
        "attack": _log_seconds(attack * step),
        "decay": _log_seconds(torch.cat(decay, 1) * step),
        "length": _log_seconds(torch.cat(length, 1) * step),
        "time centroid": _log_seconds((middle - first(audible)).clamp_min(0) * step),
        "time spread": _log_seconds(spread * step),
        "crest": -10 * (mean + TINY).log10(),
        "loudness deviation": torch.where(audible, db, 0).square().sum(1, keepdim=True).sqrt()
        / audible.sum(1, keepdim=True).sqrt(),
        "modulation": (torch.stack(bands, 1) + 1e-4).log(),
        "onsets": (top.sum(1, keepdim=True) + 1.0).log(),
        "rises": _log_seconds(rise.mean(1, keepdim=True)),
    }


def _band_times(bands: Tensor, audible: Tensor) -> Tensor:
    """When each of eight bands sounds, its centre of energy after the start; [B, 8]."""
    energy = bands.unfold(2, MELS // 8, MELS // 8).sum(3)  # [B, L, 8]
    at = torch.arange(bands.shape[1])[:, None] * HOP / RATE
    middle = (energy * at).sum(1) / energy.sum(1).clamp_min(TINY)
    start = audible.int().argmax(1, keepdim=True) * HOP / RATE
    return _log_seconds((middle - start).clamp_min(0))


def _octaves(hz: Tensor) -> Tensor:
    return hz.clamp_min(20.0).log2()


def _log_seconds(seconds: Tensor) -> Tensor:
    return (seconds + 0.003).log()
