"""Captions of sounds: phrases a class, other words for the same thing, templates.

A caption comes out of here lower case, without a full stop, most exact first.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

PHRASES: dict[str, tuple[str, ...]] = {
    "aircraft": ("aircraft", "airplane flying over", "plane engine"),
    "alarm": ("alarm", "alarm ringing", "warning alarm"),
    "animal": ("animal sound", "animal call"),
    "baby cry": ("baby crying", "crying baby", "infant wailing"),
    "ball": ("ball bouncing", "bouncing ball"),
    "bagpipes": ("bagpipes", "bagpipe drone", "bagpipe melody"),
    "balloon and rubber": ("balloon", "rubber sound", "rubbing a balloon"),
    "bass": ("bass", "bass note", "bass guitar"),
    "bell": ("bell", "bell ringing", "ringing bell"),
    "bicycle": ("bicycle", "riding a bike"),
    "bird": ("bird", "bird singing", "birdsong", "bird chirping"),
    "bowed strings": ("bowed strings", "violin", "string instrument played with a bow"),
    "can": ("can", "tin can", "hitting a can"),
    "ceramic": ("ceramic", "pottery", "ceramic object struck"),
    "chain": ("chain", "metal chain rattling"),
    "chainsaw": ("chainsaw", "chainsaw running", "chain saw motor"),
    "chimes": ("chimes", "wind chimes", "chimes tinkling"),
    "click": ("click", "clicking sound"),
    "clock": ("clock", "clock ticking", "ticking clock", "tick tock"),
    "cloth": ("cloth", "fabric rustling", "cloth moving"),
    "coins and keys": ("coins", "jingling keys", "coins and keys", "metal coins clinking"),
    "crowd": ("crowd", "people talking", "crowd of people"),
    "cymbal": ("cymbal", "cymbal crash", "cymbal hit"),
    "debris": ("debris", "rubble falling"),
    "dog": ("dog", "dog barking", "barking dog"),
    "door": ("door", "door opening and closing", "door slam"),
    "drill": ("drill", "electric drill", "drilling"),
    "drone": ("drone", "drone sound", "sustained dark drone"),
    "drum loop": ("drum loop", "drum beat", "drums playing a groove"),
    "electric hum": ("electric hum", "mains hum", "electrical buzz"),
    "electronic percussion": ("electronic percussion", "electronic drum hit"),
    "engine": ("engine", "engine running", "motor engine"),
    "explosion": ("explosion", "explosion blast"),
    "farm animal": ("farm animal", "farm animal calling"),
    "fire": ("fire", "fire crackling", "burning fire"),
    "flute": ("flute", "flute note", "wind instrument"),
    "folk instrument": ("folk instrument", "traditional instrument"),
    "food": ("food", "food sounds", "food being prepared"),
    "footsteps": ("footsteps", "walking", "someone walking"),
    "glass": ("glass", "glass sound", "glass clinking"),
    "gong": ("gong", "gong hit", "large gong"),
    "guitar": ("guitar", "guitar playing", "strings of a guitar"),
    "gunshot": ("gunshot", "gun firing", "shot"),
    "hand clap": ("hand clap", "clap", "clapping hands"),
    "hand drum": ("hand drum", "hand percussion", "drum played with hands"),
    "helicopter": ("helicopter", "helicopter rotor", "chopper flying"),
    "hi-hat": ("hi-hat", "hihat", "high hat cymbal"),
    "impact": ("impact", "hit", "impact sound"),
    "insect": ("insect", "insects", "insect buzzing"),
    "kick": ("kick drum", "bass drum", "kick"),
    "mallet percussion": ("mallet percussion", "mallet instrument", "tuned percussion"),
    "mechanism": ("mechanism", "mechanical sound", "mechanical click"),
    "metal": ("metal", "metallic sound", "metal object"),
    "motor": ("motor", "electric motor", "motor running"),
    "mouth noise": ("mouth noise", "mouth sound", "sound made with the mouth"),
    "music": ("music", "music playing", "piece of music"),
    "noise": ("noise", "static noise", "hiss"),
    "paper": ("paper", "paper rustling", "handling paper"),
    "percussion": ("percussion", "percussion hit", "percussive sound"),
    "piano": ("piano", "piano playing", "piano note"),
    "pipe": ("pipe", "metal pipe", "hitting a pipe"),
    "plastic": ("plastic", "plastic sound", "plastic object"),
    "plucked string": ("plucked string", "string plucked", "plucked string instrument"),
    "pump": ("pump", "air pump", "pumping"),
    "rain": ("rain", "rain falling", "rainfall"),
    "rattle": ("rattle", "rattling", "rattling sound"),
    "rolling": ("rolling", "something rolling", "rolling wheels"),
    "rooster": ("rooster", "rooster crowing", "cock crowing"),
    "saxophone": ("saxophone", "sax", "saxophone playing", "saxophone note"),
    "scrape": ("scrape", "scraping", "scraping sound"),
    "sea waves": ("sea waves", "ocean waves", "waves on the beach", "surf"),
    "shaker": ("shaker", "maraca", "shaker percussion"),
    "singing": ("singing", "voice singing", "vocals"),
    "siren": ("siren", "siren wailing", "emergency siren"),
    "snare": ("snare drum", "snare", "snare hit"),
    "sneeze": ("sneeze", "person sneezing", "sneezing"),
    "speech": ("speech", "person talking", "someone speaking", "spoken words"),
    "spray": ("spray", "spray can", "spraying"),
    "spring": ("spring", "metal spring", "spring twanging"),
    "squeak": ("squeak", "squeaking", "squeaky sound"),
    "stone": ("stone", "stones", "rock hitting rock"),
    "synth effect": ("synth effect", "synthesizer sound effect", "electronic sound effect"),
    "synth lead": ("synth lead", "lead synthesizer", "synthesizer melody"),
    "synth pad": ("synth pad", "synthesizer pad", "sustained synthesizer"),
    "synth sequence": ("synth sequence", "sequenced synthesizer", "synthesizer arpeggio"),
    "tape": ("tape", "adhesive tape", "pulling tape"),
    "theremin": ("theremin", "theremin tone", "gliding theremin"),
    "thunder": ("thunder", "thunder rumbling", "thunderstorm"),
    "tom": ("tom drum", "tom", "drum hit"),
    "toy": ("toy", "toy sound", "mechanical toy"),
    "traffic": ("traffic", "cars passing by", "street traffic", "road noise"),
    "train": ("train", "train passing", "railway train"),
    "vehicle horn": ("vehicle horn", "car horn", "honking horn"),
    "voice": ("voice", "human voice", "person speaking"),
    "water": ("water", "water sound", "flowing water"),
    "whistle": ("whistle", "whistling"),
    "whoosh": ("whoosh", "swoosh", "whooshing sound"),
    "wind": ("wind", "wind blowing", "howling wind"),
    "wood": ("wood", "wooden sound", "wooden object struck"),
    "wood block": ("wood block", "woodblock hit"),
    # not among the recordings: made here
    "accordion": ("accordion", "accordion playing"),
    "applause": ("applause", "audience clapping"),
    "brass": ("brass", "brass instrument", "trumpet"),
    "electric piano": ("electric piano", "electric piano playing"),
    "harpsichord": ("harpsichord", "plucked keyboard"),
    "organ": ("organ", "organ playing"),
    "reed": ("clarinet", "oboe", "woodwind instrument"),
    "timpani": ("timpani", "kettle drum"),
    "synth tone": ("synth tone", "electronic tone"),
}
"""Short prompts for each class; the first is the class as people type it."""

SYNONYMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("kick drum", ("bass drum", "kick")),
    ("bass drum", ("kick drum",)),
    ("snare drum", ("snare",)),
    ("hi-hat", ("hihat", "high hat")),
    ("saxophone", ("sax",)),
    ("synthesizer", ("synth",)),
    ("acoustic guitar strum", ("strummed acoustic guitar",)),
    ("drum hit", ("drum", "single drum stroke")),
    ("struck", ("hit", "being struck")),
    ("hitting", ("striking", "banging on")),
    ("sea waves", ("ocean waves", "waves of the sea")),
    ("waves", ("surf",)),
    ("cars", ("vehicles", "automobiles")),
    ("car", ("vehicle", "automobile")),
    ("rain falling", ("rainfall", "falling rain")),
    ("thunder", ("thunderclap",)),
    ("clock ticking", ("ticking clock", "tick tock of a clock")),
    ("fire crackling", ("crackling fire", "campfire")),
    ("footsteps", ("steps", "walking")),
    ("glass breaking", ("glass shattering", "breaking glass")),
    ("pan", ("frying pan", "pot")),
    ("pot", ("cooking pot", "saucepan")),
    ("coins", ("metal coins", "change")),
    ("whoosh", ("swoosh",)),
    ("single note", ("note", "held note")),
    ("very low", ("deep", "sub")),
    ("loop", ("beat", "pattern")),
    ("groove", ("beat",)),
    ("dog barking", ("barking dog", "dog bark")),
    ("bird", ("songbird",)),
)
"""What people write for the same thing; the first phrase that occurs in a caption is replaced."""


AFTER = (
    "in ",
    "reverb",
    "outdoors",
    "middle",
    "with ",
    "single",
    "long decay",
    "rhythm",
    "pattern",
)
"""Adjectives that begin so stand behind a comma, never before the noun."""


def unique(captions: Iterable[str]) -> tuple[str, ...]:
    """Tidy, without repeats, in order.

    >>> unique(["a  kick ", "a kick", ""])
    ('a kick',)
    """
    tidy = (" ".join(caption.split()).replace(" ,", ",").strip(" ,") for caption in captions)
    return tuple(dict.fromkeys(filter(None, tidy)))


def reword(caption: str) -> tuple[str, ...]:
    """Replace the first known phrase of a caption by other words; empty when there is none.

    >>> reword("alto saxophone, low")
    ('alto sax, low',)
    """
    padded = f" {caption.replace(',', ' ,')} "
    for phrase, others in SYNONYMS:
        if f" {phrase} " in padded:
            swapped = (padded.replace(f" {phrase} ", f" {other} ", 1) for other in others)
            return unique(text.replace(" ,", ",") for text in swapped)
    return ()


def recording_captions(
    caption: str, label: str, adjectives: Sequence[str], phrasings: Sequence[str] = ()
) -> tuple[str, ...]:
    """Captions of a recording: its own and its other phrasings, with its adjectives, in other
    words, and its class in words. Raises `ValueError` for an unknown class.
    """
    if label not in PHRASES:
        raise ValueError(f"class must be one of the {len(PHRASES)} of PHRASES, got {label!r}")
    unsaid = [word for word in adjectives if word not in caption]
    captions = [caption, *phrasings, *reword(caption)]
    if unsaid:
        captions += [f"{caption}, {', '.join(unsaid)}", f"{' '.join(unsaid[:2])} {caption}"]
    captions += PHRASES[label]
    if adjectives:
        captions += [
            f"{adjectives[0]} {PHRASES[label][0]}",
            f"{PHRASES[label][0]}, {adjectives[-1]}",
        ]
    return unique(captions)


def compose_captions(
    nouns: Sequence[str], adjectives: Sequence[str], rng: random.Random, *, count: int = 8
) -> tuple[str, ...]:
    """Compose `count` captions of one sound from its names and adjectives.

    `nouns` are whole phrases ("kick drum", "hit on a bass drum"), `adjectives` all hold. The first
    caption is the first noun alone; the others mix, with never more than three adjectives.
    """
    captions = [nouns[0]]
    for _ in range(3 * count):
        noun = rng.choice(nouns)
        words = rng.sample(list(adjectives), k=min(len(adjectives), rng.randint(0, 3)))
        before = [word for word in words if not word.startswith(AFTER) and word not in noun][:2]
        form = rng.randrange(4)
        if not words:
            short = len(noun.split()) < 4 and "," not in noun and not noun.endswith("sound")
            captions.append(
                rng.choice([noun, f"sound of {noun}", f"{noun} sound" if short else noun])
            )
        elif form == 0 and before:
            captions.append(f"{' '.join(before)} {noun}")
        elif form == 1 and before:
            rest = [word for word in words if word != before[0]]
            captions.append(f"{before[0]} {noun}, {', '.join(rest)}")
        elif form == 2:
            captions.append(f"{noun}, {words[0]}")
        else:
            captions.append(f"{noun}, {', '.join(words)}")
    return unique(captions)[:count]
