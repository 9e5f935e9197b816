import os
import pathlib
import shutil
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness  # noqa: E402
from harness import base  # noqa: E402


def pytest_configure(config):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # below nohup all processes would ignore it
    manager = config.pluginmanager.getplugin("capturemanager")
    if manager is not None:
        base.capture = manager.global_and_fixture_disabled


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.failed = outcome.get_result().failed


@pytest.fixture
def directory(request):
    """On a real disk; kept when the test fails."""
    path = harness.new_directory(request.node.name.removeprefix("test_"))
    yield path
    if getattr(request.node, "failed", True):
        with base.capture():
            print(f"\nlogs and files are in {path}", flush=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(autouse=True)
def sanitizer_findings():
    """With HOLDFAST_SANITIZER_LOG, the log_path of the services' sanitizers: a finding fails the test it came in."""
    path = os.environ.get("HOLDFAST_SANITIZER_LOG")
    found = (lambda: set(pathlib.Path(path).parent.glob(pathlib.Path(path).name + ".*"))) if path else set
    before = found()
    yield
    texts = [file.read_text(errors="replace")[:3000] for file in found() - before]
    assert not texts, "\n".join(texts)


@pytest.fixture(scope="session")
def laboratory():
    """Skips what needs the laboratory's links where they are not permitted."""
    from lab import FIBRE, Network, NotPermitted
    try:
        with Network(FIBRE):
            pass
    except NotPermitted as error:
        pytest.skip(str(error))


@pytest.fixture
def report(request):
    """report(text, name=figure, ...) under the test's name."""
    return lambda text="", **figures: harness.report(request.node.name, text, **figures)
