"""The light process stays light: what a fresh interpreter has loaded after an import."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "numpy", "scipy", "numba", "soundfile", "pedalboard", "renderers", "sds")


@pytest.mark.parametrize(
    "module", ["bridge.cli", "bridge.service.job_server", "bridge.osc.endpoint", "presets.preset"]
)
def test_import_loads_nothing_heavy(module):
    program = f"import {module}, sys; print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert (run.returncode, run.stdout.strip(), run.stderr) == (0, "", "")


def test_the_model_side_imports_without_a_word():
    """stable-audio-tools prints and warns while it is imported: `quiet` keeps that inside."""
    modules = ("sds.signal.audio_files", "sds.similarity.two_tower", "sds.priors.text_embedding")
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {', '.join(modules)}"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_a_player_needs_no_torch():
    """Kernels and voice come without the renderers, whose names still are where they were."""
    program = (
        "import renderers.kernels, sys; assert 'torch' not in sys.modules;"
        "from renderers import RENDERERS, for_preset; assert 'torch' in sys.modules;"
        "print(*RENDERERS)"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert (run.returncode, run.stdout.split(), run.stderr) == (0, ["fm", "impact"], "")


PACKAGES = sorted(
    init.parent
    for top in ("bridge", "sds")
    for init in (ROOT / top).rglob("__init__.py")
    if "scripts" not in init.parts and init.parent.name != "weights"
)


@pytest.mark.parametrize(
    "package", PACKAGES, ids=lambda folder: folder.relative_to(ROOT).as_posix()
)
def test_a_package_lists_what_is_in_it(package):
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text("utf-8")))
    listed = re.findall(r"^- `(\w+)`:", text, re.MULTILINE)
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    packages = {init.parent.name for init in package.glob("*/__init__.py")}
    assert sorted(listed) == sorted(modules | packages - {"weights", "scripts"})
