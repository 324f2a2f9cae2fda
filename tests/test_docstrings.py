"""Docstrings name the shapes of tensors, and no function is longer than a screen."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("sds", "bridge", "renderers", "presets")
LONGEST = 60
LONGER = {
    "renderers/kernels.py adjoint",
    "renderers/kernels.py fm_adjoint",
    "renderers/full_kernels.py full_adjoint",
}
"""Compiled loops over one sample that would be slower, and no clearer, in pieces."""

SHAPE = re.compile(r"\[(?=[^\]]*(?:\.\.\.|[A-Za-z]))[\w., +*/()'-]*\]")
"""[B, C, T], [..., T], [1, C', F, N]: an axis is a letter or a word, or `...`; [0, 1] is none."""

RIDDLES = re.compile(
    r"reference notes|section 1\.1|name all there is|two guesses|nobody named|has to be asked"
    r"|are asked\b|who knows what|with nobody|\bcrowd of parameter"
)


def modules(package: str) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def public_functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Public functions of a module, and public methods of its public classes."""
    for node in tree.body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for function in inside:
            if isinstance(function, ast.FunctionDef):
                name = f"{prefix}{function.name}"
                if not any(part.startswith("_") for part in name.split(".")):
                    yield name, function


def takes_tensors(function: ast.FunctionDef) -> bool:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    annotations = [argument.annotation for argument in arguments] + [function.returns]
    return any("Tensor" in ast.unparse(a) for a in annotations if a is not None)


def test_docstrings_of_tensors_name_their_shapes():
    named, unnamed = [], []
    for path, tree in modules("sds"):
        for name, function in public_functions(tree):
            if takes_tensors(function):
                shape = SHAPE.search(ast.get_docstring(function) or "")
                (named if shape else unnamed).append(f"{path} {name}")
    share = len(named) / (len(named) + len(unnamed))
    assert share >= 0.8, unnamed


@pytest.mark.parametrize(
    ("text", "is_shape"),
    [
        ("audio [B, C, T]", True),
        ("figures [..., 3]", True),
        ("one window [1, C', T']", True),
        ("in [0, 1]", False),
        ("in [0, 1)", False),
    ],
)
def test_a_range_is_no_shape(text, is_shape):
    assert bool(SHAPE.search(text)) == is_shape


def test_no_docstring_is_a_riddle_or_points_at_notes_that_are_not_here():
    found = [
        f"{path}: {match[0]}"
        for path, _ in modules("sds")
        if not path.endswith("__init__.py")  # these repeat what the modules say of themselves
        for match in RIDDLES.finditer((ROOT / path).read_text(encoding="utf-8"))
    ]
    assert not found


def test_functions_fit_on_a_screen():
    longer = {
        f"{path} {node.name}"
        for package in PACKAGES
        for path, tree in modules(package)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > LONGEST
    }
    assert longer == LONGER, longer ^ LONGER
