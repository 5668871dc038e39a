"""Tables as people have them: a spreadsheet's own line, archives, and what is no table at all."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cfgan.data.source import read_identities
from cfgan.data.table import read_labels
from cfgan.errors import DataError
from cfgan.io.delimited import open_delimited, open_plain
from cfgan.testsets.scores.tables import read_scores

ROWS = [["pair", "score"], ["p1", "0.5"], ["p2", "é"]]


@pytest.mark.parametrize("start", ["", "sep={}\n", "sep={}\r\n"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_whatever_separates_the_cells(start: str, mark: str, name: str, bom: str, tmp_path: Path) -> None:
    data = (bom + start.format(mark) + "".join(f"{mark.join(row)}\n" for row in ROWS)).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    with open_delimited(tmp_path / name) as (handle, separator):
        assert list(csv.reader(handle, delimiter=separator)) == ROWS


def test_an_archive_is_unpacked_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(bytes(1 << 22)))
    with pytest.raises(OSError, match="larger than 1,000,000 bytes"), open_plain(path, 1_000_000) as handle:
        handle.read()


def scores(path: Path) -> object:
    return read_scores(path, ["p1"], key="pair", column="score")


@pytest.mark.parametrize("read", [read_labels, scores, read_identities])
def test_what_is_no_table_is_named(read: Callable[[Path], object], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for name in ("pipe.csv", "zero.csv"):
        with pytest.raises(DataError, match=rf"{name} cannot be read \(it is a pipe or a device"):
            read(tmp_path / name)
    table = "file,pair,score,Hät\na,p1,1,0\n"
    for text, says in ((table.encode("utf-16"), "UTF-16"), (table.encode("cp1252"), "not UTF-8")):
        (tmp_path / "t.csv").write_bytes(text)
        with pytest.raises(DataError, match=rf"t\.csv is {says} text: save it as UTF-8"):
            read(tmp_path / "t.csv")
