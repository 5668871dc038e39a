"""Label tables of many kinds."""

from __future__ import annotations

import contextlib
import gzip
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgan.data.read.label_columns import read_label_columns
from cfgan.errors import DataError, InputError, VocabularyError

NAN = math.nan


def write(tmp_path: Path, text: str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


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
    read = read_label_columns(write(tmp_path, text, name))
    assert read.vocabulary.names == ("Hat", "Tie") and read.files == ("a.png", "b.png")
    np.testing.assert_array_equal(read.labels, np.float32([[1, -1], [-1, NAN]]))
    assert read.split is None and read.labels.dtype == np.float32


def test_splits_persons_and_chosen_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "id,Hat,age,part,who,Tie\n007,1,33,train,anna,0\n008,0,41,,bert,1\n")
    options = {"columns": ["tie", "Hat"], "file_column": "id", "split_column": "part", "person_column": "who"}
    read = read_label_columns(path, **options)
    assert read.vocabulary.names == ("Tie", "Hat") and read.split == ("train", "") and read.person == ("anna", "bert")
    np.testing.assert_array_equal(read.labels, np.float32([[-1, 1], [1, -1]]))
    alone = read_label_columns(write(tmp_path, "Hat,Tie\n1,0\n0,0\n"))
    assert alone.files is None and alone.labels.shape == (2, 2)


def test_graded_values_keep_their_grades(tmp_path: Path) -> None:
    low = read_label_columns(write(tmp_path, "file,Hat\na,0.75\nb,0\nc,1\n")).labels
    np.testing.assert_allclose(low[:, 0], [0.5, -1, 1])
    around = read_label_columns(write(tmp_path, "file,Hat\na,-0.5\nb,0\nc,1\n")).labels
    np.testing.assert_allclose(around[:, 0], [-0.5, 0, 1])


def test_a_batch_and_the_official_file_are_tables_too(tmp_path: Path, celeba_folder: Path) -> None:
    header = "file,draw,seed,sha256,requested.Hat,condition.Hat,verifier.Hat\n"
    read = read_label_columns(write(tmp_path, header + "0.png,4,1,ab,1,1,0.9\n1.png,6,1,cd,-1,-1,0.2\n"))
    assert read.vocabulary.names == ("Hat",) and read.labels[:, 0].tolist() == [1, -1]
    official = read_label_columns(celeba_folder / "list_attr_celeba.txt", columns=["Young", "male"])
    assert official.vocabulary.names == ("Young", "Male") and len(official.labels) == 20


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("", DataError, "empty"),
        ("file,Hat\n", DataError, "no rows"),
        ("file\na\n", DataError, "no column of labels"),
        ("file,Hat,Hat\na,1,0\n", DataError, "two columns 'Hat'"),
        ("file,Hat\na,1\na,0\n", DataError, "row 2: a stands there twice"),
        ("file,Hat\na,1\n,0\n", DataError, "row 2: there is no file name"),
        ("file,Hat\na,1\nb,2\n", DataError, "row 2: Hat is 2"),
        ("file,Hat\na,1\nb,perhaps\n", DataError, "row 2: Hat is 'perhaps'.*--columns"),
        ("file,Hat\na,1\nb,0\nc,-1\n", DataError, "holds -1, and 0"),
        ("file,Hat,Tie\na,1,0\nb,1\n", DataError, "line 3: 2 cells instead of 3"),
        ("file,Hat,Tie\na,1,0,1\n", DataError, "cannot be read as a table"),
        ("file,Hat,Tie\na,1,0\nb,1,0,1\n", DataError, "cannot be read as a table"),
        ("file,<b>\na,1\n", VocabularyError, "no attribute name"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_place(
    tmp_path: Path, text: str, kind: type[InputError], says: str
) -> None:
    with pytest.raises(kind, match=says):
        read_label_columns(write(tmp_path, text))


def test_wrong_columns_and_files_get_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path, "file,Eyeglasses\na,1\n")
    with pytest.raises(InputError, match=r"--columns: .* 'Eyeglases'. Did you mean Eyeglasses"):
        read_label_columns(path, columns=["Eyeglases"])
    with pytest.raises(InputError, match="--split-column"):
        read_label_columns(path, split_column="split")
    with pytest.raises(DataError, match=r"not there. Did you mean t.csv"):
        read_label_columns(tmp_path / "tt.csv")
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(b"file,Hat\n" + b"a,1\n" * 9999)[:60])
    with pytest.raises(DataError, match="cannot be read"):
        read_label_columns(cut)


def test_parquet(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    table = pandas.DataFrame({"file": ["a", "b"], "Hat": [True, False], "Tie": [1.0, None], "split": ["x", None]})
    table.to_parquet(tmp_path / "t.parquet")
    read = read_label_columns(tmp_path / "t.parquet")
    np.testing.assert_array_equal(read.labels, np.float32([[1, 1], [-1, NAN]]))
    assert read.split == ("x", "")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_label_columns(tmp_path / "t.parquet")


@given(st.text(max_size=80))
@settings(deadline=None, max_examples=150)
def test_any_text_is_a_table_or_one_sentence(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_text(text, encoding="utf-8", errors="replace", newline="")
    with contextlib.suppress(InputError):
        assert read_label_columns(path).labels.ndim == 2
