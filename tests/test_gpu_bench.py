"""`make gpu` at tiny size on the CPU: every figure of its page is there, and true here."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants

from bench import gpu, gpu_page
from bench.gpu import Size

SIZE = Size(("tiny-1.0", "tiny-small"), 0.1, 0.1, 0, 1, 0.0)
QUICK = ("patch fast", "patch paper", "separate paper", "generate")


@pytest.fixture
def figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", constants.HF_HUB_CACHE)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", constants.HF_HUB_OFFLINE)
    every = gpu.said_beforehand

    def quick(*given: Any) -> dict[str, Any]:
        return {name: need for name, need in every(*given).items() if name in QUICK}

    monkeypatch.setattr(gpu, "said_beforehand", quick)
    return gpu.measure(torch.device("cpu"), replace(SIZE, models=("tiny-1.0",)), tmp_path)


def test_every_figure_is_there(figures: dict[str, Any]) -> None:
    rows = {row["recipe"]: row for row in figures["rows"]}
    assert rows.keys() == set(QUICK)
    for row in rows.values():
        assert 0 < row["step"] < 60
        assert row["minutes"] > 0
        assert row["said_bytes"] > 4 * 1_000_000  # of the weights
    paper = rows["patch paper"]
    assert paper["minutes"] == pytest.approx(1000 * paper["step"] / 60)
    # The CPU computes in single precision: D is the same, equal seeds give equal bytes.
    assert figures["errors"]["tiny-1.0"] == {"guidance 7": [0.0] * 3, "guidance 60": [0.0] * 3}
    assert all(figures["equal"]["tiny-1.0"].values())
    assert len(figures["equal"]["tiny-1.0"]) == 3

    text = gpu_page.tables(figures)
    assert text.count("\n| tiny-1.0 |") == len(QUICK) + 2 + 3
    assert "not counted" in text  # no GPU, no peak
    lines = [line for line in text.splitlines() if line.startswith("| tiny-1.0 | patch fast")]
    assert [line.count("|") for line in lines] == [12]


def test_the_page_keeps_what_is_around_its_marks() -> None:
    page = f"before\n{gpu_page.BEGIN}\nold\n{gpu_page.END}\nafter\n"
    assert gpu_page.page_with(page, "new\n") == (
        f"before\n{gpu_page.BEGIN}\nnew\n{gpu_page.END}\nafter\n"
    )
    with pytest.raises(ValueError, match="has no <!-- make gpu: begin -->"):
        gpu_page.page_with("nothing", "new")
    real = Path(__file__).parents[1] / "docs" / "gpu.md"
    assert gpu_page.page_with(real.read_text(encoding="utf-8"), "x") != ""
