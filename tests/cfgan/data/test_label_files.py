from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import draw_celeba

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.read.label_files import LabelTable, read_label_file
from cfgan.errors import DataError, VocabularyError

V = Vocabulary(("Red", "Round", "Very_Big"))


def read(tmp_path: Path, text: str, *, ignore_unknown: bool = False, name: str = "labels.csv") -> LabelTable:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_label_file(tmp_path / name, V, ignore_unknown=ignore_unknown)


@pytest.mark.parametrize(
    "text",
    [
        "file,Round,red\na.png,1,0\nb.png,,1\n",
        "image_id,Round,Red\na.png,1,-1\nb.png,,1\n",
        "\ufeffFile Name;red;round\na.png;false;TRUE\nb.png;True;\n",
        "who\tRed\tRound\na.png\t0.0\t1.0\nb.png\t1\tnan\n",
        ",Red,Round\n./a.png,no,yes\n\nb.png,yes,?\n",
    ],
)
def test_csv_of_many_kinds(tmp_path: Path, text: str) -> None:
    table = read(tmp_path, text)
    assert table.names == ("Red", "Round") and list(table.rows) == ["a.png", "b.png"]
    np.testing.assert_array_equal(table.values, [[-1, 1], [1, 0]])
    assert not table.requested


def test_the_official_file(tmp_path: Path) -> None:
    folder = draw_celeba(tmp_path / "c", 5, ("Red", "Cat", "Round"))
    with pytest.raises(VocabularyError, match="'Cat'.*--ignore-unknown"):
        read_label_file(folder / "list_attr_celeba.txt", V)
    table = read_label_file(folder / "list_attr_celeba.txt", V, ignore_unknown=True)
    assert table.names == ("Red", "Round") and table.ignored == ("Cat",) and len(table.rows) == 5
    lines = (folder / "list_attr_celeba.txt").read_text().splitlines()
    assert table.values[0].tolist() == [int(lines[2].split()[k]) for k in (1, 3)]
    (folder / "list_attr_celeba.txt").write_text("5\nRed\na.jpg 7\n")
    with pytest.raises(DataError, match="^--labels: list_attr_celeba.txt: line 3"):
        read_label_file(folder / "list_attr_celeba.txt", V)


def test_a_manifest_says_what_was_asked_for(tmp_path: Path) -> None:
    head = "file,draw,seed,sha256,requested.Red,requested.Round,condition.Red,verifier.Red\n"
    table = read(tmp_path, head + "images/0.png,1,1,x,1,0.5,1,0.2\nimages/1.png,2,1,x,-1,,1,0.2\n", name="manifest.csv")
    assert table.requested and table.names == ("Red", "Round")
    np.testing.assert_array_equal(table.values, [[1, 0], [-1, 0]])
    with pytest.raises(DataError, match="asks for no attribute"):
        read(tmp_path, "file,draw,seed,sha256,condition.Red\nimages/0.png,1,1,x,1\n")
    with pytest.raises(DataError, match="requested.Red is 'much'"):
        read(tmp_path, "file,draw,seed,sha256,requested.Red\nimages/0.png,1,1,x,much\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("file,Red\n", "no rows"),
        ("file\na.png\n", "no column of labels"),
        ("Red,Round\n1,1\n", "no column of file names"),
        ("file,Red\na.png,2\n", "line 2: Red is '2'"),
        ("file,Red\na.png,1,1\n", "line 2: 3 cells instead of 2"),
        ("file,Red\na.png,1\na.png,1\n", "line 3: a.png stands there twice"),
        ("file,Red\n,1\n", "no file name"),
        ("file,Red,red\na.png,1,1\n", "two columns for Red"),
        ("file,Red\na.png,0\nb.png,-1\n", r"holds -1 \(line 3\) and 0 \(line 2\)"),
        ('file,Red\n"a.png,1\n', "cannot be read as a table"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read(tmp_path, text)


def test_unknown_columns(tmp_path: Path) -> None:
    text = "file,Rde,Red,split\na.png,1,0,train\n"
    with pytest.raises(VocabularyError, match="'Rde'.*Did you mean Red"):
        read(tmp_path, text)
    table = read(tmp_path, text, ignore_unknown=True)
    assert table.names == ("Red",) and table.ignored == ("Rde", "split")
    with pytest.raises(DataError, match="no column of labels"):
        read(tmp_path, "file,split\na.png,train\n", ignore_unknown=True)


def test_files_that_are_no_table(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,Red\na.png,1\n")
    with pytest.raises(DataError, match="no file .*Did you mean labels.csv"):
        read_label_file(tmp_path / "label.csv", V)
    (tmp_path / "manifest.csv").write_text("")
    with pytest.raises(DataError, match="is a folder.*manifest.csv"):
        read_label_file(tmp_path, V)
    (tmp_path / "b.csv").write_bytes(b"\xff\x00\xfe")
    with pytest.raises(DataError, match="cannot be read"):
        read_label_file(tmp_path / "b.csv", V)


def test_rows_meet_images_by_name_then_by_its_last_part(tmp_path: Path) -> None:
    table = read(tmp_path, "file,Red\nx/a.png,1\nb.png,0\nc.png,1\nlost.png,1\n")
    assert table.match(["x/a.png", "sub/b.png", "c.png", "other.png"]).tolist() == [0, 1, 2, -1]
    assert table.match(["a.png"]).tolist() == [0]
    with pytest.raises(DataError, match="'b.png' may be one/b.png or two/b.png"):
        table.match(["one/b.png", "two/b.png"])
    assert table.match(["b.png", "two/b.png"]).tolist() == [1, -1]  # a whole name goes first
    twice = read(tmp_path, "file,Red\nx/a.png,1\ny/a.png,0\n")
    with pytest.raises(DataError, match="'a.png' may be x/a.png or y/a.png"):
        twice.match(["a.png"])
    assert twice.match(["y/a.png", "z/b.png"]).tolist() == [1, -1]
    with pytest.raises(DataError, match="names none of the images"):
        table.match(["q.png"])
