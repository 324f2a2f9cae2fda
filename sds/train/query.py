"""Train the separator by prompts (`sds.separation.query_network`) on mixtures made while it trains.

    python -m sds.train.query --data runs/corpus --out runs/query --minutes 70
    python -m sds.train.query --data runs/corpus --out runs/query --minutes 30 --cool
    python -m sds.train.pairs --query runs/query/shipped --sharpen

Mixtures are those of `sds.train.mixing`. Three losses: the cross entropy of the shares of the
queries in each cell against the true ones, cells weighing by the magnitudes of the sources in them;
the level of what each stem lacks or has too much, in dB of its source (a threshold keeps silent
sources finite: Wisdom et al. 2021, arXiv 2110.10739); and whether a prompt's sound is there at all.

What the network is given, the first guess and the fit of the trunk's cells, must not have heard the
clips that it is trained on, or it would learn to trust it too much. The first guess was trained on
the split `prior`, and so is the text head that it learns with (--words); the head that ships has
heard both. The network is trained on the other split.

The rate stays as it is but for the first steps; a run with --cool lets it fall to nothing by its
end. Resumes from --out. What ships is the moving average, in half precision, in --out/shipped.
"""

from __future__ import annotations

import argparse
import copy
import logging
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from sds.priors.checkpoints import read_tensors
from sds.separation.query_network import HOP, Guides, Heard, N, Prompts, QueryNet, hear
from sds.separation.single_prompt_network import load_single_prompt_net
from sds.signal.spectrogram import stft
from sds.similarity.cell_words import load_cell_words
from sds.train.common import Checkpoint, average_into, half, write_weights
from sds.train.data import Corpus
from sds.train.mixing import PROMPTS, Mixed, Mixer

log = logging.getLogger(__name__)
FRAMES = 256  # of a mixture, 3.0 s
THRESHOLD = 1e-3  # of the mixture's energy: errors below count less and less
LEVEL, PRESENCE = 0.08, 0.2  # weights of the two losses beside the cross entropy
TRAINED = frozenset({"evaluation_scorer"})  # first guess and --words have heard the others
CHECKED = 12  # batches of held-back clips
WAITING = 24  # batches kept to come again
POLITE = 2  # how much the process that makes batches yields to others
PARTS = frozenset({"recordings", "midi", "procedural"})  # nobody mixes bare patches


@dataclass(frozen=True, slots=True)
class Batch:
    """Mixtures as the network is given them, and its targets.

    - `heard`: what is heard of them; `text`: [B, K, D]; `asked`, `there`: [B, K], as `Mixed` has
      them.
    - `shares`: [B, K + 1, M, L], the true ones, the rest's last; `weight`: [B, M, L], of the cells.
    - `power`: [B, M, L] of the mixture; `cross`: [B, K + 1, M, L], real part of the mixture's
      product with each source; `energy`: [B, K + 1] of the sources. Masks m make errors of
      m^2 power - 2 m cross + energy.
    """

    heard: Heard
    text: Tensor
    asked: Tensor
    there: Tensor
    shares: Tensor
    weight: Tensor
    power: Tensor
    cross: Tensor
    energy: Tensor


class Batches(IterableDataset[Batch]):
    """Batches without end, made in a process of their own beside the one that trains."""

    def __init__(
        self, net: QueryNet, guides: Guides, mixer: Mixer, *, size: int, seed: int
    ) -> None:
        self.net, self.guides, self.mixer = net, guides, mixer
        self.size, self.seed = size, seed

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
        os.nice(POLITE)
        rng = np.random.default_rng(self.seed)
        while True:
            yield self.draw(rng)

    def draw(self, rng: np.random.Generator) -> Batch:
        """Draw a batch."""
        return prepare(self.net, self.guides, [self.mixer.draw(rng) for _ in range(self.size)])


def again(batches: Iterable[Batch], times: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Each batch so many times, the later ones among the others': making one takes as long as
    learning from it.
    """
    waiting: list[Batch] = []
    for batch in batches:
        yield batch
        waiting += [batch] * (times - 1)
        if len(waiting) > WAITING:
            for _ in range(times - 1):
                yield waiting.pop(int(rng.integers(len(waiting))))


@torch.no_grad()
def prepare(net: QueryNet, guides: Guides, mixed: list[Mixed]) -> Batch:
    """What the network hears of some mixtures, and what it should say."""
    audio = torch.stack([m.sounds.sum(0) for m in mixed])
    asked = torch.stack([m.asked for m in mixed])
    count = int(asked.sum(1).max())  # places that nobody uses cost time
    text = torch.stack([m.text for m in mixed])[:, :count]
    words = torch.stack([m.words for m in mixed])[:, :count]
    places = [*range(count), PROMPTS]
    rows = [_targets(net, m) for m in mixed]
    powers, cross, power, energy = (torch.stack(part) for part in zip(*rows, strict=True))
    weight = powers.sqrt()
    weight = (weight / weight.sum((2, 3), keepdim=True).clamp_min(1e-6)).mean(1)
    return Batch(
        heard=hear(net, guides, audio, Prompts(text, words), asked[:, :count]),
        text=text,
        asked=asked[:, :count],
        there=torch.stack([m.there for m in mixed])[:, :count],
        shares=(powers / powers.sum(1, keepdim=True).clamp_min(1e-12))[:, places],
        weight=weight / weight.sum((1, 2), keepdim=True).clamp_min(1e-12),
        power=power,
        cross=cross[:, places],
        energy=energy[:, places],
    )


def _targets(net: QueryNet, mixed: Mixed) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Powers of the sources on mel bands [K + 1, M, L], then `cross`, `power` and `energy` of one
    mixture, as `Batch` has them.
    """
    there = F.pad(mixed.there, (0, 1), value=True).nonzero()[:, 0]
    spectra = stft(mixed.sounds[there][:, None], N)[:, 0]  # [n, F, L]
    real, imaginary = spectra.real.contiguous(), spectra.imag.contiguous()
    whole, turned = real.sum(0), imaginary.sum(0)
    gather = net.spread.T  # what a mask of bands does to bins, turned round
    own = real.square() + imaginary.square()
    powers = torch.zeros(len(mixed.sounds), len(net.mel), own.shape[-1])
    cross, energy = torch.zeros_like(powers), torch.zeros(len(powers))
    powers[there], cross[there] = net.mel @ own, gather @ (real * whole + imaginary * turned)
    energy[there] = own.sum((1, 2))
    return powers, cross, gather @ (whole.square() + turned.square()), energy


def losses(net: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """The losses of the module's text, each a number [], and `total`; `improved` in dB is how much
    better than the mixture the stems of the prompts are.
    """
    logits, presence = net(batch.heard, batch.text, batch.asked)
    logs = logits.log_softmax(1)
    entropy = -(batch.weight[:, None] * batch.shares * logs).sum() / len(logits)
    masks = logs.exp()
    power = batch.power[:, None]
    error = (masks.square() * power - 2 * masks * batch.cross).sum((2, 3)) + batch.energy
    floor = THRESHOLD * batch.energy.sum(1, keepdim=True)
    lack = 10 * ((error.clamp_min(0) + floor) / (batch.energy + floor)).log10()  # [B, K + 1] dB
    counted = F.pad(batch.asked, (0, 1), value=True)
    level = lack[counted].mean()
    whole = (power - 2 * batch.cross).sum((2, 3)) + batch.energy
    before = 10 * ((whole.clamp_min(0) + floor) / (batch.energy + floor)).log10()
    here = F.pad(batch.there, (0, 1))
    said = F.binary_cross_entropy_with_logits(
        presence[batch.asked], batch.there[batch.asked].float()
    )
    return {
        "total": entropy + LEVEL * level + PRESENCE * said,
        "entropy": entropy,
        "level": level,
        "presence": said,
        "improved": (before - lack)[here].mean(),
    }


@torch.no_grad()
def held_back(net: QueryNet, batches: list[Batch]) -> dict[str, float]:
    """The mean losses on the same mixtures of held-back clips each time."""
    rows = [losses(net, batch) for batch in batches]
    return {name: float(torch.stack([row[name] for row in rows]).mean()) for name in rows[0]}


def begin_from(net: QueryNet, mean: QueryNet, path: Path) -> None:
    """Begin with the weights of a network that may have had fewer parts."""
    for network in (net, mean):
        missing, unknown = network.load_state_dict(read_tensors(path), strict=False)
        log.info("%s has none of %s; unknown %s", path, missing, unknown)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs/query"))
    parser.add_argument("--words", type=Path, default=Path("runs/words"), help="folder of a head")
    parser.add_argument("--begin", type=Path, help="weights to begin a new run with")
    parser.add_argument("--minutes", type=float, default=70.0)
    parser.add_argument("--steps", type=int, default=1_000_000, help="ends the training")
    parser.add_argument("--cool", action="store_true", help="let the rate fall to nothing")
    parser.add_argument("--batch", type=int, default=8, help="mixtures a step")
    parser.add_argument("--times", type=int, default=2, help="that a batch is learned from")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--real", type=float, default=4.0, help="how often recordings are drawn")
    parser.add_argument("--check", type=int, default=250, help="steps between two held-back losses")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Train, with a checkpoint every three minutes."""
    args = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(args.seed)
    net = QueryNet()
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    mean = copy.deepcopy(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=args.rate, betas=(0.9, 0.99))
    checkpoint = Checkpoint(args.out)
    step = checkpoint.load(net, optimizer, mean) if checkpoint.exists else 0
    if not checkpoint.exists and args.begin is not None:
        begin_from(net, mean, args.begin)
    frames = (FRAMES - 1) * HOP
    options = {"frames": frames, "real": args.real, "kept": args.out}
    mixer = Mixer(Corpus(args.data, TRAINED, PARTS), **options)
    held = Mixer(Corpus(args.data, frozenset({"held"}), PARTS, half="choose"), **options)
    rng = np.random.default_rng(0)
    guides = Guides(load_single_prompt_net(), load_cell_words(args.words))
    still = Batches(net, guides, held, size=args.batch, seed=0)
    fixed = [still.draw(rng) for _ in range(CHECKED)]
    batches = Batches(copy.deepcopy(net), guides, mixer, size=args.batch, seed=args.seed + step)
    loader = DataLoader(batches, batch_size=None, num_workers=1)
    size = sum(p.numel() for p in net.parameters()) / 1e6
    log.info("%d clips, %.2f M parameters, step %d", len(mixer.weights), size, step)
    begin, first = time.monotonic(), step
    totals: dict[str, float] = {}
    for batch in again(loader, args.times, rng):
        spent = (time.monotonic() - begin) / (60 * args.minutes)
        if spent >= 1 or step >= args.steps:
            break
        for group in optimizer.param_groups:
            group["lr"] = args.rate * min(1.0, (step + 1) / 200, 1 - spent if args.cool else 1.0)
        row = losses(net, batch)
        optimizer.zero_grad()
        torch.autograd.backward([row["total"]])
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        step += 1
        average_into(mean, net, min(args.ema, (step + 1) / (step + 10)))
        totals = {
            name: totals.get(name, 0.0) + float(value.detach()) for name, value in row.items()
        }
        if step % args.check == 0:
            log.info(
                "step %d, %.2f steps/s, %s; held back %s",
                step,
                (step - first) / (time.monotonic() - begin),
                {name: round(total / args.check, 3) for name, total in totals.items()},
                {name: round(value, 3) for name, value in held_back(mean, fixed).items()},
            )
            totals = {}
        if checkpoint.due():
            checkpoint.save(step, net, optimizer, mean)
            write_weights(half(mean.state_dict()), args.out / "shipped" / "model.safetensors")
    checkpoint.save(step, net, optimizer, mean)
    write_weights(half(mean.state_dict()), args.out / "shipped" / "model.safetensors")


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
