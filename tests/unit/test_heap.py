"""What is given back to the C library goes back to the system; what the system does not tell is unknown."""

import ctypes
from pathlib import Path

import pytest

from engine.monitor import Heap, memory_mb

BLOCK, COUNT = 100_000, 1_000


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_memory_in_holes_goes_back_to_the_system():
    library = ctypes.CDLL(None)
    if not hasattr(library, "malloc_trim"):
        pytest.skip("the C library is not glibc")
    library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    heap = Heap()
    heap.restrain()
    blocks = [library.malloc(BLOCK) for _ in range(COUNT)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK)
    for block in blocks[:-1]:  # the last one keeps the heap from shrinking by itself
        library.free(block)
    held = memory_mb()
    heap.trim()
    assert memory_mb() < held - 50
    library.free(blocks[-1])


def test_memory_is_unknown_not_zero_where_the_system_does_not_tell(tmp_path):
    assert memory_mb(tmp_path / "statm") is None
