"""Label tables: what each column is, what a cell means, and what is said of those that cannot be used."""

from __future__ import annotations

import contextlib
import gzip
import math
from pathlib import Path

import numpy as np
import pytest
from helpers import draw_celeba
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.read.columns import Columns
from cfgan.data.table import LabelTable, read_labels
from cfgan.errors import DataError, InputError, VocabularyError

NAN = math.nan
V = Vocabulary(("Red", "Round", "Very_Big"))


def write(tmp_path: Path, text: str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def known(tmp_path: Path, text: str, *, ignore_unknown: bool = False, name: str = "labels.csv") -> LabelTable:
    """Read for a vocabulary."""
    return read_labels(write(tmp_path, text, name), vocabulary=V, ignore_unknown=ignore_unknown)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("file,Hat,Tie\na.png,1,0\nb.png,0,\n", "t.csv"),
        ("image_id\tHat\tTie\na.png\t1\t-1\nb.png\t-1\t\n", "t.tsv"),
        ("\ufeffFile Name;Hat;Tie\n./a.png;yes;no\nb.png;false;NA\n", "t.csv"),
        ("whatever,Hat,Tie\na.png,1.0,0.0\nb.png,0.0,?\n", "t.csv.gz"),
        ("Hat,name,Tie\nTrue,a.png,False\nFalse,b.png,null\n", "t.csv"),
    ],
)
def test_tables_of_many_kinds_say_the_same(tmp_path: Path, text: str, name: str) -> None:
    read = read_labels(write(tmp_path, text, name))
    assert read.vocabulary.names == ("Hat", "Tie") and read.files == ("a.png", "b.png")
    np.testing.assert_array_equal(read.labels, np.float32([[1, -1], [-1, NAN]]))
    assert read.split is None and read.labels.dtype == np.float32 and not read.left_out.lines()


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
def test_a_vocabulary_says_the_order_and_the_spelling(tmp_path: Path, text: str) -> None:
    table = known(tmp_path, text)
    assert table.vocabulary.names == ("Red", "Round") and table.files == ("a.png", "b.png")
    np.testing.assert_array_equal(table.labels, [[-1, 1], [1, NAN]])
    assert not table.requested


def test_the_official_file(tmp_path: Path) -> None:
    path = draw_celeba(tmp_path / "c", 5, ("Red", "Cat", "Round")) / "list_attr_celeba.txt"
    with pytest.raises(VocabularyError, match="'Cat'.*--ignore-unknown"):
        read_labels(path, vocabulary=V)
    table = read_labels(path, vocabulary=V, ignore_unknown=True)
    assert table.vocabulary.names == ("Red", "Round") and list(table.left_out.columns) == ["Cat"]
    assert table.files is not None and len(table.files) == 5
    lines = path.read_text().splitlines()
    assert table.labels[0].tolist() == [int(lines[2].split()[k]) for k in (1, 3)]
    chosen = read_labels(path, Columns(labels=["Round", "red"]))
    assert chosen.vocabulary.names == ("Round", "Red") and len(chosen.labels) == 5
    path.write_text("5\nRed\na.jpg 7\n")
    with pytest.raises(DataError, match="^path: list_attr_celeba.txt: line 3"):
        read_labels(path, vocabulary=V)


def test_a_manifest_says_what_was_asked_for(tmp_path: Path) -> None:
    head = "file,draw,seed,sha256,requested.Red,requested.Round,condition.Red,verifier.Red\n"
    table = known(tmp_path, head + "images/0.png,1,1,x,1,0.5,1,0.2\nimages/1.png,2,1,x,-1,,1,0.2\n")
    assert table.requested and table.vocabulary.names == ("Red", "Round")
    np.testing.assert_array_equal(table.labels, [[1, 0.5], [-1, NAN]])
    with pytest.raises(DataError, match="asks for no attribute"):
        known(tmp_path, "file,draw,seed,sha256,condition.Red\nimages/0.png,1,1,x,1\n")
    with pytest.raises(DataError, match="requested.Red is 'much'"):
        known(tmp_path, "file,draw,seed,sha256,requested.Red\nimages/0.png,1,1,x,much\n")


def test_splits_persons_and_chosen_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "id,Hat,age,part,who,Tie\n007,1,33,train,anna,0\n008,0,41,,bert,1\n")
    read = read_labels(path, Columns(["tie", "Hat"], file="id", split="part", person="who"))
    assert read.vocabulary.names == ("Tie", "Hat") and read.split == ("train", "") and read.person == ("anna", "bert")
    assert read.files == ("007", "008")
    np.testing.assert_array_equal(read.labels, np.float32([[-1, 1], [1, -1]]))
    alone = read_labels(write(tmp_path, "Hat,Tie\n1,0\n0,0\n"))
    assert alone.files is None and alone.labels.shape == (2, 2)
    assert read_labels(write(tmp_path, "file,Hat,Split\na,1,left\nb,1,right\n")).split == ("left", "right")


def test_graded_values_keep_their_grades(tmp_path: Path) -> None:
    low = read_labels(write(tmp_path, "file,Hat\na,0.75\nb,0\nc,1\n")).labels
    np.testing.assert_allclose(low[:, 0], [0.5, -1, 1])
    around = read_labels(write(tmp_path, "file,Hat\na,-0.5\nb,0\nc,1\n")).labels
    np.testing.assert_allclose(around[:, 0], [-0.5, 0, 1])


def test_columns_that_are_no_labels_are_named(tmp_path: Path) -> None:
    text = ",file,Hat,caption,synthetic,\n0,a.png,1,a hat,0,x\n1,b.png,0,none,0,y\n"
    read = read_labels(write(tmp_path, text))
    assert read.vocabulary.names == ("Hat",) and read.files == ("a.png", "b.png")
    assert read.left_out.lines() == [
        "1 column left out (row numbers): Unnamed: 0",
        "1 column left out (text, not labels): caption",
        "1 column left out (a note of cfgan's own): synthetic",
        "1 column left out (without a title): Unnamed: 5",
    ]


def test_commas_at_the_end_of_lines_add_no_column(tmp_path: Path) -> None:
    for text in ("file,Hat,\na,1,\nb,,\n", "file,Hat\na,1,\nb,,\n"):
        read = read_labels(write(tmp_path, text))
        assert read.vocabulary.names == ("Hat",) and not read.left_out.lines()
        np.testing.assert_array_equal(read.labels, [[1], [NAN]])


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("", DataError, "empty"),
        ("file,Hat\n", DataError, "no rows"),
        ("file\na\n", DataError, "no column of labels"),
        ("file,Hat\na,maybe\n", DataError, r"no column of labels; Hat is left out \(text"),
        ("file,Hat,Hat\na,1,0\n", DataError, "two columns 'Hat'"),
        ("file,Hat\na,1\na,0\n", DataError, "row 2: a is listed twice"),
        ("file,Hat\na,1\n,0\n", DataError, "row 2: there is no file name"),
        ("file,Hat\na,1\nb,2\n", DataError, "row 2: Hat is 2"),
        ("file,Hat\na,1\nb,perhaps\n", DataError, "row 2: Hat is 'perhaps'.*--columns"),
        ("file,Hat\na,1\nb,0\nc,-1\n", DataError, "row 3: Hat is -1, and row 2: Hat is 0.*0 or -1, not both"),
        ("file,Hat,Tie\na,1,0\nb,1\n", DataError, "line 3: 2 cells instead of 3"),
        ("file,Hat,Tie\na,1,0,1\n", DataError, "line 2: 4 cells instead of 3"),
        ("file,Hat,Tie\na,1,0\nb,1,0,1\n", DataError, "line 3: 4 cells instead of 3"),
        ('file,Hat\n"a.png,1\n', DataError, "never closed"),
        ("file,Hat,<>\na,1,1\n", DataError, "cannot be made an attribute name"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_place(
    tmp_path: Path, text: str, kind: type[InputError], says: str
) -> None:
    with pytest.raises(kind, match=says):
        read_labels(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,split\na.png,train\n", "no column of labels"),
        ("file,Red\na.png,2\n", "row 1: Red is 2"),
        ("file,Red\na.png,much\n", "row 1: Red is 'much'"),
        ("file,Red,red\na.png,1,1\n", "two columns for Red"),
    ],
)
def test_what_a_vocabulary_cannot_use(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        known(tmp_path, text)


def test_unknown_columns(tmp_path: Path) -> None:
    text = "file,Rde,Red,split,caption\na.png,1,0,train,hello\n"
    with pytest.raises(VocabularyError, match="'Rde'.*Did you mean Red"):
        known(tmp_path, text)
    table = known(tmp_path, text, ignore_unknown=True)
    assert table.vocabulary.names == ("Red",) and table.split == ("train",)
    assert dict(table.left_out.columns) == {"caption": "text, not labels", "Rde": "unknown to the model"}
    with pytest.raises(DataError, match="no column of labels; Rde is left out"):
        known(tmp_path, "file,Rde\na.png,1\n", ignore_unknown=True)


def test_wrong_columns_and_files_get_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path, "file,Eyeglasses\na,1\n")
    with pytest.raises(InputError, match=r"--columns: .* 'Eyeglases'. Did you mean Eyeglasses"):
        read_labels(path, Columns(labels=["Eyeglases"]))
    with pytest.raises(InputError, match="--split-column"):
        read_labels(path, Columns(split="split"))
    with pytest.raises(DataError, match=r"no file .*Did you mean t.csv"):
        read_labels(tmp_path / "tt.csv")
    (tmp_path / "manifest.csv").write_text("")
    with pytest.raises(DataError, match="is a folder.*manifest.csv"):
        read_labels(tmp_path)
    for damaged in (b"\xff\x00\xfe", "file,Hät\na,1\n".encode("utf-16"), "file,Hät\na,1\n".encode("cp1252")):
        (tmp_path / "b.csv").write_bytes(damaged)
        with pytest.raises(DataError, match="save it as UTF-8"):
            read_labels(tmp_path / "b.csv")
    whole = gzip.compress(b"file,Hat\n" + b"".join(b"%d,1\n" % k for k in range(9999)))
    for k, damaged in enumerate((whole[:60], whole[:4000] + b"\0" * 50 + whole[4050:])):
        (tmp_path / f"cut{k}.csv.gz").write_bytes(damaged)
        with pytest.raises(DataError, match=f"cut{k}.csv.gz (cannot be read|ends too early)"):
            read_labels(tmp_path / f"cut{k}.csv.gz")


def test_parquet(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    table = pandas.DataFrame({"file": ["a", "b"], "Hat": [True, False], "Tie": [1.0, None], "split": ["x", None]})
    table.to_parquet(tmp_path / "t.parquet")
    read = read_labels(tmp_path / "t.parquet")
    np.testing.assert_array_equal(read.labels, np.float32([[1, 1], [-1, NAN]]))
    assert read.split == ("x", "")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="damaged, or no Parquet"):
        read_labels(tmp_path / "t.parquet")


def test_json(tmp_path: Path) -> None:
    lines = '{"file": "007", "Hat": true, "box": [1, 2]}\n\n{"file": "b", "Hat": null, "box": []}\n'
    read = read_labels(write(tmp_path, lines, "t.jsonl"))
    assert read.files == ("007", "b") and list(read.left_out.columns) == ["box"]
    np.testing.assert_array_equal(read.labels, [[1], [NAN]])
    for text, name in (("{}", "t.json"), ("[1]", "t.json"), ("{\n", "t.jsonl")):
        with pytest.raises(DataError, match=rf"{name} (line 1 )?is not"):
            read_labels(write(tmp_path, text, name))


@pytest.mark.slow
@given(st.text(max_size=80))
@settings(deadline=None, max_examples=150)
def test_any_text_is_a_table_or_one_sentence(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_text(text, encoding="utf-8", errors="replace", newline="")
    with contextlib.suppress(InputError):
        assert read_labels(path).labels.ndim == 2
