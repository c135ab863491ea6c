"""The benchmarks run: each of their figures once, on little data, as somebody types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(600)  # a dozen processes: on a busy machine it takes what it takes
def test_a_quick_round_prints_every_figure_and_writes_them(tmp_path):
    out = tmp_path / "benchmarks.json"
    command = [sys.executable, "-m", "tests.benchmarks", "--quick", "--out", str(out)]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())["figures"]
    assert {f["name"].split()[0] for f in figures} >= set("ABCDEFGHIJ")
    assert all(f["low"] <= f["value"] <= f["high"] for f in figures)
    assert all(f["name"] in done.stdout for f in figures)
