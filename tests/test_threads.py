"""Work beside the loop: its outcome comes back, and nobody waits for it at the end."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.processes.background_threads import beside

ROOT = Path(__file__).parents[1]


def test_what_comes_of_it_comes_back() -> None:
    assert asyncio.run(beside(divmod, 17, 5)) == (3, 2)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(beside(divmod, 17, 0))


def test_a_process_ends_while_it_blocks() -> None:
    program = (
        "import asyncio, threading\n"
        "from bridge.processes.background_threads import beside\n"
        "async def main():\n"
        "    task = asyncio.create_task(beside(threading.Event().wait))\n"
        "    await asyncio.sleep(0.1)\n"
        "    task.cancel()\n"
        "asyncio.run(main())\n"
        "print('left')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("left\n", "")
