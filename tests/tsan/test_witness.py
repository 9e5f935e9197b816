"""ThreadSanitizer knows the order that CAF gives its actors, and sees what two of them share without any."""
import os
import subprocess


def witness(what):
    options = {"TSAN_OPTIONS": "exitcode=66:halt_on_error=1"}  # no suppression, no log: the finding is what is asked for
    return subprocess.run([os.environ["HOLDFAST_BIN"] + "/holdfast-tsan-witness", what], env=os.environ | options,
                          capture_output=True, text=True, timeout=60, check=False)


def test_actors_ordered():
    """Messages, state in changing threads, functors, the last reference: no report."""
    run = witness("ordered")
    assert run.returncode == 0, run.stderr[:3000]


def test_actors_shared():
    run = witness("shared")
    assert run.returncode == 66
    assert "data race" in run.stderr and "witness.cpp" in run.stderr
