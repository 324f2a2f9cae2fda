"""LocalEngine against real child processes that misbehave in every way we know."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import aclosing
from pathlib import Path

import pytest

from bridge.execution.child_process import Child
from bridge.execution.local import LocalEngine
from bridge.protocol.events import Best, Cancelled, Done, Failed, Progress
from bridge.protocol.patch_jobs import DesignPatch
from tests.children import first_line, until

FAKE = Path(__file__).with_name("fake_worker.py")
COMMAND = (sys.executable, "-S", "-E", str(FAKE))


def patch(prompt, job_id="j1"):
    return DesignPatch(id=job_id, prompt=prompt, renderer="fm", out="/nowhere")


async def collect(engine, prompt, job_id="j1"):
    return [event async for event in engine.submit(patch(prompt, job_id))]


def run(prompts, **settings):
    """The events of each prompt, run one after the other on one engine; no child is left."""

    async def main():
        async with LocalEngine(COMMAND, **settings) as engine:
            runs = [await collect(engine, p, f"j{n}") for n, p in enumerate(prompts)]
            pid = engine.pid
        assert pid is None or gone(pid)
        return runs

    return asyncio.run(main())


def gone(pid):
    """Whether no process has this id; ours are waited for, so none stays as a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_events_come_in_order_and_end_with_done():
    (events,) = run(["ok"])
    assert [type(e) for e in events] == [Progress, Progress, Progress, Best, Done]
    assert [round(e.fraction, 3) for e in events[:3]] == [0, 0.333, 0.667]
    assert events[1].figures == {"loss": 0.75, "score": 0.25}
    assert events[-1].result["score_after"] == 0.75


def test_worker_survives_between_jobs():
    first, second = run(["ok", "ok"])
    assert first[-1].result["pid"] == second[-1].result["pid"]


def test_noise_on_stdout_is_logged_not_obeyed(caplog):
    with caplog.at_level(logging.INFO, "bridge"):
        (events,) = run(["noise"])
    assert [type(e) for e in events] == [Done]
    assert "seed is 42" in caplog.text
    assert "a library warns" in caplog.text


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("crash", "exit code 3) before the job did; its last words: RuntimeError: out of memory"),
        ("killed", "killed by SIGKILL"),
        ("midline", "exit code 0"),
    ],
)
def test_death_fails_the_job_and_the_next_runs_on_a_new_worker(prompt, reason):
    before, dead, after = run(["ok", prompt, "ok"])
    assert isinstance(dead[-1], Failed)
    assert dead[-1].code == "crashed"
    assert reason in dead[-1].reason
    assert isinstance(after[-1], Done)
    assert after[-1].result["pid"] != before[-1].result["pid"]


def test_death_after_done_leaves_the_job_done():
    first, second = run(["last", "ok"])
    assert isinstance(first[-1], Done)
    assert isinstance(second[-1], Done)


def test_last_event_that_makes_no_sense_fails_the_job():
    (events,) = run(["nonsense"])
    assert (events[-1].code, events[-1].reason) == (
        "internal",
        "the worker's answer made no sense: failed.code: field required",
    )


def test_worker_that_cannot_start_fails_the_job():
    async def main():
        async with LocalEngine(("/no/such/program",)) as engine:
            return await collect(engine, "ok")

    (event,) = asyncio.run(main())
    assert event.code == "crashed"
    assert "could not be started" in event.reason


def test_jobs_run_one_at_a_time_in_order():
    async def main():
        async with LocalEngine(COMMAND) as engine:
            streams = [engine.submit(patch("ok", f"j{n}")) for n in range(3)]
            seen = []

            async def follow(stream):
                async for event in stream:
                    seen.append(event.id)

            await asyncio.gather(*(follow(stream) for stream in reversed(streams)))
            return seen

    assert asyncio.run(main()) == ["j0"] * 5 + ["j1"] * 5 + ["j2"] * 5


def test_cancel_stops_a_running_job_and_keeps_the_worker():
    async def main():
        async with LocalEngine(COMMAND) as engine:
            events = []
            async for event in engine.submit(patch("slow")):
                events.append(event)
                if len(events) == 3:
                    assert await engine.cancel("j1")
                    pid = engine.pid
            after = await collect(engine, "ok")
            assert not await engine.cancel("j1")
            return events, pid, after

    events, pid, after = asyncio.run(main())
    assert isinstance(events[-1], Cancelled)
    assert after[-1].result["pid"] == pid


def test_stubborn_worker_is_killed_after_its_grace():
    async def main():
        async with LocalEngine(COMMAND, grace=0.2) as engine:
            async for event in engine.submit(patch("stubborn")):
                if isinstance(event, Progress):
                    pid = engine.pid
                    await engine.cancel("j1")
            return event, pid, await collect(engine, "ok", "j2")

    event, pid, after = asyncio.run(main())
    assert isinstance(event, Cancelled)
    assert gone(pid)
    assert isinstance(after[-1], Done)


def test_silent_worker_is_given_up():
    (silent,) = run(["stubborn"], stall=0.5)
    assert (silent[-1].code, silent[-1].reason) == (
        "stalled",
        "the worker said nothing for 0.5 s and was stopped",
    )


def test_cancel_takes_a_waiting_job_out_at_once():
    async def main():
        async with LocalEngine(COMMAND) as engine:
            running = engine.submit(patch("slow", "j1"))
            waiting = engine.submit(patch("ok", "j2"))
            async with aclosing(running):
                await anext(running)
                assert await engine.cancel("j2")
                return [event async for event in waiting]

    assert asyncio.run(main()) == [Cancelled(id="j2")]


def test_leaving_the_events_cancels_the_job():
    async def main():
        async with LocalEngine(COMMAND) as engine:
            async with aclosing(engine.submit(patch("slow", "j1"))) as events:
                await anext(events)
            return await collect(engine, "ok", "j2")

    assert isinstance(asyncio.run(main())[-1], Done)


@pytest.mark.parametrize("prompt", ["slow", "stubborn"])
def test_leaving_the_engine_interrupts_its_jobs_and_leaves_no_child(prompt):
    async def main():
        async with LocalEngine(COMMAND) as engine:
            running = engine.submit(patch(prompt, "j1"))
            waiting = engine.submit(patch("ok", "j2"))
            await anext(running)
            pid = engine.pid
        return pid, [e async for e in running][-1], [e async for e in waiting]

    pid, running, waiting = asyncio.run(main())
    assert gone(pid)
    assert (running.id, running.code) == ("j1", "interrupted")
    assert [(e.id, e.code) for e in waiting] == [("j2", "interrupted")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_child_outlives_a_parent_that_is_signalled(number, tmp_path):
    program = textwrap.dedent(
        f"""
        import asyncio
        from bridge.execution.local import LocalEngine
        from bridge.protocol.patch_jobs import DesignPatch
        from bridge.service.signals import stopping_on_signals
        async def main():
            async with stopping_on_signals() as stop, LocalEngine({COMMAND!r}) as engine:
                job = DesignPatch(id="j", prompt="slow", renderer="fm", out="/x")
                events = engine.submit(job)
                await anext(events)
                print(engine.pid, flush=True)
                await stop.wait()
        asyncio.run(main())
        """
    )
    path = tmp_path / "parent.py"
    path.write_text(program)
    with subprocess.Popen(
        [sys.executable, path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(FAKE.parents[1])},
    ) as parent:
        child = int(first_line(parent))
        parent.send_signal(number)
        _, errors = parent.communicate(timeout=20)
    assert parent.returncode == (-number if number == signal.SIGKILL else 0), errors
    assert errors == ""
    until(lambda: gone(child))


@pytest.mark.parametrize(
    ("chosen", "seen"), [(None, b"- 5000"), ("passive", b"passive -"), ("active", b"active -")]
)
def test_the_child_spins_shortly_unless_told(monkeypatch, chosen, seen):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    if chosen:
        monkeypatch.setenv("OMP_WAIT_POLICY", chosen)
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    program = f"import os; print(*(os.environ.get(name, '-') for name in {names!r}))"

    async def said():
        child = await Child.start((sys.executable, "-c", program))
        line = await child.lines.get()
        await child.close(5.0)
        return line

    assert asyncio.run(said()) == seen


@pytest.mark.parametrize("turns", range(5))
def test_leaving_ends_when_a_line_comes_at_that_moment(turns):
    """The server hung at SIGTERM: `asyncio.wait_for` of Python 3.11 lost the cancellation."""

    async def main():
        engine = LocalEngine(COMMAND, stall=600.0)
        async with asyncio.timeout(60):
            async with engine:
                async with aclosing(engine.submit(patch("stubborn"))) as events:
                    assert isinstance(await anext(events), Progress)
                    engine._worker.lines.put_nowait(b'{"kind": "cancelled", "id": "j1"}')
                    for _ in range(turns):  # the line is on its way through the loop
                        await asyncio.sleep(0)
                    await engine.__aexit__()
                    assert isinstance(await anext(events), Cancelled | Failed)

    asyncio.run(main())
