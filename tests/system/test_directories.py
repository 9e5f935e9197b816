"""Foreign, damaged and newer directories: said clearly, and not one byte of them is changed."""
import hashlib
import json
import pathlib
import random
import re
import shutil
import subprocess

import pytest
from holdfast.v1 import storage_pb2

from harness import BIN, free_port

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

# -- directories -------------------------------------------------------------------------------------------------------


def fingerprint(path):
    """What is in each data file."""
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(pathlib.Path(path).rglob("*")) if file.is_file() and file.name.startswith("data")}


class Place:
    """Starts a store or a collector on a directory, without anything else."""

    def __init__(self, directory):
        self.directory, self.number = directory, 0

    def start(self, service, path, prefix=()):
        self.number += 1
        section = {"directory": str(path), "quota": "64MiB"}
        if service == "collector":
            section["listen"] = f"127.0.0.1:{free_port()}"
        run_directory = self.directory / f"run{self.number}"
        run_directory.mkdir()
        if prefix:
            shutil.chown(run_directory, 65534, 65534)
        config = self.directory / f"{self.number}.yaml"
        config.write_text(json.dumps({"run_directory": str(run_directory), service: section}))
        return subprocess.Popen([*prefix, BIN / f"holdfast-{service}", "--config", config], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")

    def refused(self, service, path, *words, prefix=()):
        """It ends by itself, soon, with a code that is not 0, and says why and where."""
        process = self.start(service, path, prefix)
        try:
            said = process.communicate(timeout=15)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{service} runs on {path}: {process.communicate()[1]}") from None
        assert process.returncode == 71, f"{service}: {process.returncode}: {said}"
        assert str(path) in said, f"{service} does not name {path}: {said}"
        assert any(word in said for word in words), said
        return next(text for text in said.splitlines() if str(path) in text).split(" error ")[-1]

    def works(self, service, path):
        """It opens; returns what it said until it was stopped."""
        process = self.start(service, path)
        said = ""
        try:
            for text in process.stderr:
                said += text
                if f"component={'archive' if service == 'collector' else 'store'} " in text and "to=open" in text:
                    break
            else:
                raise AssertionError(f"{service} on {path}: {said}")
        finally:
            process.terminate()
            said += process.communicate(timeout=15)[1]
        assert process.returncode == 0, said
        return said


def mdb_load(path, text, *words):
    path.mkdir(exist_ok=True)
    subprocess.run(["mdb_load", *words, str(path)], input=text, check=True, capture_output=True)


FOREIGN = b"VERSION=3\nformat=print\ntype=btree\nmapsize=1048576\nmaxreaders=126\ndb_pagesize=4096\nHEADER=END\n" \
          b" customer\n important\nDATA=END\n"


def make_newer(path):
    """A file that only a later release may read."""
    dump = subprocess.run(["mdb_dump", "-s", "meta", path], check=True, capture_output=True).stdout.decode()
    identity = storage_pb2.StoreIdentity()
    rows = [text.strip() for text in dump.splitlines() if text.startswith(" ")]
    identity.ParseFromString(bytes.fromhex(rows[rows.index(b"store".hex()) + 1]))
    identity.schema, identity.oldest_reader = 99, 99
    identity.ClearField("crc32c")  # a row may lack it
    mdb_load(path,
             re.sub(r"\n [0-9a-f]+\nDATA=END", f"\n {identity.SerializeToString().hex()}\nDATA=END", dump).encode(),
             "-s", "meta")


@pytest.mark.parametrize("service", ["store", "collector"])
def test_directory_of_others(directory, report, service):
    """Foreign, newer, unreadable, read-only, not a directory: a clear error with the path, and not a byte changed."""
    place = Place(directory)
    directory.chmod(0o755)
    other = "collector" if service == "store" else "store"

    def unchanged(what, path, *words, prefix=()):
        before, mode = fingerprint(path), path.stat().st_mode
        report(f"{what}: {place.refused(service, path, *words, prefix=prefix)}")
        assert fingerprint(path) == before, f"{what}: changed"
        return mode == path.stat().st_mode

    foreign = directory / "foreign"
    mdb_load(foreign, FOREIGN)
    unchanged("LMDB of another program", foreign, "another program")
    named = directory / "named"
    mdb_load(named, FOREIGN, "-s", "customers")
    unchanged("with named databases", named, "another program")
    swapped = directory / "swapped"
    place.works(other, swapped)
    unchanged(f"of the {other}", swapped, f"it is a holdfast-{other}")
    newer = directory / "newer"
    place.works(service, newer)
    make_newer(newer)
    unchanged("newer", newer, "written by a newer version")

    own = directory / "own"
    place.works(service, own)
    for file in own.iterdir():
        file.chmod(0o600)
    unchanged("unreadable", own, "Permission denied", prefix=NOBODY)
    file = directory / "a-file"
    file.write_text("not a directory")
    for path in (file, file / "below"):
        said = place.refused(service, path, "Not a directory", "File exists", "not a directory")
        report(f"below a file: {said}")
    assert file.read_text() == "not a directory"

    locked = directory / "locked"
    locked.mkdir()
    place.works(service, locked)
    if subprocess.run(["mount", "--bind", "-o", "ro", own, locked], capture_output=True).returncode == 0:
        try:
            unchanged("read-only mount", locked, "Read-only file system")
        finally:
            subprocess.run(["umount", locked], check=True)
    elif subprocess.run(["chattr", "+i", locked, locked / "data.mdb"], capture_output=True).returncode == 0:
        try:
            unchanged("immutable", locked, "Operation not permitted", "Permission denied")
        finally:
            subprocess.run(["chattr", "-i", locked, locked / "data.mdb"], check=True)
    else:
        report("read-only: neither mount nor chattr is possible here")
    place.works(service, own)  # and it still works for its owner


def test_damaged_store_file(directory, report):
    """What is no LMDB file any more is set aside whole, and the store begins anew; nothing is deleted."""
    place = Place(directory)
    for what, content in {"text": b"this was somebody's diary\n" * 1000, "zeros": bytes(65536),
                          "noise": random.Random(1).randbytes(65536), "one byte": b"x"}.items():
        path = directory / what.replace(" ", "-")
        path.mkdir()
        (path / "data.mdb").write_bytes(content)
        said = place.works("store", path)
        aside = [file for file in path.iterdir() if file.name.startswith("data.mdb.")]
        assert [file.read_bytes() for file in aside] == [content], f"{what}: {list(path.iterdir())}: {said}"
        assert str(aside[0]) in said
        report(f"{what}: {aside[0].name}")
