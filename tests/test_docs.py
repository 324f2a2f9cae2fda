"""The documents tell the truth: code runs, commands parse, paths exist, nothing local leaks."""

import io
import json
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
import tomllib
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import pytest
import torch
import typer.main

from bridge.cli.main import app
from presets.reading import read_json
from tests.children import first_line
from tests.peers import peer

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES.append(ROOT / "sds" / "weights" / "DATA.md")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = typer.main.get_command(app).commands
PORT = "9557"  # in the documents; a test takes a free one


def read(page):
    return page.read_text(encoding="utf-8")


def fences(language):
    return [
        (p.name, body) for p in PAGES for kind, body in FENCE.findall(read(p)) if kind == language
    ]


def shell_lines(first_word):
    """Whole command lines of the pages' unnamed code blocks."""
    lines = [(name, line) for name, body in fences("") for line in body.splitlines()]
    return [(n, line.split("  #")[0]) for n, line in lines if line.startswith(f"{first_word} ")]


@contextmanager
def serving(folder):
    """`scorewire serve` on a free port, with the worker of the bridge's tests; yields the port."""
    fake = [sys.executable, "-S", "-E", str(ROOT / "tests" / "fake_worker.py")]
    own = {"SCOREWIRE_OSC_PORT": "0", "SCOREWIRE_DATA": str(folder / "data"),
           "SCOREWIRE_WORKER": shlex.join(fake)}  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, "-m", "bridge.cli", "serve", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        cwd=ROOT, env=os.environ | own,
    )  # fmt: skip
    try:
        yield str(json.loads(first_line(server))["port"])
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=20)


def run_example(monkeypatch, name, *arguments):
    """An example as `python examples/NAME.py ARGUMENTS`, in this process: exit code and output."""
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    monkeypatch.syspath_prepend(EXAMPLES)
    out = io.StringIO()
    code = 0
    with redirect_stdout(out):
        try:
            runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
        finally:
            torch.set_flush_denormal(False)  # programs do that for their own process
    return code, out.getvalue()


# Python


@pytest.mark.parametrize(("page", "code"), fences("python"))
def test_python_blocks_run(page, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCOREWIRE_DATA", str(tmp_path / "data"))
    out = io.StringIO()
    if PORT not in code:
        exec(compile(code, page, "exec"), {})
    else:
        with serving(tmp_path) as port, redirect_stdout(out):
            exec(compile(code.replace(PORT, port), page, "exec"), {})
        assert "/scorewire/accepted" in out.getvalue()
        assert "/scorewire/done" in out.getvalue()


def test_the_readme_makes_a_sound_in_ten_lines(tmp_path, monkeypatch):
    import soundfile

    code = next(body for page, body in fences("python") if page == "README.md")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    (wav,) = tmp_path.glob("*.wav")
    sound, rate = soundfile.read(wav)
    assert (len(sound), rate) == (2 * 44100, 44100)
    assert 0.01 < abs(sound).max() <= 1.5


def test_make_a_sound(tmp_path, monkeypatch):
    from presets import load

    code, _ = run_example(monkeypatch, "make_a_sound", "--seed", "7", "--out", str(tmp_path))
    assert code == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["fm.json", "fm.wav", "impact.json", "impact.wav"]
    assert load(tmp_path / "impact.json").seed == 7


def test_distillation_finds_the_known_answer(monkeypatch):
    code, text = run_example(monkeypatch, "distill_gaussian")
    errors = [float(line.split()[-1]) for line in text.splitlines()]
    assert code == 0
    assert errors[0] > 0.3
    assert errors[-1] < 0.01


def test_osc_client_prints_the_replies_of_a_server(tmp_path, monkeypatch):
    asked = ("osc_client", "ok then", "--out", str(tmp_path / "o"), "--option", "steps=3")
    with serving(tmp_path) as port:
        key = (tmp_path / "data" / "token").read_text().strip()
        code, text = run_example(monkeypatch, *asked, "--key", key, "--port", port)
    replies = [line.split()[0].removeprefix("/scorewire/") for line in text.splitlines()]
    assert code == 0
    assert replies[0] == "accepted"
    assert {"progress", "best"} <= set(replies)
    assert replies[-1] == "done"


def test_picture_has_help(monkeypatch):
    code, text = run_example(monkeypatch, "picture", "--help")
    assert code == 0
    assert "--demo" in text


def test_every_example_is_tested():
    scripts = {path.stem for path in EXAMPLES.glob("*.py") if "__main__" in read(path)}
    ours = {"make_a_sound", "distill_gaussian", "osc_client", "picture", "factory_page"}
    # demo: tests/test_examples.py; make_mixture needs the corpus, and what it made is here
    assert scripts - {"demo", "make_mixture"} == ours


# Commands


@pytest.mark.parametrize(("page", "line"), shell_lines("scorewire"))
def test_scorewire_lines_parse(page, line):
    _, name, *arguments = shlex.split(line)
    COMMANDS[name].make_context(name, arguments)  # raises on an unknown or missing option


def test_the_commands_of_the_readme_find_their_files():
    """What a line reads is here, or an earlier line makes it, or the line says: yours."""
    block = next(body for page, body in fences("") if page == "README.md" and "\nscorewire" in body)
    made = set()
    for line in block.splitlines():
        command, _, comment = line.partition("  #")
        _, name, *arguments = shlex.split(command)
        context = COMMANDS[name].make_context(name, arguments, resilient_parsing=True)
        if name == "library":
            continue
        out = context.params.pop("out", None)
        values = [v if isinstance(v, list) else [v] for v in context.params.values()]
        for path in (value for some in values for value in some if isinstance(value, Path)):
            known = (ROOT / path).exists() or any(path.is_relative_to(folder) for folder in made)
            assert known or "yours" in comment, line
        if name == "morph":
            ends = [
                read_json(ROOT / context.params[end])["renderer"] for end in ("preset", "other")
            ]
            assert ends[0] == ends[1], line
        if out is not None:
            made.add(Path(out))


def test_scorewire_mentions_name_real_options():
    spans = [span for page in PAGES for span in re.findall(r"`(scorewire [^`]+)`", read(page))]
    assert spans
    for span in spans:
        name, *words = span.split()[1:]
        known = {option for p in COMMANDS[name].params for option in p.opts} | {"--help"}
        assert {word for word in words if word.startswith("--")} <= known, span


def test_every_command_is_in_the_readme():
    assert {line.split()[1] for page, line in shell_lines("scorewire")} == set(COMMANDS)


def test_module_lines_name_real_modules_and_options():
    lines = [line for _, line in shell_lines("python")]
    calls = [re.match(r"python -m (sds\.\S+)(.*)", line) for line in lines]
    assert {"corpus", "autoencoder", "prior", "scorer", "pack"} <= {
        call[1].split(".")[-1] for call in calls if call
    }
    for call in filter(None, calls):
        module = ROOT / call[1].replace(".", "/")
        module = module / "__main__.py" if module.is_dir() else module.with_suffix(".py")
        source = read(module)
        if "add_options(" in source:  # what every training has
            source += read(ROOT / "sds" / "train" / "loop.py")
        if "add_bands(" in source:
            source += read(ROOT / "sds" / "train" / "stem_bands.py")
        for option in re.findall(r"--[\w-]+", call[2]):
            assert f'"{option}"' in source, f"{call[1]} has no option {option}"


def test_the_numeric_tests_are_there():
    makefile = read(ROOT / "Makefile").replace("\\\n", " ")
    names = re.search(r"^NUMERIC := (.*)$", makefile, re.MULTILINE)[1].split()
    assert len(names) > 20
    assert [name for name in names if not (ROOT / "tests" / f"test_{name}.py").exists()] == []


def test_make_lines_name_real_targets():
    targets = set(re.findall(r"^([a-z]+):", read(ROOT / "Makefile"), re.MULTILINE))
    named = {span for page in PAGES for span in re.findall(r"`?make ([a-z]+)[`\s]", read(page))
             if f"`make {span}" in read(page) or f"\nmake {span}" in read(page)}  # fmt: skip
    assert {"demo", "test", "check", "bench"} <= named <= targets


# Paths


def test_links_lead_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)\)", read(page)):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_map_is_of_this_house():
    text = read(ROOT / "README.md").split("## The house")[1].split("\n## ")[0]
    paths = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    assert len(paths) >= 10
    for path in paths:
        assert (ROOT / path).exists(), path


def test_the_tree_is_the_tree():
    """docs/architecture.md names every package of the four, and no other."""
    tree = read(ROOT / "docs" / "architecture.md").split("## The tree")[1].split("```")[1]
    named, folders = set(), []
    for line in tree.splitlines():
        if match := re.match(r"( *)(\w+)/ ", line):
            folders[len(match[1]) // 2 :] = [match[2]]
            named.add("/".join(folders))
    packages = {
        init.parent.relative_to(ROOT).as_posix()
        for package in ("presets", "renderers", "sds", "bridge")
        for init in (ROOT / package).rglob("__init__.py")
        if "scripts" not in init.parts
    }
    assert named == packages


# Nothing local


def test_no_machine_path_and_no_registry_host_in_tracked_files():
    local = re.compile(
        r"(?<![\w.~$}])/(?:work|root|tmp|home)/"
        r"|pythonhosted|pypi\.(?:org|python)|index[-_]url|find-links https?:"
        r"|https?://[^\s/]*(?:mirror|registry|artifact|nexus|proxy)"
    )
    peer("git")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")  # an unpacked archive
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        data = path.read_bytes() if path.is_file() else b"\0"
        if b"\0" in data or path.name in ("tokenizer.json", Path(__file__).name):
            continue
        for number, line in enumerate(data.decode("utf-8").splitlines(), start=1):
            if local.search(line):
                found.append(f"{name}:{number}: {line.strip()[:80]}")
    assert found == []


def test_import_contracts_are_declared_and_kept():
    settings = tomllib.loads(read(ROOT / "pyproject.toml"))["tool"]["importlinter"]
    assert settings["root_packages"] == ["presets", "renderers", "sds", "bridge"]
    by_name = {contract["name"]: contract for contract in settings["contracts"]}
    light = by_name["the bridge process never loads torch"]
    assert {"torch", "numpy", "renderers", "sds"} <= set(light["forbidden_modules"])
    aside = {line.split(" -> ")[0] for line in light["ignore_imports"]}
    own = (
        "bridge.worker",
        "bridge.player.",
        "bridge.player",
        "bridge.stems.null_test_numpy",
    )  # own processes
    assert all(name.startswith(own) for name in aside)
    assert "only python -m runs the worker: nothing imports it" in by_name
    lint = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert lint.returncode == 0, lint.stdout + lint.stderr
