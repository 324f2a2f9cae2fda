"""Tagging: the names of a vocabulary that fit a recording best, and when they sound.

Every name is a prompt, and the tagger answers all of them at once. What its answer is worth for a
name of which nobody said that it is there was fitted apart (`sds.train.presence`). A name that
means nearly the same as one before it is left out, and so is a second one of a class that is not
likely by itself, so the list reads as parts of a whole.

`active_spans` chooses names that together explain a recording, for a separation without prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from sds.detection.evidence import STRETCH, PresenceNetworks, Read, evidence, stretch
from sds.detection.presence import (
    FOLDER,
    Activity,
    Calibration,
    ask,
    load_calibration,
    presence_of,
)
from sds.priors.sentence_encoder import encode_sentences
from sds.priors.spectral_codec import stft

VOCABULARY = FOLDER / "vocabulary.txt"
ALIKE = 0.7  # cosine of two names' sentence vectors from which they are one
LIKELY = 0.5  # probability from which a second name of a class is listed
SURE = 0.3  # probability below which even the best name is a guess
RIVALS = 12  # names that `active_spans` chooses from ...
PARTS = 6  # ... at most so many
STRETCHES = 5  # of the recording that they have to explain, evenly over it
GAIN = 0.08  # share of the magnitude, times a name's probability, that is worth a part


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A prompt with the probability that its sound is there.

    - `score`: that probability, 0..1; `present`: whether it is above the threshold.
    - `activity`: the probability second by second.
    """

    prompt: str
    score: float
    present: bool
    activity: tuple[float, ...]


@cache
def vocabulary(path: Path = VOCABULARY) -> dict[str, str]:
    """Names of sounds with the class of each: lines "class: name, name"; # begins a comment."""
    names: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            label, _, rest = line.partition(":")
            names |= {name.strip(): label.strip() for name in rest.split(",")}
    return names


def suggest(
    networks: PresenceNetworks,
    activity: Activity,
    *,
    top: int,
    names: Sequence[str] | None = None,
    calibration: Calibration | None = None,
) -> list[Suggestion]:
    """Suggest at most `top` names that fit a recording, the likeliest first; none for silence.

    `names` are the vocabulary by default; others are each a class of its own. The probability is
    that of a name which nobody asked for. Raises `ValueError` for `top` below 1.
    """
    if top < 1:
        raise ValueError(f"top must be at least 1, got {top}")
    loud = activity.loud
    if not bool(loud.any()):
        return []
    calibration = calibration or load_calibration()
    classes = {name: name for name in names} if names else vocabulary()
    listed = [*classes]
    answers = ask(networks.tagger, activity, listed)
    scores = calibration.named.probability(answers.whole[:, None])
    order = scores.argsort(descending=True).tolist()
    vectors = encode_sentences([listed[i] for i in order])
    labels = [classes[listed[i]] for i in order]
    chosen = [order[i] for i in distinct(vectors, labels, scores[order].tolist(), top)]
    asked = calibration.alone.probability(answers.whole[:, None])
    pairs = torch.stack(
        [answers.seconds, answers.whole[:, None].expand_as(answers.seconds)], 2
    )
    seconds = calibration.second.probability(pairs) * loud
    return [
        Suggestion(
            prompt=listed[i],
            score=float(scores[i]),
            present=float(asked[i]) >= calibration.thresholds[0],
            activity=tuple(seconds[i].tolist()),
        )
        for i in chosen
    ]


def unsure(suggestions: Sequence[Suggestion]) -> bool:
    """Whether no suggestion is likely enough to be more than a guess."""
    return all(suggestion.score < SURE for suggestion in suggestions)


def distinct(
    vectors: Tensor, labels: Sequence[str], scores: Sequence[float], top: int
) -> list[int]:
    """Indices of the first `top` of N names of which no two are alike.

    Alike are those whose unit vectors [N, D] have a cosine of `ALIKE` or more, and those of one
    class unless the second is likely by itself.
    """
    chosen: list[int] = []
    for i in range(len(vectors)):
        if len(chosen) == top:
            break
        again = labels[i] in [labels[j] for j in chosen] and scores[i] < LIKELY
        if not again and not (chosen and float((vectors[chosen] @ vectors[i]).max()) >= ALIKE):
            chosen.append(i)
    return chosen


def prompt_activity(
    networks: PresenceNetworks,
    activity: Activity,
    read: Read,
    rate: int,
    prompts: Sequence[str],
    *,
    calibration: Calibration | None = None,
) -> Iterator[list[Suggestion]]:
    """Presence of each of the prompts, in their order: empty lists, until the last one."""
    answers = ask(networks.tagger, activity, prompts)
    figures = torch.zeros(0)
    for so_far in evidence(
        networks, activity, answers, read, rate, prompts, calibration=calibration
    ):
        yield []
        figures = so_far
    there = presence_of(
        answers, figures, activity.loud, hashes=networks.hashes, calibration=calibration
    )
    rows = zip(prompts, there.score, there.present, there.activity, strict=True)
    yield [Suggestion(*row) for row in rows]


def active_spans(
    networks: PresenceNetworks,
    activity: Activity,
    read: Read,
    rate: int,
    suggestions: Sequence[Suggestion],
) -> list[Suggestion]:
    """Choose those of `suggestions` that together explain most of the recording, largest part
    first.

    Greedy: each next one is the one with the largest share of what is left, times its probability;
    less than GAIN is worth none. What a set leaves of a cell is the product of what each would
    leave by itself, so the second name for a sound has little to explain. Without a query network,
    those that are present, or the first.
    """
    suggestions = suggestions[:RIVALS]
    if not suggestions:
        return []
    if networks.query is None:
        return [one for one in suggestions if one.present][:PARTS] or [suggestions[0]]
    shares, weight = prompt_shares(
        networks, activity, read, rate, [suggestion.prompt for suggestion in suggestions]
    )
    sure = torch.tensor([suggestion.score for suggestion in suggestions])
    chosen: list[int] = []
    while len(chosen) < min(PARTS, len(suggestions)):
        gains = sure * (shares @ weight)
        gains[chosen] = -1.0
        best = int(gains.argmax())
        if chosen and float(gains[best]) < GAIN:
            break
        chosen.append(best)
        weight = weight * (1 - shares[best])
    return [suggestions[i] for i in chosen]


def prompt_shares(
    networks: PresenceNetworks, activity: Activity, read: Read, rate: int, prompts: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Each prompt's share [K, cells] of some stretches of a recording, and the cells' weights
    [cells], in sum 1. Raises `ValueError` without a query network.
    """
    if networks.query is None:
        raise ValueError("there is no query network: nothing can be shared among prompts")
    seconds = len(activity.level_db)
    last = max(0, seconds - STRETCH)
    count = min(STRETCHES, 1 + last // STRETCH)
    shares, weights = [], []
    for start in {round(last * i / max(1, count - 1)) for i in range(count)}:
        audio = stretch(read, rate, start, seconds)
        shares.append(networks.query.mel_logits(audio, prompts).sigmoid().flatten(1))
        weights.append((networks.query.net.codec.mel @ stft(audio[None])[0].abs()).flatten())
    weight = torch.cat(weights)
    return torch.cat(shares, 1), weight / weight.sum().clamp_min(1e-9)
