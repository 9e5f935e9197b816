"""A directory that a power cut left, opened by the real holdfast-store and drained to a collector that has nothing."""
import json

from harness import BIN, Gateway, wait_for


class Drain(Gateway):
    def __init__(self, directory):
        super().__init__(directory, overrides={"watchdog": {"services": ["store", "uplink-main"]}})

    def check(self, told):
        """told: what the store had said before the cut (holdfast-crash-check --keep). Returns the problems."""
        with self:
            self.wait_running(30)
            wait_for(self.drained, 60, "the store does not drain", interval=0.05)
            if "store_damaged" in self.log():
                return ["the store set its file aside"]
        # .. every seq that was acknowledged is here now, or was confirmed before the cut
        archive = self.dump(order="arrival")
        problems = [f"stream {name}: a record came twice" for name, stream in archive.streams.items()
                    if len(set(stream.values)) != len(stream.values)]
        for (_, _, record_class), seqs in archive.origins.items():
            if len(set(seqs)) != len(seqs):
                problems.append(f"class {record_class}: a seq came twice")
        for record_class, books in told.items():
            here = {seq for origin, seqs in archive.origins.items() if origin[2] == record_class for seq in seqs}
            problems += [f"class {record_class}: {text}" for text in compare(here, books)]
        return problems

    def drained(self):
        """By its file: what is confirmed is deleted."""
        stat = json.loads(self.ctl("store", "stat", "--json").stdout)
        return not any(row["records"] for row in stat["classes"])


def compare(here, books):
    confirmed = {seq for first, last in books.get("confirmed", ()) for seq in range(first, last + 1)}
    missing = set(range(1, books["acknowledged"] + 1)) - here - confirmed
    if missing:
        yield f"{len(missing)} acknowledged records missing, the first is {min(missing)}"
    if here and max(here) > books["offered"]:
        yield f"seq {max(here)}, and {books['offered']} records were offered"


def told(output):
    return json.loads(output.splitlines()[-1])


CHECK = BIN / "holdfast-crash-check"
