"""The environment of the tests, and what all of them need."""
import contextlib
import datetime
import json
import os
import pathlib
import random
import resource
import socket
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(os.environ.get("HOLDFAST_BIN", ROOT / "build/bin")).resolve()
BUILD = pathlib.Path(os.environ.get("HOLDFAST_BUILD",
                                    BIN.parent if (BIN.parent / "messages").exists() else ROOT / "build"))
FIGURES = pathlib.Path(os.environ.get("HOLDFAST_FIGURES", BUILD / "test-figures.jsonl"))
PLACE = os.environ.get("HOLDFAST_TEST_DIRECTORY", "/var/tmp")
PEERS = ROOT / "tests/system/peers"
# The services are built to find errors: red zones and a quarantine of what was freed count as their memory, and the
# allocator may be locked for ever in what they fork, so that a file is examined until the time for that is over (5 s).
SANITIZED = "HOLDFAST_SANITIZER_LOG" in os.environ

sys.path.insert(0, str(BUILD / "messages"))

resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))

capture = contextlib.nullcontext  # conftest puts pytest's way around its capture here


def report(test, /, text="", **figures):
    """One line for people, one JSON line in FIGURES; both also when the test passes."""
    shown = " ".join(f"{name}={_shown(value)}" for name, value in figures.items())
    with capture():
        print(f"\n[{test}] {text}{' ' if text and shown else ''}{shown}", flush=True)
    with contextlib.suppress(OSError), open(FIGURES, "a", encoding="utf-8") as out:
        at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        out.write(json.dumps({"time": at, "test": test, "text": text, **figures}, default=str) + "\n")


def _shown(value):
    return f"{value:.4g}" if isinstance(value, float) else value


def wait_for(condition, timeout, what="", interval=0.005):
    """Polls until condition() is true and returns what it gave; AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        late = time.monotonic() > deadline
        value = condition()
        if value:
            return value
        if late:
            raise AssertionError(f"not within {timeout} s: {what() if callable(what) else what or condition}")
        time.sleep(interval)


def free_port(_given=set()):
    """A TCP and UDP port below the range the kernel gives to outgoing connections."""
    while True:
        port = random.SystemRandom().randint(15000, 32000)
        if port in _given:
            continue
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


def new_directory(name="test"):
    """On a real disk; a short path, for the sockets below it."""
    return pathlib.Path(tempfile.mkdtemp(prefix=f"hf-{name[:12]}-", dir=PLACE))


def merged(base, more):
    """Nested dicts united; `more` wins."""
    out = dict(base)
    for key, value in (more or {}).items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if both else value
    return out


def quantile(values, q):
    values = sorted(values)
    return values[min(int(q * len(values)), len(values) - 1)] if values else float("nan")


def line_source(port, name="lines", confirm="count", **more):
    return {"name": name, "type": "tcp-server", "listen": f"127.0.0.1:{port}", "confirm": confirm} | more
