"""One table, one meaning: whatever the file and whatever the command, the same labels come out.

Each case is the same four rows written in another way; each reader is the function behind a command.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import draw_celeba
from PIL import Image
from typer.testing import CliRunner

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.balance.data import open_balance_data
from cfgan.data.left_out import LeftOut
from cfgan.data.read.names import name_key
from cfgan.data.read.splits import Shares
from cfgan.data.source import open_source
from cfgan.data.sources.base import Options
from cfgan.data.store import open_store
from cfgan.data.table import read_labels
from cfgan.errors import DataError, InputError
from cfgan.model.bundle import Bundle
from cfgan.testsets.building.gallery import table_people
from cfgan_cli.app import app

FILES = ("é.png", "b.png", "c.png", "d.png")  # in NFC
N = float("nan")
LABELS = {"é.png": (1, -1), "b.png": (-1, 1), "c.png": (N, 1), "d.png": (1, N)}
CELLS = [["1", "0"], ["0", "1"], ["", "1"], ["1", "N/A"]]
V = Vocabulary(("Red", "Round", "Cat"))

Labels = dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Case:
    """One way of writing the table: the name of its file, its bytes, and what must come out."""

    name: str
    data: bytes
    labels: Labels = field(default_factory=lambda: LABELS)
    train: tuple[str, ...] = FILES
    columns: tuple[str, ...] = ()
    folders: bool = False  # names have folders, which names of people cannot have


def rows(cells: list[list[str]] = CELLS, names: tuple[str, ...] = FILES, **more: list[str]) -> list[list[str]]:
    """Header and rows; ``more``: further columns, title -> cells."""
    head = ["file", "Red", "Round", *more]
    columns = zip(names, *zip(*cells, strict=True), *more.values(), strict=True)
    return [head, *map(list, columns)]


def text(table: list[list[str]], separator: str = ",", end: str = "\n") -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=separator, lineterminator=end).writerows(table)
    return buffer.getvalue().encode()


def written(yes: str, no: str) -> list[list[str]]:
    """The cells in other words."""
    return [[{"1": yes, "0": no}.get(cell, cell) for cell in row] for row in CELLS]


def objects() -> list[dict[str, Any]]:
    values = {"1": 1, "0": 0}
    return [dict(zip(rows()[0], [row[0], *map(values.get, row[1:])], strict=True)) for row in rows()[1:]]


def parquet() -> bytes:
    import pandas as pd

    buffer = io.BytesIO()
    pd.DataFrame(objects()).to_parquet(buffer)
    return buffer.getvalue()


FULL: Labels = {"é.png": (1, -1), "b.png": (-1, 1), "c.png": (1, 1), "d.png": (-1, -1)}
OFFICIAL = b"4\nRed Round\n" + "".join(f"{n} {r} {o}\n" for n, (r, o) in FULL.items()).encode()
BOM = b"\xef\xbb\xbf"
GRADED = [["0.25", "0"], ["0", "1"], ["", "1"], ["1", "N/A"]]
SPLIT = {"train": ("é.png", "d.png")}
WORDS, NUMBERS = ["train", "val", "test", "train"], ["0", "1", "2", "0"]


def prefixed(prefix: str) -> tuple[str, ...]:
    return tuple(prefix + name for name in FILES)


CASES: dict[str, Case] = {
    "csv": Case("t.csv", text(rows())),
    "csv.gz": Case("t.csv.gz", gzip.compress(text(rows()))),
    "tsv": Case("t.tsv", text(rows(), "\t")),
    "semicolons": Case("t.csv", text(rows(), ";")),
    "parquet": Case("t.parquet", b""),
    "jsonl": Case("t.jsonl", "\n".join(json.dumps(row) for row in objects()).encode()),
    "json": Case("t.json", json.dumps(objects()).encode()),
    "byte order mark": Case("t.csv", BOM + text(rows())),
    "CRLF": Case("t.csv", text(rows(), end="\r\n")),
    "official": Case("list_attr_celeba.txt", OFFICIAL, FULL),
    "official with a byte order mark": Case("list_attr_celeba.txt", BOM + OFFICIAL, FULL),
    "official with CRLF": Case("list_attr_celeba.txt", OFFICIAL.replace(b"\n", b"\r\n"), FULL),
    "-1 and 1": Case("t.csv", text(rows(written("1", "-1")))),
    "0.0 and 1.0": Case("t.csv", text(rows(written("1.0", "0.0")))),
    "yes and no": Case("t.csv", text(rows(written("yes", "No")))),
    "True and False": Case("t.csv", text(rows(written("True", "False")))),
    "graded": Case("t.csv", text(rows(GRADED)), LABELS | {"é.png": (-0.5, -1)}),
    "split, words": Case("t.csv", text(rows(split=WORDS)), **SPLIT),
    "split, numbers": Case("t.csv", text(rows(Split=NUMBERS)), **SPLIT),
    "partition, words": Case("t.csv", text(rows(partition=[w.title() for w in WORDS])), **SPLIT),
    "partition, numbers": Case("t.csv", text(rows(partition=NUMBERS)), **SPLIT),
    "partition, long words": Case("t.csv", text(rows(partition=["training", "validation", "testing", ""])), **SPLIT),
    "person": Case("t.csv", text(rows(identity=["7", "8", "7", "9"]))),
    "text": Case("t.csv", text(rows(caption=["a hat", "no", "", "x"])), columns=("caption",)),
    "index": Case(
        "t.csv",
        text([["", *rows()[0]], *([str(k), *row] for k, row in enumerate(rows()[1:]))]),
        columns=("Unnamed: 0",),
    ),
    "comma at the end of lines": Case("t.csv", text(rows()).replace(b"\n", b",\n")),
    "comma at the end of rows": Case("t.csv", text(rows()).replace(b"\n", b",\n").replace(b"Round,", b"Round")),
    "NFD": Case("t.csv", text(rows(names=tuple(unicodedata.normalize("NFD", name) for name in FILES)))),
    "another case of the extension": Case("t.csv", text(rows(names=tuple(n.replace("png", "PNG") for n in FILES)))),
    "folder": Case("t.csv", text(rows(names=prefixed("set/one/"))), folders=True),
    "absolute": Case("t.csv", text(rows(names=prefixed("/data/set/"))), folders=True),
    "backslashes": Case("t.csv", text(rows(names=prefixed(".\\"))), folders=True),
}

Read = tuple[Labels, tuple[str, ...], LeftOut]
"""Labels by the file's name, the training images where the command knows them, and what was left out."""


def by_name(names: tuple[str, ...], labels: np.ndarray) -> Labels:
    return {name_key(name).rpartition("/")[2]: tuple(row) for name, row in zip(names, labels.tolist(), strict=True)}


def stats(folder: Path, path: Path) -> Read:
    source = open_source(folder, Options(labels=path))
    assert source.files is not None and source.pictures is not None and source.unlabelled == 0
    assert [source.files[row] for row in source.pictures.rows] == list(source.pictures.names)
    training = source.splits.index("train") if source.split is not None else -1
    split = np.full(len(source.files), -1) if source.split is None else source.split
    train = [name for name, k in zip(source.files, split.tolist(), strict=True) if k in (training, -1)]
    return by_name(source.files, source.labels), tuple(train), source.left_out


def import_(folder: Path, path: Path) -> Read:
    source = open_source(folder, Options(labels=path))
    table = source.labelled(Shares(0, 0))
    assert all(table.open(row).size == (16, 16) for row in range(len(table.files)))
    train = [name for name, k in zip(table.files, table.split.tolist(), strict=True) if k == 0]
    return by_name(table.files, table.labels), tuple(train), source.left_out


def balance(folder: Path, path: Path) -> Read:
    data = open_balance_data(folder, V, path)
    train = [name for name, k in zip(data.files, data.split.tolist(), strict=True) if k == 0]
    assert len(data.train) == len(train)
    return by_name(data.files, data.labels), tuple(train), data.left_out


def verify(folder: Path, path: Path) -> Read:
    table = read_labels(path, vocabulary=V)
    found = table.match(FILES)
    assert len(found.lost) == 0
    return by_name(FILES, table.labels[found.rows]), (), table.left_out


def prior(folder: Path, path: Path) -> Read:
    source = open_source(path, Options(field="--labels"))
    train = [name for name, k in zip(source.files or (), source.parts(Shares(0, 0)).tolist(), strict=True) if k == 0]
    assert len(source.train_labels()) == len(train)
    return by_name(source.files or (), source.labels), tuple(train), source.left_out


def gallery(folder: Path, path: Path) -> Read:
    people, left_out = table_people(path, V, ("Red", "Round"))
    labels = np.asarray([[person.request.get(name, N) for name in ("Red", "Round")] for person in people])
    return by_name(tuple(person.name for person in people), labels), (), left_out


READERS: dict[str, Callable[[Path, Path], Read]] = {
    "data stats": stats,
    "data import": import_,
    "balance": balance,
    "verify --labels": verify,
    "train prior --labels": prior,
    "testset build --gallery": gallery,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("one") / "photos"
    where.mkdir()
    for k, name in enumerate(FILES):
        Image.new("RGB", (16, 16), (40 * k, 0, 90)).save(where / name)
    return where


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", CASES)
def test_every_command_reads_every_table_alike(folder: Path, tmp_path: Path, case: str, reader: str) -> None:
    given = CASES[case]
    if reader == "testset build --gallery" and given.folders:
        pytest.skip("names of people have no folders")
    data = given.data
    if given.name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
        data = parquet()
    (tmp_path / given.name).write_bytes(data)
    labels, train, left_out = READERS[reader](folder, tmp_path / given.name)
    expected = given.labels
    if reader == "testset build --gallery":  # which matches yes and no alone
        expected = {name: tuple(np.sign(row)) for name, row in expected.items()}
    assert labels.keys() == expected.keys()
    np.testing.assert_array_equal([labels[name] for name in FILES], [expected[name] for name in FILES])
    if train:
        assert {name_key(name).rpartition("/")[2] for name in train} == set(given.train)
    assert tuple(left_out.columns) == given.columns


WITH_FILES = [name for name in READERS if name not in ("train prior --labels", "testset build --gallery")]


@pytest.mark.parametrize("reader", WITH_FILES)
@pytest.mark.parametrize(
    ("names", "files", "says"),
    [
        (("carol/1.png", "b.png"), ("bob/1.png", "b.png"), {"rows": ["carol/1.png"], "images": ["bob/1.png"]}),
        (("1.png",), ("bob/1.png", "amy/1.png"), "'1.png' may be amy/1.png or bob/1.png"),
        (("x/1.png", "y/1.png"), ("1.png",), "'1.png' may be x/1.png or y/1.png"),
        (("carol/1.png",), ("bob/1.png",), "names none of the images"),
        (("1.png", "2.png"), ("bob/1.png", "more.png"), {"rows": ["2.png"], "images": ["more.png"]}),
    ],
)
def test_no_label_goes_to_somebody_else(
    tmp_path: Path, reader: str, names: tuple[str, ...], files: tuple[str, ...], says: str | dict[str, list[str]]
) -> None:
    for name in files:
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16)).save(tmp_path / "p" / name)
    path = tmp_path / "t.csv"
    path.write_bytes(text(rows(CELLS[: len(names)], names)))
    if isinstance(says, str):
        with pytest.raises(DataError, match=says):
            _open(reader, tmp_path / "p", path, sorted(files))
        return
    if reader == "balance":  # which wants every image that has labels
        with pytest.raises(DataError, match=f"1 of 2 images .* not there, the first is '{says['rows'][0]}'"):
            _open(reader, tmp_path / "p", path, sorted(files))
        return
    found = _open(reader, tmp_path / "p", path, sorted(files))
    assert found == says


def _open(reader: str, folder: Path, path: Path, files: list[str]) -> dict[str, list[str]]:
    """Names of rows and images that did not meet."""
    if reader == "verify --labels":
        table = read_labels(path, vocabulary=V)
        found = table.match(files)
        assert table.files is not None
        return {
            "rows": [table.files[row] for row in found.lost],
            "images": [name for name, row in zip(files, found.rows.tolist(), strict=True) if row < 0],
        }
    if reader == "balance":
        open_balance_data(folder, V, path)
    source = open_source(folder, Options(labels=path))
    return {"rows": list(source.left_out.rows), "images": list(source.left_out.images)}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("table", "says"),
    [
        (rows([["1", "0"], ["-1", "1"], ["", "1"], ["1", "1"]]), "0 or -1, not both"),
        (rows([["1", "0"], ["2", "1"], ["", "1"], ["1", "1"]]), "row 2: Red is 2"),
        (rows([["1", "0"], ["much", "1"], ["", "1"], ["1", "1"]]), "row 2: Red is 'much'"),
        (rows(names=("b.png", "c.png", "d.png", "b.png")), "row 4: b.png is listed twice"),
        ([*rows(), ["e.png", "1"]], "line 6: 2 cells instead of 3"),
        (rows()[:1], "no rows"),
    ],
)
def test_every_command_refuses_alike(
    folder: Path, tmp_path: Path, reader: str, table: list[list[str]], says: str
) -> None:
    (tmp_path / "t.csv").write_bytes(text(table))
    with pytest.raises(InputError, match=says):
        READERS[reader](folder, tmp_path / "t.csv")


@pytest.mark.parametrize("reader", ["data import", "balance", "train prior --labels"])
def test_a_split_that_is_none_is_refused_by_whoever_trains(folder: Path, tmp_path: Path, reader: str) -> None:
    (tmp_path / "t.csv").write_bytes(text(rows(partition=["train", "trian", "test", ""])))
    with pytest.raises(DataError, match=r"row 2: 'trian' is not a split. Did you mean train"):
        READERS[reader](folder, tmp_path / "t.csv")


@pytest.mark.parametrize("change", [lambda data: data, lambda data: BOM + data, lambda d: d.replace(b"\n", b"\r\n")])
def test_pack_reads_the_official_files_alike(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    folder = draw_celeba(tmp_path / "celeba", 5, ("Red", "Round"))
    lines = (folder / "list_attr_celeba.txt").read_text().splitlines()[2:]
    for name in ("list_attr_celeba.txt", "list_eval_partition.txt"):
        (folder / name).write_bytes(change((folder / name).read_bytes()))
    done = CliRunner().invoke(app, ["data", "pack", str(folder), "--out", str(tmp_path / "store"), "--size", "16"])
    assert done.exit_code == 0, done.output
    store = open_store(tmp_path / "store")
    assert store.labels.tolist() == [[float(cell) for cell in line.split()[1:]] for line in lines]
    assert store.split.tolist() == [0, 0, 0, 0, 1]


@pytest.mark.slow
def test_the_commands_themselves(folder: Path, tmp_path: Path, tiny_bundle: Bundle) -> None:
    """One table with everything that is odd at once, on the command line."""
    names = tuple(unicodedata.normalize("NFD", f"/data/{name}").replace("png", "PNG") for name in FILES)
    table = rows(CELLS, names, partition=NUMBERS, caption=["a", "b", "c", "d"], who=["x", "y", "x", "z"])
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(BOM + text(table, ";", "\r\n")))

    def run(*arguments: object) -> tuple[str, str]:
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert done.exit_code == 0, done.output
        assert "caption" in done.stderr or arguments[0] == "verify", done.stderr
        return done.stdout, done.stderr

    looked = json.loads(run("data", "stats", folder, "--labels", path, "--json")[0])
    assert [(row["name"], row["yes"], row["no"]) for row in looked["attributes"]] == [("Red", 2, 1), ("Round", 2, 1)]
    assert looked["source"]["splits"] == {"train": 2, "validation": 1, "test": 1}
    assert looked["source"]["left_out"]["columns"]["count"] == 2
    assert any("2 columns left out: caption (text" in line for line in looked["findings"])
    shown, said = run("data", "import", folder, "--labels", path, "--out", tmp_path / "store", "--size", 16)
    assert "2 train, 1 validation, 1 test" in shown and "2 of 8 labels unknown" in shown
    assert "1 folder level left out (only in the names of the table): data/" in said
    np.testing.assert_array_equal(open_store(tmp_path / "store").labels, [LABELS[name] for name in FILES])
    wanted = ["--attribute", "Round", "--ratio", 0.5, "--bundle", tiny_bundle.path, "--dry-run", "--json"]
    plan, said = run("balance", folder, "--labels", path, *wanted)
    assert json.loads(plan)["parts"] == [{"request": "Round", "have": 0, "missing": 1}] and "caption" in said
    report = run("verify", folder, "--labels", path, "--bundle", tiny_bundle.path, "--json")[0]
    found = json.loads(report)["report"]
    assert found["images"] == 4 and found["ignored_columns"] == ["caption", "who"]
    assert [(row["n"], row["positives"]) for row in found["attributes"].values()] == [(3, 2), (3, 2)]
    fitted, _ = run("train", "prior", "--labels", path, "--out", tmp_path / "p.safetensors")
    assert "2 attributes, fitted on 2 label rows" in fitted


@pytest.mark.slow
def test_a_prior_of_one_attribute(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,Red\n" + "".join(f"{k}.png,{k % 2}\n" for k in range(40)))
    arguments = ["train", "prior", "--labels", str(tmp_path / "t.csv"), "--out", str(tmp_path / "p.safetensors")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0 and "1 attributes, fitted on 40 label rows" in done.output


def test_a_table_beside_the_folder_of_its_images_leaves_nothing_out(folder: Path, tmp_path: Path) -> None:
    """labels.csv and images/ is what most sets look like: that folder tells no image from another."""
    shutil.copytree(folder, tmp_path / "set" / "images")
    (tmp_path / "set" / "labels.csv").write_text(text(rows(CELLS, tuple(Path(name).name for name in FILES))).decode())
    done = CliRunner().invoke(app, ["data", "import", str(tmp_path / "set"), "--out", str(tmp_path / "s"), "--strict"])
    assert done.exit_code == 0 and "left out" not in done.stderr, done.output


def test_a_column_of_few_words_is_left_out_with_what_would_take_it(tmp_path: Path) -> None:
    lines = ["file,Red,hair,caption", *(f"{k}.png,{k % 2},{('black', 'blond')[k % 2]},no {k}" for k in range(20))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    table = read_labels(tmp_path / "t.csv")
    assert table.left_out.lines() == [
        "1 column left out (text, not labels; --class-column reads each value as a class): hair",
        "1 column left out (text, not labels): caption",
    ]
