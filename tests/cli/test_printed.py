"""What strangers wrote steers neither the terminal nor a spreadsheet, whichever command shows it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from rich.table import Table

import cfgan
import cfgan_cli
from cfgan.io.cells import CellWriter
from cfgan_cli.output import console, message, print_json, print_text
from cfgan_cli.printable import printable

HOSTILE = "a\x1b[2J\x9b31m\x07\r\u202eb\n\ttab é 人"


def test_nothing_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    message(HOSTILE, style="red")
    console().print(HOSTILE, markup=False)
    shown = Table(HOSTILE)
    shown.add_row(HOSTILE)
    console().print(shown)
    print_text(HOSTILE)
    print_json({HOSTILE: HOSTILE})
    said = "".join(capsys.readouterr())
    assert not set(said) & set("\x1b\x9b\x07\r\u202e") and "é 人" in said and "\\x1b[2J" in said
    assert printable("plain é 人\n\t") == "plain é 人\n\t"


def test_json_stays_what_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"file": HOSTILE, "other": "\udcff"})
    assert json.loads(capsys.readouterr().out) == {"file": HOSTILE, "other": "\udcff"}


def test_no_cell_is_a_formula_and_numbers_stay() -> None:
    out = io.StringIO()
    cells = ["=1+1", "+x", "-x|y", "@x", "\tx", "\rx", "-0.5", "+1e-3", -2, 0.5, "-Smiling;-Male", "a=b", ""]
    CellWriter(out).writerow(cells)
    CellWriter(out, paths=1).writerow(["=cmd.png", "=cmd.png"])
    first, second = csv.reader(io.StringIO(out.getvalue(), newline=""))
    assert first == [*(f"'{cell}" for cell in cells[:5]), "\\rx", *map(str, cells[6:])]
    assert second == ["./=cmd.png", "'=cmd.png"]


def sources(package: object) -> list[Path]:
    return sorted(Path(next(iter(package.__path__))).rglob("*.py"))  # type: ignore[attr-defined]


def around(pattern: str, paths: list[Path], *allowed: str) -> list[str]:
    found = re.compile(pattern)
    return [
        f"{path.name}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if found.search(line) and path.name not in allowed
    ]


def test_nothing_goes_around_the_ways_out() -> None:
    printing = r"(?<![\w.])print\(|sys\.std(out|err)\.(write|buffer)|typer\.echo|\bConsole\("
    assert not around(printing, sources(cfgan_cli), "output.py", "main.py", "app.py")
    assert not around(r"csv\.(Dict)?[wW]riter\(|\.to_csv\(", sources(cfgan), "cells.py")
