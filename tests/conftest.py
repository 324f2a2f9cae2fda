"""What holds for every test: peers may be required, no child outlives the tests, and nothing
is written to the data folder of whoever runs them.
"""

import os
import secrets
import signal
import sys

import pytest

from tests import children, peers


def pytest_configure():
    mode = os.environ.get(peers.MODE, "")
    if mode not in ("", "required"):
        raise pytest.UsageError(f"{peers.MODE} must be required or not be set, got {mode!r}")


@pytest.fixture(scope="session", autouse=sys.platform == "linux")
def _nothing_left_behind():
    """Every process that the tests started has ended when they have: it is named and killed."""
    mark = os.environ[children.MARK] = secrets.token_hex(8)
    yield
    left = children.left_behind(mark)
    for number in left:
        os.kill(number, signal.SIGKILL)
    assert not left, "left behind: " + "; ".join(f"{n} {words}" for n, words in left.items())


@pytest.fixture(scope="session", autouse=True)
def _own_data_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data-home")))
        yield
