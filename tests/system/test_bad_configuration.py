"""Wrong files and taken ports: said clearly, harming nobody."""
import re
import socket
import subprocess

from devices import LineDevice, check_lines
from harness import BIN, Gateway, free_port, line_source, wait_for
from peers.looks import pids, wait_component

SERVICES = {"store": [], "acquisition": [], "uplink": ["--link", "main"], "health": [], "watchdog": [], "collector": []}
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

# -- configuration -----------------------------------------------------------------------------------------------------

# Text, and the place and a word of the complaint.
BROKEN = {
    "malformed": ("name: a\nsources: [\n", r":\d+", "malformed YAML"),
    "tab": ("name: a\nlog:\n\tlevel: info\n", ":3", "malformed YAML"),
    "control characters": ("name: a\0b\x01\n", r":\d+", ""),
    "empty": ("", ":1", "empty"),
    "a list": ("- a\n- b\n", ":1", "map"),
    "unknown key": ("name: a\nsoruces: []\n", ":2", "unknown key 'soruces'"),
    "unknown key inside": ("store:\n  directory: /tmp/x\n  qouta: 1GiB\n", ":3", "unknown key 'qouta'"),
    "key twice": ("name: a\nname: b\n", ":2", "name"),
    "type": ("store: 7\n", ":1", "expected a map"),
    "text for a list": ("sources: none\n", ":1", "expected a list"),
    "no unit": ("health:\n  interval: 5\n", ":2", "expected a duration"),
    "negative": ("store:\n  quota: -1\n", ":2", "expected a size"),
    "huge": ("sources:\n  - {name: a, type: tcp-server, listen: '127.0.0.1:70000'}\n", ":2", "listen"),
    "unknown kind": ("sources:\n  - name: a\n    type: tcp-sever\n", ":3", "tcp-sever"),
    "missing": ("sources:\n  - name: a\n    type: tcp-server\n", r":\d", "listen"),
    "two of a name": ("destinations:\n  - name: a\n  - name: a\n", ":3", "duplicate"),
    "no such destination": ("destinations:\n  - name: a\nlinks:\n  - {name: l, destination: b, connect: 'h:1'}\n", ":4",
                            "unknown destination"),
    "no way": ("destinations:\n  - name: a\n", ":2:11", "no link leads to destination 'a'"),
    "unset variable": ("name: ${HOLDFAST_TEST_NOT_SET}\n", ":1", "HOLDFAST_TEST_NOT_SET"),
    "key without certificate": ("destinations: [{name: a}]\nlinks:\n  - {name: l, destination: a, connect: 'h:1', tls: "
                                "{key_file: /k}}\n", ":3", "go together"),
}


def run(*words, **settings):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, errors="replace", timeout=20,
                          **settings)


def test_broken_configuration(directory, report):
    """Each program says FILE:LINE and what is wrong, exits with 78, and has made nothing."""
    made = directory / "made"
    files = {}
    for number, what in enumerate(BROKEN):
        files[what] = directory / f"{number}.yaml"
        files[what].write_text(BROKEN[what][0])
    runs = 0
    for what, (_, place, words) in BROKEN.items():
        programs = {name: [BIN / f"holdfast-{name}", "--config", files[what], *more] for name, more in SERVICES.items()}
        programs |= {"check": [BIN / "holdfastctl", "check", files[what]],
                     "status": [BIN / "holdfastctl", "--config", files[what], "status"]}
        for name, command in programs.items():
            done = run(*command)
            said = done.stdout + done.stderr
            runs += 1
            assert done.returncode == 78, f"{what}: {name} gave {done.returncode}: {said}"
            assert re.search(re.escape(str(files[what])) + place, said) and words in said, f"{what}: {name}: {said}"
    for what, path in {"absent": directory / "absent.yaml", "a directory": directory}.items():
        for name, more in SERVICES.items():
            done = run(BIN / f"holdfast-{name}", "--config", path, *more)
            assert done.returncode == 78 and str(path) in done.stderr, f"{what}: {name}: {done}"
    unreadable = directory / "secret.yaml"
    unreadable.write_text("name: a\n")
    unreadable.chmod(0o600)
    directory.chmod(0o755)
    done = run(*NOBODY, BIN / "holdfast-store", "--config", unreadable)
    assert done.returncode == 78 and f"{unreadable}: cannot be read: Permission denied" in done.stderr
    assert not made.exists()
    report(files=len(BROKEN), runs=runs)


# -- ports in use ------------------------------------------------------------------------------------------------------


def occupied(port, kind=socket.SOCK_STREAM):
    holder = socket.socket(type=kind)
    holder.bind(("127.0.0.1", port))
    if kind == socket.SOCK_STREAM:
        holder.listen()
    return holder


def test_ports_in_use(directory, report):
    """Whoever finds his port taken says so and waits for it; the others work."""
    ports = {name: free_port() for name in ("good", "tcp", "udp")}
    gateway = Gateway(directory, sources=[
        line_source(ports["good"], "good"), line_source(ports["tcp"], "tcp", "none"),
        {"name": "udp", "type": "udp-server", "listen": f"127.0.0.1:{ports['udp']}"}])
    holders = {"tcp": occupied(ports["tcp"]), "udp": occupied(ports["udp"], socket.SOCK_DGRAM),
               "collector": occupied(gateway.collector_port), "health": occupied(gateway.health_port)}
    at = {"tcp": ("acquisition", "source:tcp", ports["tcp"]), "udp": ("acquisition", "source:udp", ports["udp"]),
          "collector": ("collector", "server", gateway.collector_port),
          "health": ("health", "web", gateway.health_port)}
    with gateway, LineDevice(ports["good"], rate=1000) as device:
        for what, (service, name, port) in at.items():
            said = wait_component(gateway, service, name, "fail")
            assert f"127.0.0.1:{port}" in said and "Address already in use" in said
            assert gateway.state(service).startswith("degraded: ")
            report(f"{what}: {said}")
        before = pids(gateway, "collector")
        wait_for(lambda: device.confirmed > 500, 20, "the good source goes on")
        for what, (service, name, _) in at.items():
            holders[what].close()
            wait_component(gateway, service, name, "listening")
        gateway.wait_running()
        assert pids(gateway, "collector") == before, "nobody was restarted"
        device.finish()
        gateway.wait_delivered(device.confirmed)
        assert not check_lines(gateway.dump().verify().streams["good"], device.confirmed)
