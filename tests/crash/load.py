"""A real store under load whose every write is recorded: producers with acknowledgements, a backlog while the centre is
away, its drain, and restarts in order."""
import random
import signal
import sys

from harness import BIN, ROOT, Gateway, wait_for

sys.path.insert(0, str(ROOT / "tests/examples"))
import producer as example  # noqa: E402

CLASSES = ("critical", "telemetry", "bulk")


class Source:
    """Numbered records of one stream in batches of any size."""

    def __init__(self, run_directory, name, record_class):
        self.producer = example.Producer(run_directory, name, record_class)
        self.name, self.count = name, int(self.producer.position or b"0")

    def batch(self, size):
        payload = example.numbered_batch(self.name, self.count, size)
        self.count += size
        self.producer.send(payload, size, position=b"%d" % self.count)


class Load:
    def __init__(self, directory, seed):
        self.random = random.Random(seed)
        self.recording = directory / "recording"
        self.site = Gateway(directory, overrides={"watchdog": {"services": ["store", "uplink-main"]}})
        self.site.init.environment = {
            "LD_PRELOAD": str(BIN / "libholdfast-crash-recorder.so"),
            "HOLDFAST_CRASH_DIRECTORY": str(self.site.store_directory), "HOLDFAST_CRASH_LOG": str(self.recording)}
        self.sources = []

    def run(self, batches):
        """Returns the records that were produced."""
        with self.site:
            self.site.wait_running()
            self.sources = [Source(self.site.run, f"{record_class}-{n}", record_class)
                            for record_class in CLASSES for n in range(2)]
            self._produce(batches // 4)
            self.site.stop_collector()
            self._produce(batches // 4)
            self._restart_store()
            self.site.start_collector()
            self._produce(batches // 4)  # while the backlog drains
            self._restart_store()
            self._produce(batches // 4)
            for source in self.sources:
                source.producer.flush()
            self.site.wait_archived()
            if self.site.stop() != (0, 0):
                raise AssertionError(f"a process did not end in order, see {self.site.directory}")
        return sum(source.count for source in self.sources)

    def _produce(self, batches):
        """Small batches and some that take pages of their own, alone and many in one commit."""
        for _ in range(batches):
            source = self.random.choice(self.sources)
            source.batch(self.random.choice((1, 3, 20, 100, 400, 2500)))
            if self.random.random() < 0.4:
                source.producer.flush()

    def _restart_store(self):
        """In order: a process that is killed leaves a write that may or may not have been made."""
        for source in self.sources:
            source.producer.flush()
        before = self.site.kill("store", signal.SIGTERM)
        wait_for(lambda: self.site.pid("store") not in (None, before) and self.site.state("store") == "running", 15,
                 "the store did not come back")

