"""What processes take, over their lives, and whether that grows.

A life is one process, from its start to its end: a killed one's successor begins anew. Samples are taken when the
gateway is in the same state, so that what a process takes at one and at the other may be compared.
"""
import contextlib
import os
import statistics
import time


class Sample:
    def __init__(self, at, anon_kib, descriptors, threads, rss_kib=0):
        self.at, self.anon_kib, self.descriptors, self.threads = at, anon_kib, descriptors, threads
        self.rss_kib = rss_kib  # with the mapped pages of files, which are the kernel's to take back


class Life:
    def __init__(self, service, pid):
        self.service, self.pid, self.samples = service, pid, []

    def __str__(self):
        return f"{self.service} (pid {self.pid}, {self.seconds:.0f} s)"

    @property
    def seconds(self):
        return self.samples[-1].at - self.samples[0].at if self.samples else 0.0

    def judged(self, warm_up, least):
        """Samples after it found its size; none when they are of less than `least` seconds."""
        settled = [sample for sample in self.samples if sample.at >= self.samples[0].at + warm_up]
        return settled if settled and settled[-1].at - settled[0].at >= least else []

    def rises(self, samples):
        """Figure -> by how much it rises from the first sample to the last: memory along a line, counts from what they
        mostly are in the first quarter to what they mostly are in the last."""
        quarter = max(len(samples) // 4, 1)
        rises = {"anon_kib": slope([(s.at, s.anon_kib) for s in samples]) * (samples[-1].at - samples[0].at)}
        for figure in ("descriptors", "threads"):
            first, last = (statistics.median(getattr(s, figure) for s in part)
                           for part in (samples[:quarter], samples[-quarter:]))
            rises[figure] = last - first
        return rises


class Lives:
    """The lives of these services, by samples."""

    def __init__(self, services):
        self.services, self.all, self._now = list(services), [], {}

    def take(self, pid_of):
        """One sample of each service that runs. pid_of(service): its pid, None: it does not run."""
        for service in self.services:
            pid = pid_of(service)
            sample = look(pid) if pid else None
            if sample is None:
                continue
            if service not in self._now or self._now[service].pid != pid:
                self._now[service] = Life(service, pid)
                self.all.append(self._now[service])
            self._now[service].samples.append(sample)

    def of(self, service):
        return [life for life in self.all if life.service == service]


def look(pid, times=4):
    """None: it has ended. Who asks it something makes a connection for a moment: the least of several looks counts."""
    counts = []
    try:
        for _ in range(times):
            counts.append(len(os.listdir(f"/proc/{pid}/fd")))
            time.sleep(0.005)
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            status = dict(line.split(":", 1) for line in file)
    except OSError:
        return None
    with contextlib.suppress(KeyError):  # a zombie has no memory
        anon, rss = (int(status[name].split()[0]) for name in ("RssAnon", "VmRSS"))
        return Sample(time.monotonic(), anon, min(counts), int(status["Threads"]), rss)
    return None


def slope(points):
    """Of a line through (x, y), by the median of all pairs' slopes: single bad points do not move it."""
    pairs = [(b[1] - a[1]) / (b[0] - a[0]) for place, a in enumerate(points) for b in points[place + 1:] if b[0] > a[0]]
    return statistics.median(pairs) if pairs else 0.0
