import platform
import subprocess
import sys

import pytest

from cs3d_ros.network import memory

# Faults of pages while the same 64 MB are taken and freed again and again, after a while.
_CHILD = """
import resource, sys, torch
from cs3d_ros.network.memory import keep_memory
if sys.argv[1] == "keep":
    assert keep_memory()
for _ in range(16):
    torch.ones(1 << 24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    torch.ones(1 << 24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, how], capture_output=True, text=True, check=True, timeout=120
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the GNU C library")
def test_memory_that_was_freed_is_there_again_without_the_kernel():
    # Pages are of 4 kB on most machines, larger ones of up to 64 kB elsewhere.
    assert faults("leave") > 100 * max(1, faults("keep"))


def test_another_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert not memory.keep_memory()
