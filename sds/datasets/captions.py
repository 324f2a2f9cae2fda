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
    "applause": ("applause", "audience clapping", "crowd applauding"),
    "baby cry": ("baby crying", "crying baby", "infant wailing"),
    "bagpipes": ("bagpipes", "bagpipe", "bagpipe note"),
    "ball": ("ball bouncing", "bouncing ball"),
    "balloon and rubber": ("balloon", "rubber sound", "rubbing a balloon"),
    "bass": ("bass", "bass note", "bass instrument"),
    "bell": ("bell", "bell ringing", "ringing bell"),
    "bicycle": ("bicycle", "riding a bike"),
    "bird": ("bird", "bird singing", "birdsong", "bird chirping"),
    "bowed strings": ("bowed strings", "string instrument played with a bow", "bow on a string"),
    "brass": ("brass", "brass instrument", "brass note"),
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
    "organ": ("organ", "organ note", "organ playing"),
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
    "electric piano": ("electric piano", "electric piano playing"),
    "harpsichord": ("harpsichord", "plucked keyboard"),
    "reed": ("clarinet", "oboe", "woodwind instrument"),
    "timpani": ("timpani", "kettle drum"),
    "synth tone": ("synth tone", "electronic tone"),
}
"""Short prompts for each class; the first is the class as people type it."""

SYNONYMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    # drums
    ("bass drum", ("kick drum", "kick")),
    ("kick drum", ("bass drum", "kick")),
    ("snare drum", ("snare",)),
    ("hi-hat", ("hihat", "high hat")),
    ("floor tom", ("low tom drum",)),
    ("tom hit", ("tom drum", "tom-tom")),
    ("ride cymbal", ("ride",)),
    ("crash cymbal", ("crash",)),
    ("china cymbal", ("china crash",)),
    ("side stick", ("rim click", "cross stick")),
    ("rim shot", ("rimshot",)),
    ("bongo drum", ("bongo", "bongos")),
    ("bongo", ("bongos",)),
    ("conga", ("conga drum", "congas")),
    ("darbuka", ("doumbek", "goblet drum")),
    ("cajon", ("cajón", "box drum")),
    ("african hand drum", ("african drum", "hand drum")),
    ("maracas", ("maraca", "rumba shaker")),
    ("claves", ("wooden sticks struck",)),
    ("finger snap", ("snapping fingers", "finger click")),
    ("hand clap", ("clap", "clapping hands")),
    ("drum hit", ("drum", "single drum stroke")),
    ("loop", ("beat", "pattern")),
    ("groove", ("beat",)),
    # instruments
    ("plucked double bass", ("pizzicato double bass", "plucked upright bass")),
    ("bowed double bass", ("arco double bass", "contrabass played with a bow")),
    ("electric upright bass", ("electric double bass", "upright bass")),
    ("double bass", ("upright bass", "contrabass", "acoustic bass")),
    ("upright bass", ("double bass",)),
    ("electric bass guitar", ("electric bass", "bass guitar", "e-bass")),
    ("bass guitar", ("electric bass guitar",)),
    ("electric bass", ("bass guitar", "e-bass")),
    ("hollow body guitar", ("hollow-body guitar", "semi-acoustic guitar", "jazz guitar")),
    ("acoustic guitar strum", ("strummed acoustic guitar",)),
    ("nylon string classical guitar", ("nylon guitar", "spanish guitar", "classical guitar")),
    ("classical guitar", ("nylon string guitar", "spanish guitar")),
    ("electric guitar", ("e-guitar",)),
    ("baritone saxophone", ("baritone sax", "bari sax")),
    ("saxophone", ("sax",)),
    ("bagpipe note", ("bagpipes note", "note of scottish pipes")),
    ("bagpipe", ("bagpipes",)),
    ("hang drum", ("handpan", "hang", "steel pan")),
    ("honky-tonk piano", ("saloon piano", "bar piano")),
    ("electric piano", ("e-piano", "stage piano")),
    ("upright piano", ("house piano",)),
    ("grand piano", ("concert piano", "piano")),
    ("tagelharpa", ("bowed lyre", "bass lyre")),
    ("transistor organ", ("combo organ", "electric organ")),
    ("tuba", ("bass tuba", "low brass")),
    ("banjo", ("banjo pluck",)),
    ("bowed string", ("string played with a bow",)),
    ("staccato", ("muted",)),
    ("synthesizer", ("synth",)),
    ("science fiction effect", ("sci-fi effect", "laser zap", "ray gun")),
    # voices
    ("saying a short word", ("talking", "speaking", "speech")),
    ("saying a word", ("talking", "speech", "a spoken word")),
    ("reading a sentence", ("talking", "speaking", "speech")),
    ("person speaking", ("someone talking", "speech")),
    ("shouting", ("yelling", "screaming")),
    ("yelling", ("shouting",)),
    ("crying out in pain", ("groaning in pain", "being hurt")),
    ("whispering", ("speaking very softly",)),
    ("munching food", ("eating", "chewing food")),
    # animals
    ("dog barking", ("barking dog", "dog bark")),
    ("dog growling", ("growling dog", "dog growl")),
    ("dog snoring", ("snoring dog", "snoring")),
    ("dog whining", ("whimpering dog",)),
    ("coyotes howling", ("coyotes", "howling pack")),
    ("coyote howling", ("coyote", "howl")),
    ("crow cawing", ("crow", "raven calling")),
    ("birds singing", ("birdsong", "birds chirping")),
    ("bird", ("songbird",)),
    ("crickets chirping", ("crickets", "chirping crickets")),
    ("chicken clucking", ("hen", "clucking chicken")),
    ("cow mooing", ("cow", "moo")),
    ("frogs calling", ("frogs croaking",)),
    # what games are full of
    ("machine gun burst", ("machine gun", "automatic rifle")),
    ("bullet ricochet", ("ricochet", "bullet whizzing off")),
    ("gunshot", ("gun shot", "gun firing")),
    ("cannon shot", ("cannon", "cannon blast")),
    ("rifle shot", ("rifle", "gunshot")),
    ("loading a gun", ("reloading a weapon", "cocking a gun")),
    ("explosion", ("blast", "bomb")),
    ("punch impact", ("punch", "body blow")),
    ("swish through the air", ("swing of a sword", "swoosh")),
    ("weapons clashing", ("swords clashing", "sword fight")),
    ("metal clang", ("clank",)),
    ("geiger counter", ("radiation detector",)),
    ("rocket launching", ("missile launch",)),
    # places, weather, things
    ("footsteps", ("steps", "walking")),
    ("footstep", ("step", "foot stepping")),
    ("wading through water", ("walking through water", "splashing")),
    ("sea waves", ("ocean waves", "waves of the sea")),
    ("waves", ("surf",)),
    ("geyser", ("fountain of hot water",)),
    ("hot spring", ("thermal spring",)),
    ("rain falling", ("rainfall", "falling rain")),
    ("heavy rain", ("hard rain", "strong rain")),
    ("thunder", ("thunderclap",)),
    ("wind", ("breeze",)),
    ("fire crackling", ("crackling fire", "campfire")),
    ("forest fire", ("wildfire",)),
    ("room tone", ("quiet room", "background noise of a room")),
    ("clock ticking", ("ticking clock", "tick tock of a clock")),
    ("glass breaking", ("glass shattering", "breaking glass", "glass smashing")),
    ("glass shattering", ("glass breaking",)),
    ("frying pan", ("pan", "skillet")),
    ("pan", ("frying pan", "pot")),
    ("pot", ("cooking pot", "saucepan")),
    ("coins", ("metal coins", "change")),
    ("cars", ("vehicles", "automobiles")),
    ("car", ("vehicle", "automobile")),
    ("airplane", ("aeroplane", "plane")),
    ("whoosh", ("swoosh",)),
    ("creaking", ("squeaking",)),
    ("struck", ("hit", "being struck")),
    ("hitting", ("striking", "banging on")),
    ("single note", ("note", "held note")),
    ("very low", ("deep", "sub")),
)
"""What people write for the same thing, longer phrases before those they hold."""

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
    """Replace each known phrase of a caption by other words, one at a time; empty when there is
    none.

    >>> reword("alto saxophone, low")
    ('alto sax, low',)
    """
    padded = f" {caption.replace(',', ' ,')} "
    found: list[str] = []
    reworded: list[str] = []
    for phrase, others in SYNONYMS:
        if f" {phrase} " in padded and not any(phrase in longer for longer in found):
            found.append(phrase)
            before, after = padded.split(f" {phrase} ", 1)
            rest = f"{before} , {after}"
            reworded += [f"{before} {o} {after}" for o in others if f" {o} " not in rest]
    return unique(text.replace(" ,", ",") for text in reworded)


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
