"""The runs of a peer script: its command line, a directory for each run, and the result."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys

import common

DEFAULT_RECORDS = 200_000
DEFAULT_LIMIT_S = 120.0


def parse_arguments(description, variants):
    """Parses the options every peer script has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--records", type=int, default=DEFAULT_RECORDS)
    parser.add_argument("--size", type=int, default=common.DEFAULT_SIZE,
                        help="bytes of a line, newline included")
    parser.add_argument("--directory", default="/var/tmp", help="where to work; a real disk")
    parser.add_argument("--json", help="write the list of results to this file")
    parser.add_argument("--limit", type=float, default=DEFAULT_LIMIT_S,
                        help="seconds for each variant")
    parser.add_argument("--variant", choices=[*variants, "all"], default="all")
    parser.add_argument("--repeat", type=int, default=1,
                        help="runs of each variant; the best complete one is the result")
    parser.add_argument("--keep", action="store_true", help="leave the run directory for a look")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="override one setting of the variants, to try what it costs")
    options = parser.parse_args()
    if options.records < 1 or options.limit <= 0 or options.repeat < 1:
        parser.error("--records, --limit and --repeat must be positive")
    return options


def settings_of(variants, variant, options):
    """Returns the settings of a variant with the overrides of --set."""
    settings = dict(variants[variant])
    for override in options.set:
        name, _, value = override.partition("=")
        if name not in settings:
            raise common.PeerError(f"failed to set {name}: the settings are {', '.join(settings)}")
        settings[name] = type(settings[name])(value)
    return settings


def make_result(name, variant, options, seconds, counts, about):
    """Returns the result of one run as a dict; README.md explains the fields.

    `about` holds what only the peer knows: durability, versions, settings and
    the fields of CpuClock.
    """
    arrived, duplicates, damaged = counts
    missing = options.records - arrived
    return {
        "name": name,
        "variant": variant,
        "records": options.records,
        "record_bytes": options.size,
        "arrived": arrived,
        "complete": missing == 0 and duplicates == 0 and damaged == 0,
        "seconds": round(seconds, 4),
        "records_per_second": round(arrived / seconds, 1) if seconds > 0 else 0.0,
        "missing": missing,
        "duplicates": duplicates,
        "damaged": damaged,
        "cores": len(os.sched_getaffinity(0)),
        **about,
    }


def print_result(result):
    """Prints the one line for people."""
    state = "exactly once" if result["complete"] else (
        f"INCOMPLETE: arrived {result['arrived']}, missing {result['missing']}, "
        f"duplicates {result['duplicates']}, damaged {result['damaged']}")
    print(f"{result['name']} {result['variant']}: {result['records_per_second']:.0f} records/s "
          f"({result['arrived']} of {result['records']} x {result['record_bytes']} B in "
          f"{result['seconds']:.2f} s, CPU peer {result['cpu_seconds']:.2f} load "
          f"{result['load_cpu_seconds']:.2f} other {result['other_cpu_seconds']:.2f} s, {state})", flush=True)


def first_line(command):
    """Returns the first line a command prints, for version strings."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return " ".join(lines[0].split()) if lines else ""


def find_program(name):
    """Returns the path of a program; /usr/sbin is looked into as well."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise common.PeerError(f"failed to find {name}: is the Debian package installed?")
    return path


def _interrupted(number, _frame):
    raise common.PeerError(f"failed to finish: signal {number}")


def _run_once(variant, options, run_variant):
    """Runs one variant in a directory of its own; prints and returns the result."""
    directory = common.make_directory(options.directory, f"holdfast-peer-{variant}-")
    try:
        result = run_variant(variant, directory, options)
        print_result(result)
        return result
    finally:
        if options.keep:
            print(f"{variant}: kept {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)


def run_all(options, variants, run_variant):
    """Runs the wished variants, prints and stores them; returns the exit code.

    0: all complete and exactly once; 1: some record missing, duplicate or
    damaged; 2: a peer could not be driven.
    """
    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGINT, _interrupted)
    names = list(variants) if options.variant == "all" else [options.variant]
    results, code = [], 0
    for name in names:
        try:
            tries = [_run_once(name, options, run_variant) for _ in range(options.repeat)]
        except (common.PeerError, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            code = 2
            continue
        best = max(tries, key=lambda run: (run["complete"], run["records_per_second"]))
        best["all_records_per_second"] = [run["records_per_second"] for run in tries]
        results.append(best)
        code = code or (0 if best["complete"] else 1)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as out:
            json.dump(results, out, indent=2)
            out.write("\n")
    return code
