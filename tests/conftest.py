"""What holds for all tests."""

import gc
import os
import signal
import sys
from pathlib import Path

import certifi
import httpx
import pytest
from hypothesis import HealthCheck, settings

sys.path.append(str(Path(__file__).parent))  # ``support``

from support.postgres import (  # noqa: F401
    _clusters,
    _create,
    _names,
    asynchronous_pair,
    clusters,
    database,
    pair,
    postgres,
    quick_ledgers,
)

pytest_plugins = ["support.reruns", "support.watchdog"]

# An example that takes long says only that the machine is busy. The rest is as Hypothesis has it, in CI too.
settings.register_profile(
    "any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

# What is shown follows neither the terminal of whoever runs the tests nor a CI that asks for colours. (Typer
# looks when it is imported.)
for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PY_COLORS", "CLICOLOR_FORCE", "GITHUB_ACTIONS"):
    os.environ.pop(name, None)
os.environ["TERM"] = "xterm"

# A busy machine may keep a server of ours from answering for longer than the 5 seconds that httpx waits.
for name in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, name, 60.0)

# A shell that runs the tests behind ``&`` in a script ignores SIGINT for them and for all they start;
# the tests of Ctrl-C want what a terminal gives.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish():
    """A test that searches for garbage does not look at ten thousand other ones each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _one_authority(tmp_path_factory):
    """Each ``httpx.get`` loads all authorities, for 20 ms, though nobody speaks TLS: here there is one."""
    file = tmp_path_factory.mktemp("authorities") / "one.pem"
    first, end, _ = certifi.contents().partition("-----END CERTIFICATE-----\n")
    file.write_text(first + end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        yield
