"""Which row of a table belongs to which image."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.read.names import IN_FILES, IN_TABLE, is_inside, match_names, name_key
from cfgan.data.table import LabelTable
from cfgan.errors import DataError


def rows(names: list[str], files: list[str]) -> list[int]:
    return match_names(names, files, table="t.csv", field="--labels").rows.tolist()


def test_rows_meet_images_by_name_then_by_their_end() -> None:
    names = ["x/a.png", "b.png", "c.png", "lost.png"]
    found = match_names(names, ["x/a.png", "sub/b.png", "c.png", "other.png"], table="t.csv", field="--labels")
    assert found.rows.tolist() == [0, 1, 2, -1] and found.lost.tolist() == [3]
    assert found.folders == {"sub/": IN_FILES}
    assert rows(names, ["a.png"]) == [0]
    assert rows(names, ["b.png", "two/b.png"]) == [1, -1]  # a whole name goes first
    assert rows(["x/a.png", "y/a.png"], ["y/a.png", "z/b.png"]) == [1, -1]


def test_a_folder_that_contradicts_is_somebody_else() -> None:
    assert rows(["carol/1.png"], ["bob/1.png"]) == [-1]
    assert rows(["carol/1.png", "bob/1.png"], ["bob/1.png", "dave/1.png"]) == [1, -1]
    assert rows(["set/carol/1.png"], ["set/bob/1.png", "other/carol/1.png"]) == [-1, -1]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("/data/faces/bob/1.png", "bob/1.png"),
        ("C:/faces/bob/1.png", "bob/1.png"),
        ("../faces/bob/1.png", "bob/1.png"),
        ("bob/1.png", "faces/bob/1.png"),
        ("bob/1.PNG", "bob/1.png"),
        ("bob//./1.png", "bob/1.png"),
        (unicodedata.normalize("NFD", "Zoë/é.png"), unicodedata.normalize("NFC", "Zoë/é.png")),
        (unicodedata.normalize("NFC", "é.png"), "x/" + unicodedata.normalize("NFD", "é.JPG").replace("JPG", "PNG")),
    ],
)
def test_names_that_are_written_otherwise(name: str, file: str) -> None:
    assert rows([name], [file]) == [0] and rows(["other.png", name], [file, "more.png"]) == [1, -1]


def test_the_longest_end_that_agrees_decides() -> None:
    assert rows(["1.png", "bob/1.png"], ["x/bob/1.png", "1.png"]) == [1, 0]
    assert rows(["1.png", "/d/bob/1.png"], ["bob/1.png", "amy/1.png"]) == [1, 0]
    assert rows(["a.png", "a.PNG"], ["a.PNG", "a.png"]) == [1, 0]


@pytest.mark.parametrize(
    ("names", "files", "says"),
    [
        (["b.png"], ["one/b.png", "two/b.png"], "'b.png' may be one/b.png or two/b.png"),
        (["x/a.png", "y/a.png"], ["a.png"], "'a.png' may be x/a.png or y/a.png"),
        (["a.PNG", "a.Png"], ["a.png"], "'a.png' may be a.PNG or a.Png"),
        (["a.png"], ["a.PNG", "a.Png"], "'a.png' may be a.PNG or a.Png; write the names with their folders"),
    ],
)
def test_what_may_be_either_is_refused(names: list[str], files: list[str], says: str) -> None:
    with pytest.raises(DataError, match=rf"^--labels: t.csv: {says}"):
        rows(names, files)


def test_folders_that_were_not_compared_are_named() -> None:
    found = match_names(["/d/a.png", "b.png"], ["a.png", "x/b.png"], table="t.csv", field="--labels")
    assert found.folders == {"d/": IN_TABLE, "x/": IN_FILES}


def test_a_table_that_names_none_of_the_images() -> None:
    labels = np.zeros((1, 1), dtype=np.float32)
    with pytest.raises(DataError, match="names none of the images .*'a.png'.*'q.png'"):
        LabelTable(Path("t.csv"), Vocabulary(("Red",)), labels, ("a.png",)).match(["q.png"])
    with pytest.raises(DataError, match="no column of file names"):
        LabelTable(Path("t.csv"), Vocabulary(("Red",)), labels).match(["q.png"])


@pytest.mark.slow
def test_ten_thousand_people_with_pictures_of_the_same_names() -> None:
    files = [f"{person}/{k}.png" for person in range(10_000) for k in range(3)]
    assert rows([f"/set/{file}" for file in reversed(files)], files) == list(range(len(files)))[::-1]


@pytest.mark.slow
@given(st.text(max_size=20))
def test_no_name_leaves_the_folder(name: str) -> None:
    if is_inside(name):
        assert (Path("/root/x") / name).is_relative_to("/root/x") and ".." not in Path(name).parts


@given(st.text(max_size=20))
def test_a_key_is_its_own_key(name: str) -> None:
    assert name_key(name_key(name)) == name_key(name)
