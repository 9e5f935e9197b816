"""A serial line without hardware: two ends made by socat."""
import os
import pathlib
import subprocess

import harness


class PtyPair:
    """What is written to `device` comes out of `gateway`, and back."""

    def __init__(self, directory, name):
        self.device, self.gateway = (str(pathlib.Path(directory) / f"{name}.{end}") for end in ("device", "gateway"))
        self.process = subprocess.Popen(["socat", f"pty,raw,echo=0,link={self.device}",
                                         f"pty,raw,echo=0,link={self.gateway}"], stderr=subprocess.DEVNULL)
        harness.wait_for(lambda: os.path.exists(self.device) and os.path.exists(self.gateway), 5, "socat made no pty")

    def write(self, data):
        fd = os.open(self.device, os.O_WRONLY | os.O_NOCTTY)
        try:
            while data:
                data = data[os.write(fd, data):]
        finally:
            os.close(fd)

    def close(self):
        self.process.terminate()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
