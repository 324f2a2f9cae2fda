"""Log lines that others can cause: one a second for each source, and how many more."""

import asyncio
import logging

from bridge.service import rate_limited_log
from bridge.service.rate_limited_log import OTHERS, OncePerWindow, RateLimitedLog


def said(monkeypatch, caplog, talk):
    monkeypatch.setattr(rate_limited_log, "WINDOW", 0.05)
    caplog.set_level(logging.INFO)

    async def main():
        lines = RateLimitedLog(logging.getLogger("x"))
        await talk(lines)
        await asyncio.sleep(0.2)

    asyncio.run(main())
    return [record.getMessage() for record in caplog.records]


def test_a_source_is_heard_once_and_the_rest_counted(monkeypatch, caplog):
    async def talk(lines):
        for number in range(1000):
            lines.say("a", f"a {number}")
        lines.say("b", "b 0")

    assert said(monkeypatch, caplog, talk) == ["a 0", "b 0", "999 more like that from a"]


def test_what_comes_later_is_heard_again(monkeypatch, caplog):
    async def talk(lines):
        lines.say("a", "first")
        await asyncio.sleep(0.2)
        lines.say("a", "second")

    assert said(monkeypatch, caplog, talk) == ["first", "second"]


def test_sources_beyond_the_limit_are_one(monkeypatch, caplog):
    monkeypatch.setattr(rate_limited_log, "MAX_SOURCES", 2)

    async def talk(lines):
        for name in "abcde":
            lines.say(name, name)

    assert said(monkeypatch, caplog, talk) == ["a", "b", "c", f"2 more like that from {OTHERS}"]


def test_a_warning_of_a_library_passes_once_in_a_window(monkeypatch):
    keeps = OncePerWindow().filter
    warning = logging.LogRecord("u", logging.WARNING, "", 0, "Invalid HTTP request.", None, None)
    other = logging.LogRecord("u", logging.WARNING, "", 0, "Unsupported upgrade.", None, None)
    error = logging.LogRecord("u", logging.ERROR, "", 0, "Exception in ASGI", None, None)
    assert [keeps(one) for one in (warning, warning, other, error, error)] == [
        True, False, True, True, True,
    ]  # fmt: skip
