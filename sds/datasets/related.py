"""Classes of which a sound may bear the name of the other too: neither is absent where one is.

A kick drum is in a drum loop, and a can that is struck is metal. Where the one sounds, nothing
is learned or measured from a prompt for the other.
"""

from __future__ import annotations

_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("animal", ("dog", "bird", "farm animal", "rooster", "insect")),
    ("farm animal", ("rooster",)),
    ("percussion", ("kick", "snare", "tom", "hand drum", "hi-hat", "cymbal", "shaker", "timpani")),
    ("percussion", ("wood block", "electronic percussion", "mallet percussion", "hand clap")),
    ("percussion", ("gong", "impact", "drum loop", "wood", "rattle")),
    ("drum loop", ("kick", "snare", "tom", "hand drum", "hi-hat", "cymbal", "shaker", "hand clap")),
    ("electronic percussion", ("kick", "snare", "tom", "hi-hat", "hand clap", "drum loop")),
    ("electronic percussion", ("synth effect", "synth sequence")),
    ("tom", ("kick", "hand drum", "timpani", "snare")),
    ("hi-hat", ("cymbal", "shaker")),
    ("cymbal", ("gong",)),
    ("voice", ("speech", "singing", "crowd", "baby cry", "mouth noise", "sneeze")),
    ("speech", ("crowd", "singing")),
    ("crowd", ("applause", "singing")),
    ("applause", ("hand clap",)),
    ("metal", ("bell", "can", "chain", "coins and keys", "gong", "cymbal", "pipe", "spring")),
    ("metal", ("chimes", "mechanism", "impact", "scrape", "rattle", "squeak", "wood block")),
    ("metal", ("door", "click", "mallet percussion", "toy", "ceramic", "glass")),
    ("impact", ("wood", "stone", "glass", "ceramic", "plastic", "door", "debris", "pipe", "can")),
    ("impact", ("ball", "click", "footsteps", "tom", "kick", "gunshot", "hand clap")),
    ("mechanism", ("click", "motor", "clock", "toy", "drill", "pump", "door", "spring", "rattle")),
    ("mechanism", ("squeak", "plastic", "gunshot")),
    ("motor", ("engine", "drill", "pump", "toy", "helicopter", "chainsaw", "electric hum")),
    ("engine", ("chainsaw", "traffic", "train", "aircraft", "helicopter", "pump", "bicycle")),
    ("aircraft", ("helicopter",)),
    ("traffic", ("vehicle horn", "train", "bicycle")),
    ("noise", ("wind", "rain", "sea waves", "spray", "water", "tape", "electric hum", "whoosh")),
    ("water", ("rain", "sea waves")),
    ("thunder", ("rain", "explosion", "wind")),
    ("wind", ("whoosh", "sea waves")),
    ("explosion", ("gunshot", "impact", "debris")),
    ("debris", ("stone", "rolling", "wood", "glass")),
    ("guitar", ("plucked string",)),
    ("bass", ("plucked string",)),
    ("plucked string", ("folk instrument", "harpsichord", "bowed strings")),
    ("bowed strings", ("folk instrument",)),
    ("synth lead", ("synth tone", "synth sequence", "synth pad", "synth effect", "theremin")),
    ("synth pad", ("synth tone", "synth effect", "drone", "organ", "synth sequence")),
    ("synth effect", ("synth tone", "drone", "whoosh", "alarm", "synth sequence", "toy")),
    ("synth sequence", ("synth tone",)),
    ("synth tone", ("alarm", "electric hum", "theremin", "bass", "drone")),
    ("drone", ("electric hum", "noise", "folk instrument")),
    ("piano", ("electric piano",)),
    ("organ", ("accordion",)),
    ("reed", ("saxophone", "flute", "bagpipes", "folk instrument")),
    ("flute", ("folk instrument", "whistle")),
    ("bagpipes", ("folk instrument",)),
    ("bell", ("chimes", "gong", "mallet percussion", "alarm", "clock", "bicycle")),
    ("rattle", ("shaker", "coins and keys", "chain", "can", "plastic", "chimes")),
    ("scrape", ("squeak", "stone", "plastic", "wood", "glass", "ceramic", "rolling")),
    ("squeak", ("door", "balloon and rubber", "toy", "wood", "plastic", "bird")),
    ("rolling", ("ball",)),
    ("cloth", ("paper", "plastic", "tape")),
    ("paper", ("plastic", "tape")),
    ("plastic", ("toy", "can", "click", "ball")),
    ("glass", ("ceramic",)),
    ("wood", ("wood block", "door", "footsteps")),
    ("click", ("clock", "mouth noise")),
    ("alarm", ("siren", "vehicle horn", "clock")),
    ("spray", ("whoosh", "water")),
    ("food", ("mouth noise", "paper", "water")),
    ("gunshot", ("hand clap",)),
)

_MUSIC = tuple(
    "accordion,bagpipes,bass,bowed strings,brass,drone,drum loop,electric piano,flute,"
    "folk instrument,guitar,harpsichord,mallet percussion,organ,percussion,piano,plucked string,"
    "reed,saxophone,singing,synth effect,synth lead,synth pad,synth sequence,synth tone,theremin,"
    "timpani".split(",")
)

_PAIRS = frozenset(
    frozenset((one, other)) for one, others in (*_GROUPS, ("music", _MUSIC)) for other in others
)


def may_be(one: str, other: str) -> bool:
    """Whether a sound of class `one` may bear the name of class `other`, or the other way round.

    >>> may_be("drum loop", "kick"), may_be("guitar", "piano"), may_be("rain", "rain")
    (True, False, True)
    """
    return one == other or frozenset((one, other)) in _PAIRS
