"""Library: finding presets among 10,000 in the index, beside reading every file."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from bench.timing import best, duel, shown
from presets import Preset, save
from presets.library import Library, index
from renderers import RENDERERS, from_values, random_patches, to_values

COUNT = 10_000
TARGET = 0.05
WORDS = (
    "kick snare bell glass wood metal bass lead pad pluck organ gong tom rim clap hat shaker drone "
    "warm dark bright hollow short long soft hard deep thin noisy clean wet dry old wide slow fast"
).split()


def presets(count: int) -> list[Preset]:
    """Musical random FM patches with four words for a name, three tags and a prompt."""
    draw = torch.Generator().manual_seed(0)
    fm = RENDERERS["fm"]
    made = []
    for u in random_patches(fm, count, generator=draw):
        picks = torch.randint(len(WORDS), (10,), generator=draw).tolist()
        words = [WORDS[pick] for pick in picks]
        made.append(
            Preset(
                name=" ".join(words[:4]),
                renderer="fm",
                renderer_version=fm.version,
                values=to_values(fm, u),
                tags=tuple(words[4:7]),
                prompt=" ".join(words[5:]),
            )
        )
    return made


def linear(folder: Path, words: Sequence[str]) -> list[str]:
    """Files that hold all `words`, or their beginnings: by reading every file."""
    found = []
    for path in folder.glob("*.json"):
        data = json.loads(path.read_text(encoding="utf-8"))
        text = f"{data['name']} {' '.join(data['tags'])} {data['prompt']}".split()
        if all(any(part.startswith(word) for part in text) for word in words):
            found.append(path.name)
    return sorted(found)


def row(
    name: str, ours: Callable[[], object], theirs: Callable[[], object] | None, error: str
) -> dict[str, object]:
    """One line of the table, ours and theirs in turns where there is a reference."""
    if theirs is None:
        value, reference = best(ours), None
    else:
        value, reference = duel(ours, theirs, repeats=1)
    return {
        "name": name,
        "value": shown(value),
        "reference": None if reference is None else f"{shown(reference)} (every file read)",
        "ratio": None if reference is None else reference / value,
        "error": error,
        "target": f"< {shown(TARGET)}",
    }


def neighbours(library: Library, made: Sequence[Preset]) -> str:
    """How many of the ten most similar are among the ten nearest in the renderer's own knobs."""
    fm = RENDERERS["fm"]
    u = torch.stack([from_values(fm, preset.values) for preset in made])
    names = {json.dumps(preset.values): number for number, preset in enumerate(made)}
    shared = 0
    for entry in library.find(limit=20):
        values = json.loads(entry.path.read_text(encoding="utf-8"))["values"]
        here = names[json.dumps(values)]
        true = set((u - u[here]).square().sum(1).topk(11, largest=False).indices.tolist())
        for near in library.find(like=entry.path.name, limit=10):
            data = json.loads(near.path.read_text(encoding="utf-8"))
            shared += names[json.dumps(data["values"])] in true
    return f"{shared / 2:.0f} % of the ten are the ten nearest in the renderer's knobs"


def rows() -> list[dict[str, object]]:
    """Words, tags, similarity; and what making the index and looking at the folder cost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "library"
        folder.mkdir()
        made = presets(COUNT)
        for number, preset in enumerate(made):
            save(preset, folder / f"{number:05d}.json")
        library = Library(folder)
        library.reindex()
        index.FRESH = 10**15  # the searches alone; looking for outside changes is a row of its own
        some = library.find(limit=1)[0].path.name

        def words() -> list[str]:
            return sorted(e.path.name for e in library.find("warm gla", limit=COUNT))

        def look() -> None:
            index.FRESH = 0
            library.count()
            index.FRESH = 10**15

        def change() -> None:
            tags = ("new",) if library.get(some).tags != ("new",) else ("old",)
            library.replace(some, made[0].model_copy(update={"tags": tags}))
            library.find(like=some, limit=10)

        def reference() -> list[str]:
            return linear(folder, ("warm", "gla"))

        same = "the same files" if words() == reference() else "OTHER FILES"
        few = row("find words, the best 50", lambda: library.find("warm gla"), reference, same)
        tagged = row("find by two tags", lambda: library.find(tags=("warm", "glass")), None, "")
        alike = row(
            f"find the 10 most similar, {len(made[0].values)} knobs",
            lambda: library.find(like=some, limit=10), None, neighbours(library, made),
        )  # fmt: skip
        out = [few, tagged, alike]
        out.append(row("look for outside changes", look, None, "") | {"target": None})
        out.append(row("change one, find the 10 most similar", change, None, "") | {"target": None})
        out.append(row("make the index again", library.reindex, None, "") | {"target": None})
        return out


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    for line in rows():
        sys.stdout.write(f"{line}\n")
