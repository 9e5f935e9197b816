"""The oracle: what the collector wrote."""
import array
import base64
import datetime
import json


class Stream:
    """One stream's records, in the order of the dump."""

    def __init__(self):
        self.count = 0
        self.seqs = array.array("Q")
        self.times = array.array("q")     # source time, Unix nanoseconds
        self.places = array.array("Q")    # index in the dump, over all streams
        self.values = []                  # value, text or bytes; None for gap records
        self.gaps = {}                    # reason -> records missing, by the gap records


class Archive:
    """The oracle: per origin (gateway, epoch, class) every seq exactly once and none missing; in a dump by seq also in
    order. Gap records are summed."""

    def __init__(self, keep=True, whole=True, values=True):
        self.keep, self.whole, self.values = keep, whole, values
        self.streams = {}
        self.raw = {}         # (gateway, epoch, class) -> seqs, in the order of the dump
        self.origins = {}     # (gateway, epoch, class) -> seqs, sorted by end()
        self.disordered = 0   # steps back within an origin
        self.range_gaps = {}  # reason -> records of ranges that the store dropped as a whole
        self.records = 0
        self.problems = []
        self._second, self._second_nanos = "", 0

    def take(self, line):
        try:
            record = json.loads(line)
            origin = record["gateway"], record["epoch"], record["class"]
            seq = record["seq"]
        except (ValueError, KeyError) as error:
            return self.problems.append(f"unreadable line {line[:200]!r}: {error!r}")
        seqs = self.origins.get(origin)
        if seqs is None:
            seqs = self.origins[origin] = array.array("Q")
        gap = record.get("gap")
        if "stream" not in record:  # a range
            seqs.extend(range(seq, seq + gap["count"]))
            self.range_gaps[gap["reason"]] = self.range_gaps.get(gap["reason"], 0) + gap["count"]
            return None
        seqs.append(seq)
        stream = self.streams.get(record["stream"])
        if stream is None:
            stream = self.streams[record["stream"]] = Stream()
        stream.count += 1
        if gap:
            stream.gaps[gap["reason"]] = stream.gaps.get(gap["reason"], 0) + gap["count"]
        if self.keep:
            stream.seqs.append(seq)
            stream.times.append(self._nanos(record["time"]))
            stream.places.append(self.records)
            if self.values:
                data = record.get("data")
                stream.values.append(base64.b64decode(data) if data is not None
                                     else record.get("text", record.get("value")))
        self.records += 1
        return None

    def _nanos(self, text):
        if text[:19] != self._second:
            self._second = text[:19]
            moment = datetime.datetime.fromisoformat(self._second).replace(tzinfo=datetime.timezone.utc)
            self._second_nanos = int(moment.timestamp()) * 10**9
        return self._second_nanos + int(text[20:29])

    def end(self):
        self.raw = dict(self.origins)
        for origin, seqs in self.origins.items():
            self.disordered += sum(1 for a, b in zip(seqs, seqs[1:]) if b <= a)
            if not self.whole:
                continue
            ordered = sorted(seqs)
            if ordered != list(range(1, len(ordered) + 1)):
                self._tell_holes(origin, ordered)
            self.origins[origin] = array.array("Q", ordered)
        return self

    def _tell_holes(self, origin, ordered):
        doubled = [a for a, b in zip(ordered, ordered[1:]) if a == b]
        present = set(ordered)
        missing = [seq for seq in range(1, ordered[-1] + 1) if seq not in present]
        self.problems.append(f"origin {origin}: {len(doubled)} doubled {doubled[:5]}, "
                             f"{len(missing)} missing {missing[:5]}")

    def times(self):
        """Source time of each record, by its place in the dump."""
        out = array.array("q", bytes(8 * self.records))
        for stream in self.streams.values():
            for place, at in zip(stream.places, stream.times):
                out[place] = at
        return out

    @property
    def gaps(self):
        """All records that are told missing: reason -> count."""
        total = dict(self.range_gaps)
        for stream in self.streams.values():
            for reason, count in stream.gaps.items():
                total[reason] = total.get(reason, 0) + count
        return total

    def verify(self, origins=1, gaps=False, in_order=True):
        """origins: how many there must be (None: any); gaps: whether gap records may be there; in_order: of a dump by
        seq."""
        problems = list(self.problems)
        if origins is not None and len(self.origins) != origins:
            problems.append(f"{len(self.origins)} origins: {list(self.origins)}")
        if self.gaps and not gaps:
            problems.append(f"gaps: {self.gaps}")
        if in_order and self.disordered:
            problems.append(f"{self.disordered} steps back in a dump by seq")
        assert not problems, "; ".join(problems)
        return self
