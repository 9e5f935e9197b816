"""Programs of our users: the examples do what they promise."""
import os
import re
import subprocess
import sys
import threading

from devices import LineDevice
from harness import BUILD, ROOT, Gateway, free_port, line_source, wait_for

sys.path.insert(0, str(ROOT / "tests/examples"))
import producer  # noqa: E402

# -- programs of our users ---------------------------------------------------------------------------------------------


def test_producer_example(directory, report):
    """Exactly once, whatever is killed on the way; started again it goes on where it was."""
    total = 60000
    with Gateway(directory) as gateway:
        gateway.wait_running()
        done = []
        thread = threading.Thread(target=lambda: done.append(
            producer.produce(str(gateway.run), "counter", "telemetry", total, per_batch=10, timeout=60)))
        thread.start()
        kills = 0
        while thread.is_alive() and kills < 6:
            before = gateway.metric("store", "holdfast_store_records_total") or 0
            wait_for(lambda: not thread.is_alive()
                     or (gateway.metric("store", "holdfast_store_records_total") or 0) > before + 2000, 20, "progress")
            if thread.is_alive():
                gateway.kill("store")
                kills += 1
        thread.join(60)
        assert done == [total]
        assert kills >= 3
        command = [sys.executable, ROOT / "tests/examples/producer.py", "--run-directory", gateway.run, "--producer",
                   "counter", "--count", str(total + 1000)]
        said = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(BUILD / "messages")}, capture_output=True,
                              text=True, timeout=60)
        assert said.stdout == f"1000 records stored, {total + 1000} in all\n", said
        gateway.wait_delivered(total + 1000)
        values = gateway.dump().verify().streams["counter"].values
        assert values == list(range(total + 1000))
        report(records=len(values), kills_of_the_store=kills)


def test_tap_example(directory, report):
    """Ten lines of Python show what the services publish, records too."""
    port = free_port()
    with Gateway(directory, sources=[line_source(port)]) as gateway:
        gateway.wait_running()
        command = [sys.executable, ROOT / "tests/examples/tap.py", gateway.run, "heartbeat.", "metrics.", "record."]
        tap = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(BUILD / "messages")},
                               stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
        try:
            with LineDevice(port, rate=200):
                heard = set()
                for text in tap.stdout:
                    assert re.match(r"^(heartbeat|metrics|record)\.[\w-]+ \d+ \w+", text), text
                    heard.add(text.split(" ")[0])
                    if {"record.telemetry", "metrics.store", "heartbeat.uplink-main"} <= heard:
                        break
            assert "record.telemetry" in heard, tap.stderr.read()
            report(topics=sorted(heard))
        finally:
            tap.kill()
            tap.wait()
            tap.stdout.close()
            tap.stderr.close()
