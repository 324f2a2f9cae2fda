"""Styles of music: tempo, modes, grooves, and which instruments play what in them."""

from __future__ import annotations

from dataclasses import dataclass

FINGER, PICK, FRETLESS, SLAP, ACOUSTIC, SYNTH = (33,), (34,), (35,), (36, 37), (32,), (38, 39)
NYLON, STEEL, JAZZ, CLEAN, MUTED, CRUNCH, METAL = 24, 25, 26, 27, 28, 29, 30
GRAND, BRIGHT, ELECTRIC_GRAND, HONKY, RHODES, DX, HARPSI, CLAV = range(8)


@dataclass(frozen=True, slots=True)
class Style:
    """How a style goes: beats a minute low and high, modes, colour of the chords, patterns.

    - `grooves`: kick, snare, hats; a step a sign over four beats (16 or 12 signs). x hit, X accent,
      g ghost note, o open hi-hat, s side stick. `cymbal`: drum key of the third line.
    - `swing`: where the second half of a beat falls, 0.5 straight, 0.667 triplets.
    - `extra`: drum key and pattern that sometimes join.
    - `bass`, `guitar`, `piano`: names of patterns; `*_programs`: General MIDI.
    """

    tempo: tuple[int, int]
    modes: tuple[str, ...]
    colour: str
    grooves: tuple[tuple[str, str, str], ...]
    bass: tuple[str, ...]
    guitar: tuple[str, ...]
    piano: tuple[str, ...]
    bass_programs: tuple[int, ...]
    guitar_programs: tuple[int, ...]
    piano_programs: tuple[int, ...]
    kits: tuple[int, ...] = (0, 0, 8)
    cymbal: int = 42
    swing: float = 0.5
    sixteenths: float = 0.5
    beats: int = 4
    extra: tuple[tuple[int, str], ...] = ()
    strict: bool = False
    words: tuple[str, ...] = ()


EIGHTHS, SIXTEENTHS, QUARTERS = "x.x.x.x.x.x.x.x.", "xxxxxxxxxxxxxxxx", "x...x...x...x..."
BACK = "....X.......X..."
RIDE = "x...x.x.x...x.x."
FLOOR = "x...x...x...x..."

STYLES: dict[str, Style] = {
    "rock": Style(
        (100, 150), ("major", "mixolydian", "minor", "dorian"), "triads",
        (("x.......x.x.....", BACK, EIGHTHS), ("x.....x.x.......", BACK, EIGHTHS),
         ("x..x....x.x...x.", BACK, QUARTERS), ("x.x.....x.x.....", "....X.......X..g", EIGHTHS)),
        ("kick", "eighths", "riff", "pedal"), ("power", "strum", "riff", "lead", "pad"),
        ("pulse", "block", "melody"), (33, 34, 34), (CRUNCH, CRUNCH, METAL, CLEAN),
        (GRAND, BRIGHT, ELECTRIC_GRAND), (0, 16, 16, 8), words=("energetic", "driving")),
    "pop": Style(
        (88, 128), ("major", "major", "minor"), "triads",
        (("x.......x.x.....", BACK, EIGHTHS), ("x...x...x...x...", BACK, EIGHTHS),
         ("x..x..x...x.....", BACK, SIXTEENTHS)),
        ("kick", "eighths", "root-fifth", "arpeggio"),
        ("strum", "arpeggio", "funk", "pad", "melody"),
        ("block", "pulse", "broken", "melody", "arpeggio"), (33, 34, 38, 35),
        (STEEL, CLEAN, NYLON, MUTED), (GRAND, BRIGHT, DX, RHODES), (0, 8, 24), words=("catchy",)),
    "funk": Style(
        (92, 116), ("dorian", "mixolydian", "minor"), "sevenths",
        (("x..x..x...x..x..", "....X.g..g..X..g", SIXTEENTHS),
         ("x.x.......xx....", "....X..g.g..X...", EIGHTHS),
         ("x..x......x..x..", "....X..gg.g.X..g", "xxoxxxxxxxoxxxxx")),
        ("funk", "kick", "octave", "riff"), ("funk", "funk", "riff", "comp"),
        ("stabs", "comp", "riff"), (36, 36, 37, 33), (CLEAN, MUTED, CLEAN, JAZZ),
        (RHODES, CLAV, ELECTRIC_GRAND, GRAND), (0, 8), sixteenths=0.56, words=("groovy",)),
    "slow blues": Style(
        (70, 84), ("blues",), "dominants",
        (("x.....x.....", "...x.....x..", "xxxxxxxxxxxx"),
         ("x....xx.....", "...X.....X..", "x.xx.xx.xx.x"),
         ("x.....x....x", "...s.....s..", "xxxxxxxxxxxx")),
        ("blues twelve", "walking", "root-fifth"), ("lead", "blues comp", "arpeggio twelve"),
        ("triplets", "melody", "blues comp"), (32, 33, 35), (CLEAN, JAZZ, CRUNCH, STEEL),
        (GRAND, HONKY, RHODES), (40, 40, 0, 32), cymbal=42, words=("bluesy", "laid back")),
    "blues shuffle": Style(
        (100, 136), ("blues",), "dominants",
        (("x...x...x...x...", BACK, RIDE), ("x.......x.......", BACK, EIGHTHS)),
        ("boogie", "walking", "eighths"), ("shuffle", "lead", "comp"), ("boogie", "melody", "comp"),
        (33, 34, 32), (CRUNCH, CLEAN, JAZZ), (HONKY, GRAND, BRIGHT), (0, 8), swing=0.66,
        words=("shuffling", "bluesy")),
    "jazz swing": Style(
        (108, 160), ("jazz major", "jazz minor", "blues"), "sevenths",
        (("x.......x.......", "......g.......g.", RIDE), ("..........x.....", ".......g...g....", RIDE),
         ("............x...", "....x.......x...", RIDE)),
        ("walking", "walking", "two feel"), ("comp", "freddie", "lead"),
        ("comp", "melody", "stride"), (32, 32, 32, 35), (JAZZ,), (GRAND, GRAND, RHODES),
        (32, 40, 40), cymbal=51, swing=0.65, words=("swinging", "jazz")),
    "jazz ballad": Style(
        (70, 84), ("jazz major", "jazz minor"), "sevenths",
        (("x.......x.......", "....g.......g...", RIDE),),
        ("two feel", "whole", "walking"), ("comp", "arpeggio", "lead", "pad"),
        ("block", "melody", "broken"), (32, 35), (JAZZ, NYLON), (GRAND, RHODES), (40, 40, 32),
        cymbal=51, swing=0.62, words=("tender", "smoky", "jazz")),
    "bossa nova": Style(
        (112, 144), ("jazz major", "jazz minor", "major"), "sevenths",
        (("x..xx..xx..xx..x", "s..s..s...s..s..", EIGHTHS),
         ("x..xx..xx..xx..x", "..s..s..s..s....", EIGHTHS)),
        ("bossa", "two feel"), ("bossa", "bossa", "melody"), ("comp", "melody", "block"),
        (32, 33, 35), (NYLON,), (GRAND, RHODES), (32, 0, 40), extra=((70, SIXTEENTHS),),
        words=("gentle", "Brazilian")),
    "reggae": Style(
        (70, 92), ("minor", "major", "dorian", "mixolydian"), "triads",
        (("........x.......", "........s.......", EIGHTHS), ("x...x...x...x...", "....s.......s...", EIGHTHS),
         ("x.......x.......", "........X.......", "x.x.x.x.x.x.x.o.")),
        ("reggae", "dub"), ("skank", "skank", "muted line"), ("skank", "bubble", "block"),
        (33, 33, 35, 38), (CLEAN, MUTED, CLEAN), (GRAND, ELECTRIC_GRAND, DX), (0, 8, 25),
        sixteenths=0.58, words=("laid back", "Jamaican")),
    "ska": Style(
        (124, 160), ("major", "minor", "mixolydian"), "triads",
        (("x.......x.......", BACK, EIGHTHS), ("x...x...x...x...", BACK, "..x...x...x...x.")),
        ("walking", "eighths"), ("skank",), ("skank", "pulse"), (33, 34), (CLEAN, CLEAN, JAZZ),
        (GRAND, HONKY), (0, 8), words=("bouncy",)),
    "disco": Style(
        (112, 128), ("minor", "dorian", "major"), "sevenths",
        ((FLOOR, BACK, "..o...o...o...o."), (FLOOR, BACK, "xxoxxxoxxxoxxxox"), (FLOOR, BACK, "x.o.x.o.x.o.x.o.")),
        ("octave", "octave", "funk"), ("funk", "funk", "strum"), ("stabs", "pulse", "arpeggio"),
        (33, 34, 38), (CLEAN, MUTED, JAZZ), (ELECTRIC_GRAND, GRAND, RHODES, BRIGHT), (0, 8, 24),
        extra=((54, "..x...x...x...x."), (39, BACK)), words=("danceable",)),
    "house": Style(
        (118, 130), ("minor", "dorian"), "sevenths",
        ((FLOOR, "............X...", "..o...o...o...o."), (FLOOR, BACK, "..o...o...o...ox")),
        ("octave", "offbeat", "riff"), ("funk", "muted line", "pad"), ("stabs", "house", "pulse"),
        (38, 39, 38), (CLEAN, MUTED), (GRAND, DX, BRIGHT), (24, 25, 25), extra=((39, BACK),),
        strict=True, words=("danceable", "electronic")),
    "ballad": Style(
        (70, 88), ("major", "minor"), "triads",
        (("x.......x.......", "....s.......s...", EIGHTHS), ("x.......x.x.....", BACK, EIGHTHS),
         ("x.....x.x.......", BACK, SIXTEENTHS)),
        ("whole", "root-fifth", "arpeggio", "kick"), ("arpeggio", "pad", "travis", "melody"),
        ("broken", "arpeggio", "melody", "block"), (33, 35, 32), (NYLON, STEEL, CLEAN),
        (GRAND, RHODES, DX, BRIGHT), (0, 40, 8), words=("sad", "gentle", "romantic")),
    "metal": Style(
        (110, 160), ("minor", "dorian"), "triads",
        ((SIXTEENTHS, BACK, QUARTERS), ("x.xxx.xxx.xxx.xx", BACK, QUARTERS),
         ("x.xx..x.x.xx..x.", BACK, QUARTERS), ("x.......x.x.....", "........X.......", QUARTERS)),
        ("kick", "eighths", "sixteenths"), ("chug", "power", "riff"), ("arpeggio", "block", "pulse"),
        (34, 34, 33), (METAL, METAL, CRUNCH), (GRAND, BRIGHT), (16, 16, 0), words=("heavy", "aggressive")),
    "punk": Style(
        (140, 160), ("major", "minor", "mixolydian"), "triads",
        (("x...x...x...x...", "..X...X...X...X.", EIGHTHS), ("x.......x.x.....", BACK, EIGHTHS)),
        ("eighths", "kick"), ("power", "chug"), ("pulse", "block"), (34, 33), (CRUNCH, METAL),
        (BRIGHT, HONKY, GRAND), (0, 16), words=("fast and loud",)),
    "latin": Style(
        (90, 120), ("minor", "dorian", "major"), "sevenths",
        (("x.....x.x.....x.", "...s..s...s.s...", "x.xxx.xxx.xxx.xx"), ("......x.......x.", "...s..s...s.s...", EIGHTHS)),
        ("tumbao", "tumbao", "bossa"), ("montuno", "bossa", "strum"), ("montuno", "montuno", "comp"),
        (32, 33, 35), (NYLON, STEEL), (GRAND, BRIGHT, GRAND), (0, 32),
        extra=((56, "x...x.x.x...x.x."), (63, "......xx......xx"), (64, "...x......x....."), (75, "x..x..x...x.x...")),
        words=("Latin", "salsa")),
    "hip hop": Style(
        (76, 98), ("minor", "dorian"), "sevenths",
        (("x.....x...x.....", BACK, "x.x.x.x.x.xxx.x."), ("x..x......x..x..", BACK, EIGHTHS),
         ("x......x..x.....", "....X.......X..g", "x.x.x.x.x.x.x.xx")),
        ("kick", "whole", "dub"), ("arpeggio", "comp", "muted line", "pad"),
        ("block", "comp", "arpeggio", "riff"), (38, 39, 33, 32), (JAZZ, NYLON, CLEAN),
        (RHODES, GRAND, DX), (25, 25, 24, 8), sixteenths=0.6, strict=True, words=("mellow",)),
    "lo-fi": Style(
        (70, 86), ("jazz major", "jazz minor", "dorian"), "sevenths",
        (("x......x..x.....", BACK, EIGHTHS), ("x..x......x.....", "....s.......s...", EIGHTHS)),
        ("whole", "kick", "two feel"), ("arpeggio", "comp", "melody"), ("block", "comp", "melody"),
        (33, 32, 35), (JAZZ, NYLON), (RHODES, GRAND, RHODES), (25, 8, 40), sixteenths=0.6, words=("chill", "mellow")),
    "country": Style(
        (88, 130), ("major", "major", "mixolydian"), "triads",
        (("x.......x.......", BACK, EIGHTHS), ("x.......x.......", "..x...x...x...x.", "x...x...x...x...")),
        ("root-fifth", "root-fifth", "walking"), ("boom-chick", "travis", "lead", "strum"),
        ("honky", "melody", "pulse"), (33, 32, 34), (STEEL, STEEL, CLEAN), (GRAND, HONKY), (0, 40, 8),
        words=("cheerful", "Nashville")),
    "rock and roll": Style(
        (132, 160), ("blues", "major"), "dominants",
        (("x.......x.......", BACK, RIDE), ("x...x...x.x.x...", BACK, EIGHTHS)),
        ("boogie", "walking"), ("shuffle", "lead", "strum"), ("boogie", "eighth chords", "melody"),
        (32, 33), (CLEAN, JAZZ, CRUNCH), (HONKY, BRIGHT, GRAND), (0, 8), swing=0.56, words=("fifties", "rocking")),
    "soul": Style(
        (84, 116), ("major", "mixolydian", "dorian"), "sevenths",
        (("x..x....x.x.....", BACK, EIGHTHS), ("x.......x.x.....", "X...X...X...X...", EIGHTHS)),
        ("kick", "riff", "funk", "walking"), ("chops", "arpeggio", "comp"), ("pulse", "block", "melody"),
        (33, 33, 34), (CLEAN, JAZZ), (GRAND, RHODES, ELECTRIC_GRAND), (0, 8), extra=((54, BACK),), words=("soulful", "Motown")),
    "synth pop": Style(
        (104, 130), ("minor", "major", "dorian"), "triads",
        ((FLOOR, BACK, EIGHTHS), ("x.......x.x.....", BACK, SIXTEENTHS)),
        ("eighths", "octave", "sixteenths"), ("muted line", "arpeggio", "pad"), ("arpeggio", "pulse", "riff"),
        (38, 39), (CLEAN, MUTED), (DX, ELECTRIC_GRAND, BRIGHT), (24, 25, 24), extra=((39, BACK),), strict=True,
        words=("eighties", "electronic")),
    "folk": Style(
        (84, 126), ("major", "dorian", "mixolydian", "minor"), "triads",
        (("x.......x.......", "....s.......s...", EIGHTHS), ("x.......x.x.....", "....x.......x..x", QUARTERS)),
        ("root-fifth", "whole"), ("travis", "strum", "arpeggio", "melody"), ("broken", "block", "melody"),
        (32, 33, 35), (STEEL, NYLON, STEEL), (GRAND, GRAND, HARPSI), (40, 0, 8), words=("acoustic", "warm")),
    "waltz": Style(
        (84, 150), ("major", "minor", "jazz major"), "triads",
        (("x...........", "....x...x...", "x...x...x..."), ("x...........", "....s...s...", "x.x.x.x.x.x.")),
        ("whole", "root-fifth"), ("waltz", "arpeggio", "melody"), ("waltz", "melody", "arpeggio"),
        (32, 33), (NYLON, STEEL, JAZZ), (GRAND, HARPSI, BRIGHT), (40, 0, 32), beats=3, words=("in three", "dancing")),
}  # fmt: skip
"""Twenty-four styles by name."""

BASS_PATTERNS: dict[str, tuple[str, ...]] = {
    # r root, 5 fifth, f fifth below, 8 octave, 3 third, 7 seventh or sixth, a towards the next root
    "whole": ("r---------------", "r-----------r---", "r-------r-------"),
    "root-fifth": ("r---....f---....", "r-------5-------", "r---f---r---f---", "r-----r-5-----5-"),
    "octave": ("r.8.r.8.r.8.r.8.", "r-8.r-8.r-8.r-8a"),
    "eighths": ("r-r-r-r-r-r-r-r-", "r-r-r-r-r-r-r-a-", "r-r-r-5-r-r-r-8-"),
    "sixteenths": ("rrrrrrrrrrrrrrrr", "r-rrr-rrr-rrr-rr"),
    "pedal": ("r-r-r-r-8-r-r-r-", "r---r-r-r---r-5-"),
    "offbeat": ("r.r...r...r...r.", "r.8...8...8...8."),
    "funk": ("r-..8.r..r-.7.8.", "r.r...8.7...5.7.", "r-.r..8...r-.7a-", "r..r-.5...r.8.7."),
    "riff": ("r-..r-5-7-5-r-..", "r---3-5-r---7-5-", "r-r-..5-r-r-3-a-", "r-8-7-5-r-..5-7-"),
    "arpeggio": ("r---5---8---5---", "r-5-8-5-r-5-8-5-", "r---3---5---3---"),
    "two feel": ("r-------5-------", "r------.5---..a-", "r-------r-----a-"),
    "bossa": ("r-----5-5-----r-", "r-----5-f-----f-"),
    "reggae": ("r-..r-5-..r-....", "r---..r-5-r-....", "r-r-..5-..8-5-r-"),
    "dub": ("r-----..5---r---", "r---....r-r-7---", "r-------....5-r-"),
    "tumbao": ("......5-----8---", "r-....5-----8---"),
    "blues twelve": ("r-----5-----", "r----rr----5", "r--r--5--7--"),
    "boogie": ("r-r-3-3-5-5-7-5-", "r---3---5---7---", "r-8-5-8-r-8-5-8-"),
}
GUITAR_PATTERNS: dict[str, tuple[str, ...]] = {
    # D down, U up, d u the same softly, x scratched, b root, B fifth, 1..6 a string, L let ring
    "strum": ("D---D-uD-u-D-u-.", "D-d-D-dud-uD-du-", "D---D-U---U-D-U-", "D-dud-duD-dud-du"),
    "power": ("D-d-d-d-D-d-d-d-", "D---D-d-D---D-d-", "D-------D-----D-", "D-----D-----D---"),
    "chug": ("D.ddD.ddD.ddD.dd", "DdddDdddDdddDddd", "D.d.dd..D.d.dd.D", "D-.dd.d-.dd.D-.."),
    "skank": ("....D.......D...", "..D...D...D...D.", "....Du......Du.."),
    "funk": ("D.xxDx.x.xD.xxD.", "xxD.xxD.xxD.xxDx", "D.x.x.Dxx.x.D.xx", ".xD..xD..xD..xDu"),
    "comp": ("D--.....--D-....", "....D-....D-....", "D-....D-........", "..D---....D-..D-"),
    "freddie": ("D-..D-..D-..D-..",),
    "chops": ("....D.......D...", "....D...D...D.D."),
    "bossa": ("b-.D..D-B-.D..D-", "b-D-..D-B-D--.D-"),
    "boom-chick": ("b---D---B---D---", "b---D-u-B---D-u-"),
    "travis": ("1-4-2-5-1-4-2-5-", "1-524-5-1-624-5-", "1---4-5-2---4-6-"),
    "arpeggio": ("1-3-4-5-6-5-4-3-", "1-3-5-4-6-4-5-3-", "1---3---5---6---", "1-4-5-6-1-4-5-6-"),
    "arpeggio twelve": ("1-3456543456", "134565134565"),
    "blues comp": ("D--..D......", "...D--...D--", "D-.D..D-.D.."),
    "pad": ("L---------------", "L-------D-------"),
    "waltz": ("b---D---D---", "b---d-u-d-u-"),
    "montuno": ("1-3.54.3.5.4.53.", "1-5.35.1.5.3.51."),
    "shuffle": ("s-s-S-S-s-s-S-S-",),
    "muted line": ("1.1.3.1.4.1.3.1.", "1...1.3...1.4...", "1.3.4.3.1.3.5.3."),
}
PIANO_PATTERNS: dict[str, tuple[tuple[str, str], ...]] = {
    # left hand r 5 8 3 6 7 or c chord; right hand C chord, c softly, 1..5 a tone of it
    "block": (("r---------------", "C---------------"), ("r-------5-------", "C-------c-------"),
              ("r---------------", "C-----c---c-----")),
    "pulse": (("r-------r-------", "C---c---C---c---"), ("r---------------", "C-c-c-c-C-c-c-c-"),
              ("r-------5-------", "C--c--c-C--c--c-")),
    "eighth chords": (("r---5---r---5---", "C.c.c.c.C.c.c.c."),),
    "arpeggio": (("r---------------", "1-2-3-4-5-4-3-2-"), ("r-5-8-5-r-5-8-5-", "C---------------"),
                 ("r-------5-------", "1234543212345432")),
    "broken": (("r-------r-------", "1-3-2-3-1-3-2-3-"), ("r-5-8-5-3-5-8-5-", "4-------3-------")),
    "stride": (("r-..c-..5-..c-..", "C---..c-..C-...."), ("r-..c-..5-..c-..", "..C-..c---C-..c-")),
    "comp": (("................", "C--.....--C-...."), ("................", "..C-..c-....C-.."),
             ("r-------........", "....C-....c---..")),
    "blues comp": (("r--...5--...", "...C-.c-.C--"), ("r-----------", "C--..c...C--")),
    "triplets": (("r-----5-----", "CccCccCccCcc"), ("r--5--8--5--", "c--C--c--C--")),
    "stabs": (("r-......r-......", "..C...C...C...C."), ("................", "C..C..C...C..C.."),
              ("r-......5-......", "....C..c....C..c")),
    "house": (("................", "C..C..C..C..C.C."), ("r-..r-..r-..r-..", "C.C..C.C.C..C.C.")),
    "skank": (("................", "....C.......C..."), ("r-......r-......", "..C...C...C...C.")),
    "bubble": (("..5.5...5.5...5.", "....C.......C..."),),
    "honky": (("r---5---r---5---", "..C-..C-..C-..C-"), ("r---c---5---c---", "..c-..c-..c-C-c-")),
    "boogie": (("r-3-5-6-7-6-5-3-", "C...c...C..c...."), ("r-r-3-3-5-5-6-6-", "..C-..C-..C-.c.."),
               ("r-5-6-5-r-5-6-5-", "C--c--C-c--c--C-")),
    "montuno": (("1-3.54.3.5.4.53.", "1-3.54.3.5.4.53."), ("r-......5-......", "C-.C.C-.C.C-.C-.")),
    "riff": (("................", "1-.3.4-.1-.3.5-."), ("r-......r-......", "1.3.4.3.1.3.5.4.")),
    "waltz": (("r---........", "....C---c---"), ("r---5---5---", "1-2-3-4-3-2-")),
}  # fmt: skip
