"""What several of these tests share: a small disk, and a past that is put away early."""

import os
import subprocess

import pytest

from engine.pipeline.checkpoint import Checkpointer
from tests.integration.history_kit import EVERYTHING


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a file system of some megabytes; skips, with the reason, where that is not allowed."""
    mounted = []

    def mount(megabytes):
        if os.geteuid() != 0:
            pytest.skip("only root may mount a small file system")
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", place],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=False)


@pytest.fixture
def small(monkeypatch):
    """Checkpoints put everything away that is settled."""
    real = Checkpointer.put_away

    def all_of_it(self, **how):
        with self._keeper.lock:
            for _ in self._keeper.ledger.put_away(EVERYTHING):
                pass
        return real(self, **how)

    monkeypatch.setattr(Checkpointer, "put_away", all_of_it)
