"""Prompts that people type, forty of them, to search patches for.

No recording belongs to them. Where the statistics of real recordings know what such a sound is
like, their classes (`sds.datasets.reference_statistics.CLASSES`) are named: a sound is confirmed
when one of them is among its first three, of 22. Those that are `last` are left out whenever a run
is limited to some items, so that nothing is chosen by them: they are looked at when everything is
done.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt, its family, the classes that the statistics may take its sound for, and whether it
    is kept for last.
    """

    text: str
    family: str
    classes: tuple[str, ...] = ()
    last: bool = False


UNSEEN = (
    Asked("tin can dropped on concrete", "unseen", ("metal",)),
    Asked("lo-fi hip hop kick", "unseen", ("kick",)),
    Asked("seagulls at a harbour", "unseen", ("bird", "sea waves")),
)
"""Those of the first scoreboard; none is a caption of the training corpus."""

EVERYDAY = (
    Asked("punchy techno kick", "drums", ("kick",)),
    Asked("snare with long reverb", "drums", ("snare",)),
    Asked("trashy open hi-hat", "drums", ("hi-hat", "cymbal")),
    Asked("dry conga slap", "drums", ("hand drum",)),
    Asked("rimshot in a small room", "drums", ("snare", "wood"), last=True),
    Asked("big taiko drum", "drums", ("kick", "hand drum"), last=True),
    Asked("808 sub bass", "bass", ("bass", "kick")),
    Asked("dubstep wobble bass", "bass", ("bass",)),
    Asked("fretless bass note", "bass", ("bass",)),
    Asked("distorted reese bass", "bass", ("bass",), last=True),
    Asked("soft felt piano", "keys", ("piano",)),
    Asked("electric piano with chorus", "keys", ("piano", "guitar", "bell")),
    Asked("church organ chord", "keys"),
    Asked("bright harpsichord", "keys", ("piano", "guitar"), last=True),
    Asked("warm analog pad", "pads"),
    Asked("slow choir pad", "pads", ("singing",)),
    Asked("dark ambient drone", "pads"),
    Asked("shimmering string pad", "pads", last=True),
    Asked("church bell", "bells", ("bell",)),
    Asked("gamelan gong", "bells", ("bell", "metal", "cymbal")),
    Asked("music box", "bells", ("bell", "glass")),
    Asked("wind chimes in the garden", "bells", ("bell", "metal", "glass"), last=True),
    Asked("muted nylon guitar", "plucks", ("guitar",)),
    Asked("harp pluck", "plucks", ("guitar", "piano")),
    Asked("kalimba", "plucks", ("bell", "wood", "guitar")),
    Asked("short synth pluck", "plucks", ("guitar", "bass", "piano"), last=True),
    Asked("supersaw lead", "leads"),
    Asked("smoky saxophone", "leads", ("saxophone",)),
    Asked("breathy pan flute", "leads", ("flute",), last=True),
    Asked("laser zap", "effects"),
    Asked("noise riser before the drop", "effects"),
    Asked("vinyl crackle", "effects", ("fire",)),
    Asked("robot voice", "effects", ("singing",), last=True),
    Asked("footsteps on gravel", "foley"),
    Asked("glass bottle clink", "foley", ("glass",)),
    Asked("metal pipe dropped on the floor", "foley", ("metal",)),
    Asked("knocking on a wooden door", "foley", ("wood",), last=True),
    Asked("rain on a tin roof", "nature", ("rain",)),
    Asked("dog bark", "nature", ("dog",)),
    Asked("water dripping in a cave", "nature", ("water",)),
)

SHOTS = {
    "kick": ("kick",),
    "snare": ("snare",),
    "hihat": ("hi-hat",),
    "cymbal": ("cymbal",),
    "tom": ("kick", "hand drum"),
    "hand drum": ("hand drum",),
    "bass": ("bass",),
    "wood": ("wood",),
    "metal": ("metal",),
    "glass": ("glass",),
    "bell": ("bell",),
}
"""The classes of the statistics that a recording's class of the evaluation data may be taken for;
claps and impacts are none of theirs."""
