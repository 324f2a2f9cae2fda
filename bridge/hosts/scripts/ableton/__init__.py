"""Scorewire in Ableton Live: a Remote Script that puts stems on tracks of the arrangement.

Ten times a second it looks into a folder (its path is in folder.txt beside this file) for a
request, does it within one undo step, and writes an answer. No port is opened. Written for the
Python of Live 11 and 12; audio clips can be made from Live 12.0.5 on.
"""

import json
import os

from _Framework.ControlSurface import ControlSurface

HERE = os.path.dirname(os.path.abspath(__file__))
LONGEST = 1 << 24  # letters of a request; a longer one is cut, and no JSON any more
WRONG = (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError)


def create_instance(c_instance):
    """What Live calls when the script is chosen as a control surface."""
    return Scorewire(c_instance)


class Scorewire(ControlSurface):
    """A control surface without controls."""

    def __init__(self, c_instance):
        ControlSurface.__init__(self, c_instance)
        with open(os.path.join(HERE, "folder.txt"), encoding="utf-8") as file:
            self._folder = file.read().strip()
        self.show_message("Scorewire is ready to bring stems")

    def update_display(self):
        """Live calls this every 100 ms, on its main thread."""
        ControlSurface.update_display(self)
        names = os.listdir(self._folder) if os.path.isdir(self._folder) else []
        for name in sorted(names):
            if name.startswith("request-") and name.endswith(".json"):
                self._take(name)

    def _take(self, name):
        """One request: it is taken first, so that whoever gave up waiting can take it back."""
        taken = os.path.join(self._folder, name.replace("request-", "taken-", 1))
        try:
            os.rename(os.path.join(self._folder, name), taken)
        except OSError:
            return
        try:
            with open(taken, encoding="utf-8") as file:
                answer = {"done": self._do(json.loads(file.read(LONGEST)))}
        except WRONG as error:
            answer = {"failed": str(error) or type(error).__name__}
        whole = taken.replace("taken-", "answer-", 1)
        with open(whole + ".part", "w", encoding="utf-8") as file:
            json.dump(answer, file)
        os.replace(whole + ".part", whole)
        os.remove(taken)

    def _do(self, request):
        if "message" in request:
            self.show_message(request["message"])
            return request["message"]
        song = self.song()
        song.begin_undo_step()
        try:
            return self._place(song, request)
        finally:
            song.end_undo_step()

    def _place(self, song, request):
        """All tracks, or none and the reason."""
        beat = request["beat"]
        if beat is None:  # nobody knew the tempo of the set better than Live does
            beat = request["seconds"] * song.tempo / 60.0
        before = len(song.tracks)
        try:
            for wanted in request["tracks"]:
                track = song.create_audio_track(-1)
                track.name, track.color = wanted["name"], wanted["colour"]
                if not hasattr(track, "create_audio_clip"):
                    raise ValueError("this Live cannot make audio clips: 12.0.5 or newer can")
                clip = track.create_audio_clip(wanted["file"], beat)
                clip.warping = False  # Auto-Warp Long Samples would stretch it
                clip.name, clip.color = wanted["name"], wanted["colour"]
        except WRONG:
            while len(song.tracks) > before:
                song.delete_track(len(song.tracks) - 1)
            raise
        return f"{len(request['tracks'])} tracks at beat {beat:g}"
