"""What a stem set says of itself is enough to ask for it again."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from bridge import worker
from bridge.cli import main
from bridge.cli import stems as tracks
from bridge.cli.base import CommandFailed
from bridge.files import wav
from bridge.protocol.events import Done
from bridge.protocol.jobs import Separate
from bridge.stems import manifest as stems
from bridge.stems import remake
from bridge.stems.bwf_metadata import Origin, tags

ASKED = {
    "prompts": ("Alto säx", "kick & <snare>", "kick & <snare>"), "negatives": ("hiss",),
    "method": "masks", "steps": 12, "seed": 7, "model": "default",
}  # fmt: skip


def put(folder: Path, **changes: object) -> Path:
    """A stem file by our own hand."""
    about = {
        "job": "0" * 16, "source": "take.wav", "source_sha256": "f" * 64, "model_hash": "a" * 64,
        "code": "0.1.0", "rate": 48000, "channels": 2, "start_samples": 0,
    }  # fmt: skip
    bext, ixml = tags(Origin(**about | ASKED | changes), 2, "kick & <snare>")
    path = folder / "a.WAV"
    wav.write(path, [bytes(80)], rate=48000, channels=2, frames=10, bext=bext, ixml=ixml)
    return path


def test_one_stem_file_says_what_was_asked(tmp_path: Path) -> None:
    assert remake.job_of_stem_set(put(tmp_path)) == ASKED
    assert remake.job_of_stem_set(put(tmp_path, steps=0, negatives=())) == ASKED | {
        "steps": None, "negatives": (),
    }  # fmt: skip


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), min_size=1, max_size=300))
def test_any_prompt_survives_the_file(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = put(tmp_path_factory.getbasetemp(), prompts=(text,))
    assert remake.job_of_stem_set(path)["prompts"] == (text,)


def test_the_manifest_and_its_folder_say_the_same(tmp_path: Path) -> None:
    listed = [stems.Stem(prompt=p, wav="a.wav", rms_db=0.0) for p in ASKED["prompts"]]
    manifest = stems.Manifest(
        job="0" * 16, source="take.wav", source_sha256="", source_wav="take.wav", rate=48000,
        frames=10, channels=2, residual="r.wav", residual_rms_db=0.0, null_db=-150.0,
        stems=tuple(listed), negatives=("hiss",), method="masks", steps=12, seed=7,
        model="default", model_hash="", code="0",
    )  # fmt: skip
    stems.save(manifest, tmp_path / "stems.json")
    told = ASKED | {"force": False}
    assert (
        remake.job_of_stem_set(tmp_path) == remake.job_of_stem_set(tmp_path / "stems.json") == told
    )
    absent = [stem.model_copy(update={"present": False}) for stem in manifest.stems]
    stems.save(manifest.model_copy(update={"stems": tuple(absent)}), tmp_path / "stems.json")
    assert remake.job_of_stem_set(tmp_path) == ASKED | {"force": True}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), {}),
        (("--seed", "0", "--steps", "3"), {"seed": 0, "steps": 3}),
        (("--method", "fast"), {"method": "fast", "steps": None}),
        (("--method", "masks"), {}),
        (("--prompt", "x", "--negative", "y"), {"prompts": ("x",), "negatives": ("y",)}),
        (("--model", "gaussian", "--force"), {"model": "gaussian", "force": True}),
    ],
)
def test_what_is_given_wins_over_what_a_set_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], expected: dict
) -> None:
    asked: dict[str, Any] = {}

    def run(_kind: type, _as_json: bool, _here: bool, **values: Any) -> dict[str, Any]:
        asked.update(values)
        raise CommandFailed("seen", "")

    monkeypatch.setattr(tracks, "run", run)
    like = ("--like", str(put(tmp_path)), "--out", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["scorewire", "separate", "take.wav", *like, *given])
    with pytest.raises(SystemExit):
        main.main()
    assert {key: asked[key] for key in ASKED} | expected == ASKED | expected
    assert {key: asked[key] for key in ASKED | expected} == ASKED | expected


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa">]><BWFXML><SCOREWIRE><SEED>&a;</SEED></SCOREWIRE></BWFXML>'


@pytest.mark.parametrize("ixml", ["", "<", "<BWFXML/>", BOMB])
def test_other_files_do_not_say_how_they_were_made(tmp_path: Path, ixml: str) -> None:
    path = tmp_path / "a.wav"
    wav.write(path, [], rate=48000, channels=1, frames=0, bext=wav.Bext(), ixml=ixml)
    with pytest.raises(ValueError, match=r"a\.wav does not say how it was made"):
        remake.job_of_stem_set(path)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"stems\.json does not exist"):
        remake.job_of_stem_set(tmp_path)


def test_made_again_from_one_stem_every_byte_is_the_same(tmp_path: Path) -> None:
    sound = 0.1 * np.random.default_rng(0).standard_normal(6000)
    sf.write(tmp_path / "take.wav", sound, 24000)

    def made(folder: str, fields: dict[str, Any]) -> dict[str, bytes]:
        about = {"id": "j", "file": str(tmp_path / "take.wav"), "out": str(tmp_path / folder)}
        job = Separate.model_validate(fields | about)
        *_, done = worker.work(job, worker.Models(evaluation_scorer=Path("nowhere")))
        assert isinstance(done, Done), done
        return {path.name: path.read_bytes() for path in (tmp_path / folder).glob("*.wav")}

    fields = {"prompts": ("one", "two"), "negatives": ("hum",), "seed": 3, "method": "masks"}
    first = made("first", fields | {"model": "gaussian", "steps": 2})
    assert len(first) == 3
    assert made("second", remake.job_of_stem_set(tmp_path / "first" / min(first))) == first
