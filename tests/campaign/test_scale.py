"""Large sets fit into little memory: scored, searched, and the most similar faces found in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from campaign_helpers import ASKED

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "testset_scale.py"


def figures(*arguments: object) -> dict[str, dict[str, float]]:
    """What the benchmark measures, by the first word of each command."""
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    return {row["what"].partition(",")[0] + (" two" if "two" in row["what"] else ""): row for row in rows}


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    ("pairs", "enrolled", "most_mib"),
    [(5_000, 500, 400), pytest.param(100_000, 10_000, 1_500, marks=ASKED)],
)
def test_large_sets_are_scored_and_searched_in_bounded_memory(pairs: int, enrolled: int, most_mib: float) -> None:
    rows = figures("--pairs", pairs, "--enrolled", enrolled, "--nearest", enrolled, "--resamples", 100)
    assert len(rows) == 4
    for row in rows.values():
        assert row["peak_mib"] < most_mib, row
