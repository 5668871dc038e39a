"""Every kind of data set goes through every command: the table of docs/data.md, made again."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sources", ROOT / "benchmarks" / "sources.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sources"] = module
    spec.loader.exec_module(module)
    return module


sources = load()


def documented() -> dict[str, list[str]]:
    """The table's rows in the documentation: data set -> cells."""
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    rows = [re.split(r"\s*\|\s*", line.strip().strip("|").strip()) for line in text.splitlines() if line[:2] == "| "]
    return {row[0]: row[1:] for row in rows if len(row) == 1 + len(sources.STEPS) and row[0] in sources.SOURCES}


def test_the_documentation_has_all_of_them() -> None:
    assert list(documented()) == list(sources.SOURCES)


@pytest.mark.slow
@pytest.mark.parametrize("name", sources.SOURCES)
def test_no_command_gets_stuck(name: str, tmp_path: Path) -> None:
    if name in sources.NEEDS:
        pytest.importorskip(sources.NEEDS[name])
    cells = sources.through_all_steps(sources.SOURCES[name](tmp_path / "set"), tmp_path)
    assert [cells[step] for step in sources.STEPS] == documented()[name]
