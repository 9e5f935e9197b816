"""A strict reader of the Prometheus text format 0.0.4."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf'({NAME})(?:\{{((?:{NAME}="(?:[^"\\\n]|\\["\\n])*",?)*)\}})? (\S+)(?: (-?\d+))?$')
LABEL = re.compile(rf'({NAME})="((?:[^"\\\n]|\\["\\n])*)"')
SUFFIXES = ("_bucket", "_sum", "_count")


def read(text):
    """{(name, sorted labels): value}; raises ValueError for what Prometheus would not take."""
    series, types, closed, current = {}, {}, set(), None
    if not text.endswith("\n"):
        raise ValueError("the last line does not end")
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# HELP ") or line.startswith("# TYPE "):
            _, kind, name, rest = line.split(" ", 3)
            if name != current and name in closed:
                raise ValueError(f"line {number}: {name} comes in two places")
            if kind == "TYPE":
                if name in types or rest not in ("counter", "gauge", "histogram", "summary", "untyped"):
                    raise ValueError(f"line {number}: {line}")
                types[name] = rest
        elif line and not line.startswith("#"):
            match = SAMPLE.match(line)
            if not match:
                raise ValueError(f"line {number}: {line}")
            sample, labels, value, _ = match.groups()
            family = next((sample.removesuffix(s) for s in SUFFIXES if sample.removesuffix(s) in types), sample)
            name = family if family in types else sample
            pairs = LABEL.findall(labels or "")
            if len(dict(pairs)) != len(pairs):
                raise ValueError(f"line {number}: a label twice")
            key = sample, tuple(sorted(pairs))
            if key in series:
                raise ValueError(f"line {number}: {key} twice")
            if name != current and name in closed:
                raise ValueError(f"line {number}: {name} comes in two places")
            series[key] = float(value)
            if types.get(name) == "counter" and series[key] < 0:
                raise ValueError(f"line {number}: a counter below zero")
        else:
            continue
        if name != current and current is not None:
            closed.add(current)
        current = name
    return series
