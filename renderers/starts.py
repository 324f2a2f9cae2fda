"""Where a search starts and what a corpus hears: musical random patches of each renderer."""

from __future__ import annotations

import torch
from torch import Tensor

from presets import Note
from renderers import fm, impact
from renderers.base import Renderer, positions
from renderers.families import FAMILIES, REST, Family
from renderers.gestures import gestures
from renderers.room import centres

# attack s, decay s, index rad (low, high each), how often a ratio is not harmonic, its range
FM_SOUNDS = (
    (0.001, 0.004, 0.15, 0.9, 0.3, 3.0, 0.1, 0.5, 7.0),  # pluck, struck string
    (0.001, 0.003, 1.0, 6.0, 0.4, 3.0, 0.7, 1.0, 11.0),  # bell, pot, bar
    (0.001, 0.003, 0.04, 0.3, 0.5, 4.0, 0.8, 1.0, 16.0),  # click, wood block, hat
    (0.001, 0.005, 0.1, 0.6, 0.3, 3.0, 0.4, 0.25, 1.0),  # kick, tom
    (0.003, 0.02, 0.4, 2.5, 0.5, 3.0, 0.05, 0.25, 2.0),  # bass
    (0.02, 0.12, 1.0, 5.0, 0.5, 3.0, 0.05, 1.0, 4.0),  # brass, reed
    (0.1, 1.0, 3.0, 10.0, 0.1, 1.5, 0.2, 0.5, 4.0),  # pad
    (0.001, 0.3, 0.2, 4.0, 3.0, 4.0, 1.0, 0.5, 16.0),  # noise, wind, engine
)
FM_RATIOS = (0.5, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 4.0, 5.0, 7.0)


def fm_patches(instrument: Renderer, count: int, generator: torch.Generator) -> Tensor:
    """Musical random patches u [count, P]: plucks, bells, basses, reeds, pads, drums, noise.

    Each is a row of `FM_SOUNDS` jittered; the last operator carries, others may join the mix. In an
    algorithm of the DX7 the first one is the last, all its carriers join, and so do most edges.
    For a full voice they are of `renderers.families`, each as often, and a middle C peaks near 0.5.
    """
    lay = fm.layout(instrument.params)
    V = lay.operators
    if lay.moving is not None:
        return _full_patches(instrument, count, generator)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    table = torch.tensor(FM_SOUNDS, dtype=torch.float64)
    kind = table[torch.randint(len(FM_SOUNDS), (count,), generator=generator)]  # [count, 9]

    def spread(low: int, *shape: int) -> Tensor:
        a, b = kind[:, low, None].log(), kind[:, low + 1, None].log()
        return torch.exp(a + (b - a) * uniform(*shape))

    harmonic = torch.tensor(FM_RATIOS, dtype=torch.float64)
    ratio = harmonic[torch.randint(len(FM_RATIOS), (count, V), generator=generator)]
    odd = uniform(count, V) < kind[:, 6, None]
    ratio = torch.where(odd, spread(7, count, V), ratio)
    ratio[:, -1] = torch.where(odd[:, -1], ratio[:, -1], kind[:, 7])
    carrier = uniform(count, V) < 0.25
    carrier[:, -1] = True
    sparse = lay.edges.numel() < V * (V + 1) // 2
    if sparse:
        carrier[:] = False
        carrier[:, lay.carriers] = True
    values = torch.zeros(count, len(instrument.params), dtype=torch.float64)
    values[:, lay.ratio] = ratio * torch.exp(0.003 * (uniform(count, V) - 0.5))
    values[:, lay.attack] = spread(0, count, V)
    # a modulator that dies before its carrier is what makes a sound struck rather than held
    values[:, lay.decay] = spread(2, count, V) * torch.where(carrier, 1.0, uniform(count, V))
    mix = torch.where(carrier, 0.2 + 0.8 * uniform(count, V), 0.0)
    values[:, lay.mix] = mix[:, lay.carriers]
    E = lay.edges.numel()
    own = lay.cells % (V + 1) == 0
    joined = uniform(count, E) < torch.where(own, 0.35, 0.95 if sparse else 0.6)
    depth = spread(4, count, E) * uniform(count, E) * torch.where(own, 0.2, 1.0)
    values[:, lay.edges] = torch.where(joined, depth, 0.0)
    values[:, -1] = 0.3 + 0.5 * uniform(count)
    return positions(lay.table, fm.average_shared(lay, values))


def family_patches(
    instrument: Renderer, family: Family, count: int, generator: torch.Generator
) -> Tensor:
    """Patches u [count, P] of one family, a middle C peaking near 0.5.

    Raises `ValueError` when the instrument is not a full FM voice.
    """
    lay = fm.layout(instrument.params)
    if lay.moving is None:
        raise ValueError("families are for the full voice")
    V, E = lay.operators, lay.edges.numel()

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    def draw(limits: tuple[float, float], log: bool, *shape: int) -> Tensor:
        low, high = limits
        if log:
            return low * (high / low) ** uniform(*shape)
        return low + (high - low) * uniform(*shape)

    def choice(options: tuple[float, ...]) -> Tensor:
        table = torch.tensor(options, dtype=torch.float64)
        return table[torch.randint(len(options), (count, V), generator=generator)]

    sparse = E < V * (V + 1) // 2  # an algorithm of the DX7: what is heard is given
    carrier = uniform(count, V) < family.join
    carrier[:, -1] = True
    if sparse:
        carrier[:] = False
        carrier[:, lay.carriers] = True
    values = torch.zeros(count, len(instrument.params), dtype=torch.float64)
    ratio = torch.where(carrier, choice(family.heard), choice(family.hidden))
    values[:, lay.ratio] = ratio * 2.0 ** (family.stray * (2.0 * uniform(count, V) - 1.0))
    values[:, lay.moving.detune] = family.detune * (2.0 * uniform(count, V) - 1.0)
    # operators of one patch are alike: one draw, jittered
    jitter = 2.0 ** (uniform(count, V) - 0.5)
    fading = torch.where(carrier, 1.0, draw(family.fading, False, count, V))
    values[:, lay.attack] = draw(family.attack, True, count, 1) * jitter
    values[:, lay.decay] = draw(family.decay, True, count, 1) * jitter * fading
    values[:, lay.moving.sustain] = draw(family.sustain, False, count, 1) * fading
    values[:, lay.moving.release] = draw(family.release, True, count, 1) * jitter
    tone = draw(family.tone, False, count, 1)
    mix = torch.where(carrier, tone * (0.3 + 0.7 * uniform(count, V)), 0.0)
    mix[:, -1] = tone[:, 0]
    values[:, lay.mix] = mix[:, lay.carriers]
    own = lay.cells % (V + 1) == 0
    joined = uniform(count, E) < torch.where(own, 0.5, 0.95 if sparse else 0.6)
    joined |= lay.cells == V * V - 2  # into the last, which is always heard
    depth = torch.where(
        own, draw(family.feedback, False, count, E), draw(family.index, True, count, E)
    )
    values[:, lay.edges] = torch.where(joined, depth, 0.0)
    for name, column in lay.moving.once.items():
        rest = REST.get(name, 1.0)  # `level` is set by the peak
        limits = family.moves.get(name, (rest, rest))
        log = instrument.params[column].scale == "log"
        values[:, column] = draw(limits, log, count)
    return _levelled(instrument, fm.average_shared(lay, values))


def _levelled(instrument: Renderer, values: Tensor) -> Tensor:
    """u [count, P] of values [count, P], its level such that a middle C held 1.5 s peaks at 0.5."""
    table = fm.layout(instrument.params).table
    u = positions(table, values)
    values[:, -1] *= 0.5 / _peaks(instrument, u, 44100, 66150).clamp_min(1e-6)
    return positions(table, values)


def _full_patches(instrument: Renderer, count: int, generator: torch.Generator) -> Tensor:
    """Patches u [count, P] of all families, drawn at random."""
    kind = torch.randint(len(FAMILIES), (count,), generator=generator)
    u = torch.empty(count, len(instrument.params), dtype=torch.float64)
    for k, family in enumerate(FAMILIES.values()):
        mine = kind == k
        if mine.any():
            u[mine] = family_patches(instrument, family, int(mine.sum()), generator)
    return u


# lowest mode Hz (from, to), its decay s (from, to), then per octave: octaves of gain lost, octaves
# of decay lost; how uneven the gains are
IMPACT_MATERIALS = (
    (120.0, 900.0, 0.06, 0.4, 0.5, 0.3, 4.0),  # wood
    (100.0, 700.0, 0.8, 6.0, 0.2, 0.3, 8.0),  # metal: pots, bells, bars
    (500.0, 2500.0, 0.3, 2.0, 0.3, 0.2, 8.0),  # glass, china
    (40.0, 200.0, 0.2, 1.2, 1.2, 0.6, 2.0),  # skin: drums
    (30.0, 60.0, 0.2, 0.7, 2.5, 0.5, 1.0),  # kick, floor
    (200.0, 2000.0, 0.02, 0.1, 0.1, 0.1, 1.0),  # stone, clicks, claps
    (60.0, 300.0, 4.0, 10.0, 0.6, 0.2, 6.0),  # plates, gongs, strings
)
CHUNK = 64  # patches whose level is measured at once


def impact_patches(instrument: Renderer, count: int, generator: torch.Generator) -> Tensor:
    """Musical random patches u [count, P]: struck wood, metal, glass, skin, stone, in a room.

    Each is a row of `IMPACT_MATERIALS` jittered: log-spaced modes, high ones softer and shorter,
    some much louder than others. In the full voice each is struck as one of `gestures.GESTURES`
    says. Levels are set so that a middle C peaks at 0.5.
    """
    lay = impact.layout(instrument.params)
    N, M = lay.modes, lay.bands

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    table = torch.tensor(IMPACT_MATERIALS, dtype=torch.float64)
    if lay.full:
        material, struck = gestures(count, generator)
    else:
        material = torch.randint(len(IMPACT_MATERIALS), (count,), generator=generator)
        struck = torch.empty(count, 0, dtype=torch.float64)
    kind = table[material]  # [count, 7]

    def spread(low: int) -> Tensor:
        a, b = kind[:, low, None].log(), kind[:, low + 1, None].log()
        return torch.exp(a + (b - a) * uniform(count, 1))

    lowest, longest = spread(0), spread(2)
    if lay.full:  # a mallet that stays longer than a period does not excite it
        soft, clean = struck[:, :1], struck[:, 1:2] == 0.0
        struck[:, :1] = torch.where(clean, soft.minimum(1.0 / lowest), soft)
    place = (torch.arange(N) + uniform(count, N)) / N
    hz = lowest * (14000.0 / lowest) ** place
    octaves = torch.log2(hz / lowest)
    # uniform^p: p near 1 is a dense clang, p large leaves a few modes standing
    peaky = uniform(count, N) ** (1.0 + kind[:, 6, None] * uniform(count, 1))
    gain = peaky * 2.0 ** (-kind[:, 4, None] * octaves)
    decay = longest * 2.0 ** (-kind[:, 5, None] * octaves) * torch.exp(uniform(count, N) - 0.5)
    room = torch.arange(M) / M
    echo = 10.0 ** (-2.5 + 2.0 * uniform(count, 1) - uniform(count, 1) * room)
    fading = 0.1 * 25.0 ** uniform(count, 1) * 0.3**room
    bands = [echo * torch.exp(uniform(count, M) - 0.5), fading]
    if lay.centred:
        bands.append(centres(M).expand(count, M))
    values = torch.cat(
        [
            torch.stack([hz, gain, decay], dim=2).flatten(1),
            torch.stack(bands, dim=2).flatten(1),
            struck,
            torch.ones(count, 2),
            0.5 + 0.5 * uniform(count, 1),
            torch.ones(count, 1),
        ],
        dim=1,
    )
    samples = 33075 if lay.full else 11025  # further hits may be louder than the first
    peaks = _peaks(instrument, positions(lay.table, values), 22050, samples)
    values[:, -1] = 0.5 / peaks.clamp_min(1e-6)
    return positions(lay.table, values)


def _peaks(instrument: Renderer, u: Tensor, rate: int, samples: int) -> Tensor:
    """Peaks [count] of a middle C."""
    with torch.no_grad():
        peaks = [
            instrument.render(part, Note(60), rate, samples).abs().amax((1, 2))
            for part in torch.split(u, CHUNK)
        ]
    return torch.cat(peaks)
