"""The benchmark page: one table a bench, no cell that breaks it."""

from __future__ import annotations

import pytest

from bench import renderers, report, timing


def test_rows_become_a_table() -> None:
    rows: list[dict[str, object]] = [{"name": "a|b", "value": 0.123456, "ratio": "3x"}]
    assert report.table(rows) == [
        "| name | value | reference | ratio | error | target |",
        "|---|---|---|---|---|---|",
        "| a\\|b | 0.123 | - | 3x | - | - |",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0123456, "12.3 ms"), (4.5678, "4.57 s"), (1234.5, "1,234 s")]
)
def test_seconds_are_shown_in_three_figures(seconds: float, text: str) -> None:
    assert timing.shown(seconds) == text


def test_the_page_names_machine_and_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderers, "rows", lambda: [{"name": "FM", "value": "1 ms"}])
    monkeypatch.setattr(report, "modules", lambda: [renderers])
    page = report.page()
    assert f"- Machine: {report.processor()}" in page
    assert "Alone: `python -m bench.renderers`" in page
    assert "| FM | 1 ms | - | - | - | - |" in page
