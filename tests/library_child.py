"""Processes that die while they change a library, and some that change one together.

Run by tests/test_library_crash.py: `library_child.py lines|bytes|steps|crowd FOLDER [NUMBER]`.
"""

import json
import os
import resource
import shutil
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from presets import Preset, load  # noqa: E402
from presets.library import Library, disk  # noqa: E402

TRACED = tuple(str(ROOT / "presets" / part) for part in ("library", "moves.py", "preset.py"))
WAV = b"RIFF" + bytes(range(200))


def preset(name, **fields):
    values = {"ratio": 1.0 / 3.0, "decay": 0.5}
    return Preset(name=name, renderer="fm", renderer_version=1, values=values, **fields)


def prepare(folder):
    """A library with presets, a preview, slots and something in the trash."""
    library = Library(folder / "library")
    sound = folder / "sound.wav"
    sound.write_bytes(WAV)
    library.add(preset("Pot", tags=("metal",)), preview=sound)
    library.add(preset("Pan"))
    library.add(preset("Old"), preview=sound)
    library.delete("old")
    library.assign(5, "pot")
    library.assign(7, "pan")
    library.find()
    return library


CHANGES = {
    "add": lambda library, sound: library.add(preset("Lid"), preview=sound),
    "add_files": lambda library, sound: library.add_files([sound.with_name("a.json")]),
    "rename": lambda library, sound: library.rename("pot", "Big Pot"),
    "duplicate": lambda library, sound: library.duplicate("pot"),
    "delete": lambda library, sound: library.delete("pot"),
    "restore": lambda library, sound: library.restore("old"),
    "tag": lambda library, sound: library.tag("pot", ["warm"]),
    "assign": lambda library, sound: library.assign(9, "pot"),
}


def state(library):
    """All that a library holds, as its methods tell it, and as the files tell it."""
    entries = library.find(limit=1000)
    told = {
        entry.path.name: [
            load(entry.path).model_dump(mode="json"),
            entry.preview.read_bytes().hex() if entry.preview else "",
        ]
        for entry in entries
    }
    trash = {path.name: path.read_bytes().hex() for path in (library.folder / ".trash").iterdir()}
    files = sorted(path.name for path in library.folder.iterdir() if path.name[0] != ".")
    slots = {number: path.name for number, path in library.slots().items()}
    bad = library.unreadable()
    return json.dumps([told, trash, files, slots, bad], sort_keys=True)


def dying(change, folder, prepare_to_die):
    """Run `change` in a child that dies when it must; whether it died."""
    child = os.fork()
    if child == 0:
        prepare_to_die()
        change(Library(folder / "library"), folder / "sound.wav")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, status
    return False


def dies_at_line(number):
    """Arm this process to kill itself before the line `number` of ours that it comes to."""
    left = number

    def trace(frame, event, arg):
        nonlocal left
        if not frame.f_code.co_filename.startswith(TRACED):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def dies_at_byte(number):
    """Arm this process to be killed by the system when a file of its would outgrow `number`."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))


def every_death(folder, arm, numbers):
    """Each change killed at each of `numbers`: how often it was found undone, done, or neither."""
    original = folder / "original"
    original.mkdir()
    prepare(original)
    save_to = original / "a.json"
    shutil.copyfile(original / "library" / "pan.json", save_to)
    save_to.write_text(save_to.read_text().replace('"Pan"', '"From outside"'))
    found = {}
    for name, change in CHANGES.items():
        whole = folder / f"{name}-whole"
        shutil.copytree(original, whole)
        before = state(Library(whole / "library"))
        change(Library(whole / "library"), whole / "sound.wav")
        after = state(Library(whole / "library"))
        undone = done = 0
        neither = []
        for number in numbers:
            place = folder / "place"
            shutil.copytree(original, place)
            died = dying(change, place, lambda n=number: arm(n))
            now = state(Library(place / "library"))
            undone += now == before
            done += now == after
            if now not in (before, after) or (not died and now != after):
                neither.append([number, now])
            with disk.lock_folder(place / "library"):  # who changes something next cleans up
                left = [path.name for path in (place / "library" / ".work").iterdir()]
            if set(left) - {"lock", "lock-journal"}:
                neither.append([number, left])
            shutil.rmtree(place)
            if not died:
                break
        found[name] = {"undone": undone, "done": done, "neither": neither}
    return found


def step(library, sound, number):
    """Change `number` of an endless list of changes; the same in each process."""
    match number % 8:
        case 0 | 4:
            library.add(preset(f"Kick {number}"), preview=sound)
        case 1:
            library.rename(f"kick-{number - 1}", f"Snare {number}")
        case 2:
            library.assign(number % 128 + 1, f"snare-{number - 1}")
        case 3:
            library.tag(f"snare-{number - 2}", ["metal", str(number)])
        case 5:
            library.duplicate(f"kick-{number - 1}", f"Twin {number}")
        case 6:
            library.delete(f"snare-{number - 5}")
        case 7:
            library.restore(f"snare-{number - 6}")


def steps(folder):
    """Change after change, each announced on stdout before and acknowledged after; until killed."""
    library, sound = Library(folder / "library"), folder / "sound.wav"
    sound.write_bytes(WAV)
    for number in range(10_000):
        step(library, sound, number)
        os.write(1, f"{number}\n".encode())


def crowd(folder, mine):
    """One of several processes that use a library at once, all with the same names."""
    library = Library(folder / "library")
    for number in range(12):
        entry = library.add(preset("Kick", prompt=f"{mine} {number}"))
        library.tag(entry.path.name, [f"by{mine}"])
        assert library.find(tags=[f"by{mine}"], limit=100)
        if number % 3 == 0:
            entry = library.rename(entry.path.name, "Snare")
        library.assign(1 + 12 * mine + number, entry.path.name)
        if number % 4 == 3:
            library.delete(library.duplicate(entry.path.name, f"Twin {mine}").path.name)


if __name__ == "__main__":
    task, place = sys.argv[1], Path(sys.argv[2])
    if task == "lines":
        some = range(1, 100_000, int(sys.argv[3]))
        sys.stdout.write(json.dumps(every_death(place, dies_at_line, some)))
    elif task == "bytes":
        some = [*range(0, 700, int(sys.argv[3])), *range(700, 300_000, 9001)]
        sys.stdout.write(json.dumps(every_death(place, dies_at_byte, some)))
    elif task == "steps":
        steps(place)
    else:
        crowd(place, int(sys.argv[3]))
