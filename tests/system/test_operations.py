"""What operators do: look, restart, stop; and a store that runs full. Taps: test_taps.py."""
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from devices import LineDevice, arrived_once, check_lines, line
from harness import BIN, Gateway, free_port, line_source, wait_for
from peers import exposition
from peers.looks import component, pids, wait_component

GATEWAY_SERVICES = ["store", "uplink-main", "acquisition", "health"]


def get(gateway, path):
    """(status, text) of a page of health; (0, "") when nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{gateway.health_port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


# -- looking -----------------------------------------------------------------------------------------------------------


def test_status_and_pages(directory, report):
    port = free_port()
    long = {"watchdog": {"limit": "60s"}}
    with Gateway(directory, sources=[line_source(port)], overrides=long) as gateway:
        gateway.wait_running()
        with LineDevice(port, total=5000) as device:
            arrived_once(gateway, device)
        status = json.loads(gateway.ctl("status", "--json").stdout)
        assert status["well"] and status["gateway"] == "gateway-1"
        instances = {entry["instance"]: entry for entry in status["instances"]}
        assert {*GATEWAY_SERVICES, "watchdog"} <= instances.keys()
        for name in GATEWAY_SERVICES:
            assert instances[name]["running"] and instances[name]["expected"]
            assert instances[name]["pid"] == gateway.pid(name)
        components = {c["name"]: c["state"] for c in instances["store"]["components"]}
        assert components == {"store": "open", "link:main": "active"}
        assert gateway.ctl("status").stdout.startswith("gateway gateway-1 in ")

        def verdict(name):
            return gateway.ctl("status", name, "--timeout", "500ms", check=False).returncode
        assert [verdict(name) for name in ("store", "watchdog", "nobody")] == [0, 0, 2]

        def page():
            code, text = get(gateway, "/metrics")
            assert code == 200
            return exposition.read(text)

        def value(series, name, **labels):
            found = [v for (n, pairs), v in series.items() if n == name and labels.items() <= dict(pairs).items()]
            return sum(found) if found else None
        wanted = ["holdfast_store_used_bytes", "holdfast_store_quota_bytes", "holdfast_store_backlog_records",
                  "holdfast_store_oldest_unsent_seconds", "holdfast_store_durability_window_seconds",
                  "holdfast_store_commits_total", "holdfast_link_up", "holdfast_link_round_trip_seconds",
                  "holdfast_link_acknowledged_records_total", "holdfast_source_records_total",
                  "holdfast_source_dropped_total", "holdfast_source_connections", "holdfast_process_up",
                  "holdfast_process_restarts_total", "holdfast_bus_dropped_total"]
        counts = ["holdfast_store_records_total", "holdfast_source_records_total",
                  "holdfast_link_acknowledged_records_total"]

        def complete():  # each service tells its figures once a second
            series = page()
            whole = not [name for name in wanted if value(series, name) is None]
            return series if whole and all(value(series, name) == 5000 for name in counts) else None
        series = wait_for(complete, 10, lambda: f"missing {[n for n in wanted if value(page(), n) is None]}",
                          interval=0.1)
        assert value(series, "holdfast_link_up", link="main") == 1
        assert value(series, "holdfast_source_records_total", source="lines") == 5000
        report(series=len(series), families=len({name for name, _ in series}))

        wait_for(lambda: get(gateway, "/healthz")[0] == 200, 10, lambda: get(gateway, "/healthz"), interval=0.1)
        page_code, page_text = get(gateway, "/")
        assert page_code == 200 and "<html" in page_text.lower()
        assert json.loads(get(gateway, "/status.json")[1])["healthy"]
        assert get(gateway, "/nothing")[0] == 404
        for service in ("uplink-main", "store", "acquisition"):
            pid = gateway.kill(service, signal.SIGSTOP)
            begin = time.monotonic()
            wait_for(lambda: get(gateway, "/healthz")[0] == 503, 20, "503", interval=0.1)
            assert service in get(gateway, "/healthz")[1]
            report(f"{service} stands still: 503", seconds=time.monotonic() - begin)
            done = gateway.ctl("status", "--json", check=False)
            assert done.returncode == 1 and not json.loads(done.stdout)["well"]
            assert verdict(service) == 2
            os.kill(pid, signal.SIGCONT)
            wait_for(lambda: get(gateway, "/healthz")[0] == 200, 20, lambda: get(gateway, "/healthz"), interval=0.1)
        gateway.stop_collector()
        wait_for(lambda: get(gateway, "/healthz")[0] == 503, 20, "503 without a link", interval=0.1)
        assert "link:main" in get(gateway, "/healthz")[1]
        assert verdict("uplink-main") == 1
    assert verdict("uplink-main") == 2
    done = gateway.ctl("status", "--json", check=False)
    assert done.returncode == 1 and not json.loads(done.stdout)["well"]


# -- restarting --------------------------------------------------------------------------------------------------------


def test_restart_each_service(directory, report):
    port = free_port()
    with Gateway(directory, sources=[line_source(port)]) as gateway:
        gateway.wait_running()
        with LineDevice(port, rate=5000) as device:
            for service in (*GATEWAY_SERVICES, "collector"):
                before = device.confirmed
                wait_for(lambda: device.confirmed > before + 1000, 20,
                         lambda: f"load, before {service}: {device.counts()}")
                others = pids(gateway, "collector")
                said = gateway.ctl("restart", service, centre=service == "collector").stdout.strip()
                assert gateway.pid(service) != others.pop(service)
                assert {name: gateway.pid(name) for name in others} == others
                report(said)
            assert gateway.ctl("restart", "nobody", check=False).returncode == 1
            wait_for(gateway.link_up, 20, "the link")
            arrived_once(gateway, device)
        assert "quarantine" not in gateway.log()


def test_restart_under_a_device_that_only_pauses(directory):
    """Without confirm, what acquisition has read survives its orderly restart."""
    port, sent = free_port(), 0
    with Gateway(directory, sources=[line_source(port, confirm="none")]) as gateway:
        gateway.wait_running()
        for _ in range(4):
            with socket.create_connection(("127.0.0.1", port)) as device:
                device.sendall(b"".join(line(number) for number in range(sent + 1, sent + 20001)))
                wait_for(lambda: (gateway.metric("acquisition", "holdfast_source_records_total") or 0) >= 20000, 20,
                         "the pause: all is read")
                sent += 20000
                gateway.ctl("restart", "acquisition")
            wait_component(gateway, "acquisition", "source:lines", "listening")
        gateway.wait_delivered(sent)
        assert not check_lines(gateway.dump().verify().streams["lines"], sent)


# -- starting and stopping ---------------------------------------------------------------------------------------------


def command(gateway, service):
    name, _, link = service.partition("-")
    config = gateway.collector_config_path if service == "collector" else gateway.config_path
    return [BIN / f"holdfast-{name}", "--config", config] + (["--link", link] if link else [])


def test_second_instance(directory):
    with Gateway(directory, sources=[line_source(free_port())]) as gateway:
        gateway.wait_running()
        before = pids(gateway, "collector")
        for service in (*GATEWAY_SERVICES, "watchdog", "collector"):
            second = subprocess.run(command(gateway, service), capture_output=True, text=True, timeout=10)
            assert second.returncode == 73, f"{service}: {second.returncode} {second.stderr}"
            assert f"already running as pid {before[service]}" in second.stderr
        wrong = subprocess.run([*command(gateway, "watchdog"), "--only", "uplink"], capture_output=True, text=True,
                               timeout=10)
        assert wrong.returncode == 64 and "known are store, uplink-main, acquisition" in wrong.stderr
        # Another run directory does not open the same store, and the same for the archive.
        other = json.loads(gateway.config_path.read_text()) | {"run_directory": str(directory / "other")}
        (directory / "other.yaml").write_text(json.dumps(other))
        second = subprocess.run([BIN / "holdfast-store", "--config", directory / "other.yaml"], capture_output=True,
                                text=True, timeout=10)
        assert second.returncode == 73 and str(gateway.store_directory) in second.stderr
        assert pids(gateway, "collector") == before
        gateway.wait_running()


@pytest.mark.parametrize("order", [[], ["store", "uplink-main", "acquisition", "health", "collector"],
                                   ["collector", "uplink-main", "store", "health", "acquisition"]],
                         ids=["all together", "store first", "collector first"])
def test_sigterm(directory, report, order):
    """Each service alone, under load: 0 within 5 s, whoever else is gone already; then all start again and nothing is
    lost."""
    port = free_port()
    gateway = Gateway(directory, sources=[line_source(port)])
    services = ["store", "uplink-main", "acquisition", "health", "collector"]

    def start():
        logs = open(directory / "services.log", "ab")
        return {name: subprocess.Popen(command(gateway, name), stdin=subprocess.DEVNULL, stdout=logs, stderr=logs)
                for name in services}
    running = start()
    try:
        wait_for(lambda: gateway.link_up(), 15, "the link")
        with LineDevice(port, rate=10000) as device:
            wait_for(lambda: device.confirmed > 3000, 20, "load")
            took = {}
            if not order:
                for process in running.values():
                    process.terminate()
            begin = time.monotonic()
            for name in order or services:
                begin = time.monotonic() if order else begin
                if order:
                    running[name].terminate()
                code = running[name].wait(10)
                took[name.replace("-", "_")] = round(time.monotonic() - begin, 3)
                assert code == 0, f"{name}: {code}"
                assert took[name.replace("-", "_")] < 5
            report("seconds to end", **took)
            running = start()
            wait_for(lambda: gateway.link_up(), 15, "the link again")
            arrived_once(gateway, device)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait(15)


def test_ordered_stop(directory, report):
    """All of it under load: in reverse order, exit code 0, nobody left behind, nothing lost over the pause."""
    port = free_port()
    gateway = Gateway(directory, sources=[line_source(port)])
    with gateway, LineDevice(port, rate=10000) as device:
        gateway.wait_running()
        wait_for(lambda: device.confirmed > 3000, 20, "load")
        begin = time.monotonic()
        assert gateway.stop() == (0, 0)
        report(seconds=time.monotonic() - begin)
        assert not gateway.leftovers()
        ends = [text.split("stopped instance=")[1].strip() for text in gateway.log().splitlines()
                if "stopped instance=" in text]
        assert ends == ["health", "acquisition", "uplink-main", "store", "watchdog"]
        gateway.start()
        arrived_once(gateway, device)


# -- quota -------------------------------------------------------------------------------------------------------------


def test_quota(directory, report):
    """The collector is away until the store is full: the device is held back, the file keeps its bound, everybody says
    so; when the collector is back all arrives, once. Twice over, so that freed space is used again."""
    port, quota = free_port(), 16 << 20  # the least the configuration takes
    bound = quota + quota // 8 + (64 << 20)  # services/store/README.md
    with Gateway(directory, sources=[line_source(port) | {"window": "1MiB"}],
                 overrides={"store": {"quota": quota, "max_batch": "1MiB"}}) as gateway:
        gateway.wait_running()
        largest = 0

        def size():
            nonlocal largest
            largest = max(largest, sum(entry.stat().st_size for entry in os.scandir(gateway.store_directory)))
            return largest
        with LineDevice(port, most_unconfirmed=50000) as device:
            for round_ in (1, 2):
                gateway.stop_collector()
                wait_component(gateway, "store", "store", "full", timeout=60)
                full_at = device.confirmed
                assert get(gateway, "/healthz")[0] in (200, 503)
                wait_for(lambda: get(gateway, "/healthz")[0] == 503 and "full" in get(gateway, "/healthz")[1], 15,
                         lambda: get(gateway, "/healthz"), interval=0.1)
                shown = gateway.ctl("status", "store", check=False)
                assert shown.returncode == 1 and "ALARM" in shown.stdout and "store_full" in shown.stdout
                held = device.confirmed
                samples = [(size(), device.confirmed) for _ in range(50) if not time.sleep(0.01)]
                assert samples[-1][1] == held, "the device is held back"
                report(f"round {round_}: full", records=held, file_mib=size() / 2**20,
                       used_mib=gateway.metric("store", "holdfast_store_used_bytes") / 2**20)
                assert size() <= bound
                assert gateway.metric("store", "holdfast_store_used_bytes") <= quota + (1 << 20) + (1 << 20)
                gateway.start_collector()
                wait_for(lambda: device.confirmed > full_at + 20000, 60, lambda: f"it goes on: {device.counts()}",
                         interval=0.02)
                assert component(gateway, "store", "store")[0] in ("open", "full")
            arrived_once(gateway, device)
            assert size() <= bound
            wait_component(gateway, "store", "store", "open")
            report(records=device.confirmed, largest_file_mib=largest / 2**20, bound_mib=bound / 2**20)
