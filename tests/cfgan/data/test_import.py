"""Any labelled images into a store: tables, folders, packages; splits that do not leak; labels that are not guessed."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import draw_celeba
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from cfgan.attributes.vocabulary import CELEBA
from cfgan.data.drawn.dataset import drawn_faces, write_drawn
from cfgan.data.labelled_images import LabelledImages
from cfgan.data.read.columns import Columns
from cfgan.data.read.label_values import read_values
from cfgan.data.read.splits import Shares
from cfgan.data.source import open_source
from cfgan.data.sources.base import Options
from cfgan.data.store import open_store, pack, why_skipped
from cfgan.errors import DataError, InputError, VocabularyError
from cfgan_cli.app import app

NONE = Shares(0, 0)


def draw(folder: Path, names: list[str], mode: str = "RGB") -> Path:
    """Small pictures whose first level is their place in the list."""
    for k, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image = Image.new(mode, (20, 16), k if mode in ("L", "I;16") else (k,) * len(mode))
        image.save(folder / name)
    return folder


def read_source(source: str, options: Options | None = None) -> LabelledImages:
    """As `data import` reads it."""
    given = options or Options()
    return open_source(source, given).labelled(given.shares)


def read_table(folder: Path, path: Path, columns: Columns, shares: Shares, *, together: bool = False) -> LabelledImages:
    return open_source(folder, Options(labels=path, columns=columns)).labelled(shares, together=together)


def table(folder: Path, text: str, *, together: bool = False, **columns: Any) -> LabelledImages:
    (folder / "labels.csv").write_text(text)
    return read_table(folder, folder / "labels.csv", Columns(**columns), NONE, together=together)


def test_a_folder_and_a_csv_with_columns_by_name(tmp_path: Path) -> None:
    draw(tmp_path, ["a.png", "sub/b c.png", "d.png"])
    found = table(
        tmp_path,
        "who;file;Red;Round;kind\np;a.png;1;0;cat\nq;sub/b c.png;;1;dog\np;./d.png;0;?;\n",
        labels=("Red", "Round"),
        classes=("kind",),
    )
    assert found.files == ("a.png", "sub/b c.png", "d.png")
    assert found.vocabulary.names == ("Red", "Round", "cat", "dog")
    assert found.vocabulary.one_of == (frozenset({"cat", "dog"}),)
    n = np.nan
    np.testing.assert_array_equal(found.labels, [[1, -1, 1, -1], [n, 1, -1, 1], [-1, n, n, n]])
    store, _ = pack(found, tmp_path / "store", 32)
    assert store.images.shape == (3, 3, 32, 32) and (store.images[2] == 2).all()
    np.testing.assert_array_equal(store.labels, found.labels)


def test_parquet_and_json_lines(tmp_path: Path) -> None:
    draw(tmp_path, ["a.png", "b.png"])
    frame = pd.DataFrame({"image": ["a.png", "b.png"], "Red": [0.5, None], "Cat": [True, False], "n": [3.0, 10.0]})
    frame.to_json(tmp_path / "l.jsonl", orient="records", lines=True)
    paths = [tmp_path / "l.jsonl"]
    try:
        frame.to_parquet(tmp_path / "l.parquet")
        paths.append(tmp_path / "l.parquet")
    except ImportError:
        with pytest.raises(DataError, match="cfgan\\[parquet\\]"):
            (tmp_path / "l.parquet").write_bytes(b"")
            read_table(tmp_path, tmp_path / "l.parquet", Columns(), NONE)
    for path in paths:
        found = read_table(tmp_path, path, Columns(classes=("n",), values="signed"), NONE)
        assert found.vocabulary.names == ("Red", "Cat", "3", "10")
        np.testing.assert_array_equal(found.labels, [[0.5, 1, 1, -1], [np.nan, -1, -1, 1]])


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("file,Red\na.png,2\n", {}, "row 1: Red is 2; labels lie in 0..1"),
        ("file,Red\na.png,maybe\n", {}, r"no column of labels; Red is left out \(text"),
        ("file,Red\na.png,maybe\nb.png,1\n", {}, "row 1: Red is 'maybe', which is not a label"),
        ("file,Red,Big\na.png,-1,0\nb.png,1,1\n", {}, "Big is 0, which may mean no, unknown or halfway"),
        ("file,Red\na.png,0.5\n", {}, "Red is 0.5, and nothing is 0 or below"),
        ("file,Red\n../a.png,1\n", {}, "not a file inside the folder"),
        ("file,Red\n/etc/passwd,1\n", {}, "not a file inside the folder"),
        ("file,Red\na.png,1\na.png,0\n", {}, "a.png is listed twice"),
        ("file,Red\na.png,1\n", {"labels": ("Rad",)}, r"no column 'Rad'. Did you mean Red"),
        ("file,Red\na.png,1\n", {"file": "fil"}, r"no column 'fil'. Did you mean file"),
        ("file,Red\na.png,1\n", {"classes": ("Red",), "labels": ("Red",)}, "used for something else"),
        ("file,Red\na.png,1\n", {"classes": ("Red",)}, "Red has 1 class"),
        ("file,Red\na.png,1\n", {"values": "signd"}, "signd.*Did you mean signed"),
        ("file,Red,s\na.png,1,trian\n", {"split": "s"}, r"'trian' is not a split. Did you mean train"),
        ("file\na.png\n", {}, "no column of labels"),
        ("file,Red\n", {}, "no rows"),
        (
            "file,Red,p,s\na.png,1,x,train\nb.png,1,x,test\n",
            {"person": "p", "split": "s", "together": True},
            "'x' has images in train",
        ),
    ],
)
def test_tables_that_cannot_be_used_say_why(tmp_path: Path, text: str, columns: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        table(tmp_path, text, **columns)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match="same name"):
        table(tmp_path, "file,Very Big,very_big\na.png,1,0\n")


@pytest.mark.slow
@given(st.lists(st.sampled_from(["1", "0", "", "true", "no", "nan", "0.25"]), min_size=1, max_size=30))
def test_an_empty_cell_is_never_an_answer(cells: list[str]) -> None:
    labels = read_values(pd.DataFrame({"A": cells}), "zero-one", name="t")[:, 0]
    expected = {"1": 1.0, "0": -1.0, "true": 1.0, "no": -1.0, "0.25": -0.5}
    for cell, label in zip(cells, labels, strict=True):
        assert np.isnan(label) if cell in ("", "nan") else label == expected[cell]


def test_scales() -> None:
    frame = pd.DataFrame({"A": ["-1", "0", "0.5"], "B": ["yes", "", "1"]})
    np.testing.assert_array_equal(read_values(frame, name="t"), [[-1, 1], [0, np.nan], [0.5, 1]])
    unknown = read_values(frame, "signed-unknown", name="t")
    assert np.isnan(unknown[1, 0]) and unknown[2, 0] == 0.5


def test_shares_depend_on_the_name_alone() -> None:
    names = [f"{i}.png" for i in range(4000)]
    split = Shares(0.2, 0.1).split(names)
    np.testing.assert_allclose(np.bincount(split) / 4000, [0.7, 0.2, 0.1], atol=0.02)
    np.testing.assert_array_equal(Shares(0.2, 0.1).split(names[::-1]), split[::-1])
    more = Shares(0.3, 0.1).split(names)
    assert (more[split == 2] == 2).all() and (more[split == 1] == 1).all()  # a larger share only adds
    for bad in ((-0.1, 0), (0.5, 0.5), (float("nan"), 0)):
        with pytest.raises(DataError):
            Shares(*bad)


def test_a_group_never_lies_in_two_splits(tmp_path: Path) -> None:
    rows = "".join(f"{i}.png,{i % 2},p{i % 40}\n" for i in range(400))
    (tmp_path / "labels.csv").write_text("file,Red,person\n" + rows)
    shares = Shares(0.3, 0.2)
    found = read_table(tmp_path, tmp_path / "labels.csv", Columns(person="person"), shares, together=True)
    assert found.vocabulary.names == ("Red",)
    for person in range(40):
        assert len(set(found.split[person::40].tolist())) == 1
    assert len(set(found.split.tolist())) == 3


def test_class_folders_with_and_without_splits(tmp_path: Path) -> None:
    plain = draw(tmp_path / "plain", ["cat/1.png", "cat/x/2.png", "dog/1.png"])
    found = read_source(str(plain), Options(shares=NONE))
    assert found.vocabulary.names == ("cat", "dog") and found.vocabulary.one_of
    assert dict(zip(found.files, found.labels[:, 0].tolist(), strict=True)) == {
        "cat/1.png": 1,
        "cat/x/2.png": 1,
        "dog/1.png": -1,
    }
    split = draw(tmp_path / "split", ["train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "test/dog/9.png"])
    found = read_source(str(split), Options())
    assert dict(zip(found.files, found.split.tolist(), strict=True))["val/cat/1.png"] == 1
    assert sorted(found.split.tolist()) == [0, 0, 1, 2]
    draw(plain, ["loose.png"])
    with pytest.raises(DataError, match=r"loose.png does not lie in a class folder"):
        read_source(str(plain), Options())


def test_hugging_face_imagefolder(tmp_path: Path) -> None:
    for part in ("train", "validation"):
        draw(tmp_path / part, ["0.png", "1.png"])
        (tmp_path / part / "metadata.csv").write_text("file_name,label,text\n0.png,cat,a b\n1.png,dog,c\n")
    for columns in (Columns(), Columns(labels=(), classes=("label",))):
        found = read_source(str(tmp_path), Options(columns=columns))
        assert found.vocabulary.names == ("cat", "dog") and found.split.tolist() == [0, 0, 1, 1]
        assert found.files[2] == "validation/0.png"
    source = open_source(tmp_path)
    assert source.kind == "imagefolder" and source.left_out.lines() == ["1 column left out (text, not labels): text"]
    with pytest.raises(InputError, match=r"no column 'file_nam'. Did you mean file_name"):
        read_source(str(tmp_path), Options(columns=Columns(file="file_nam")))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [32, 64, 128])
def test_greys_and_colours_of_all_sizes(tmp_path: Path, mode: str, size: int) -> None:
    draw(tmp_path, ["a.png"], mode)
    Image.new(mode, (40, 60), 65535 if mode == "I;16" else 255 if mode == "L" else (255,) * len(mode)).save(
        tmp_path / "b.png"
    )
    store, bad = pack(table(tmp_path, "file,Red\na.png,1\nb.png,0\n"), tmp_path / "store", size)
    assert not bad and store.images.shape == (2, 3, size, size)
    assert (store.images[1] == 255).all()
    assert (store.images[:, 0] == store.images[:, 1]).all()  # grey: three equal channels


def test_bad_images_in_subfolders_are_named_and_left_out(tmp_path: Path) -> None:
    draw(tmp_path, ["x/a.png", "x/b: c.png", "x/d.png"])
    with pytest.raises(DataError, match="not a file inside"):
        table(tmp_path, "file,Red\nx/../../b.png,1\n")
    (tmp_path / "x/d.png").write_bytes(b"no image")
    found = table(tmp_path, "file,Red\nx/a.png,1\nx/d.png,0\nx/e.png,0\n")
    with pytest.raises(DataError, match=r"2 of 3 images.*\n  x/d.png: not a .*\n  x/e.png: the file is missing"):
        pack(found, tmp_path / "store", 32)
    store, bad = pack(found, tmp_path / "store", 32, skip_bad=True)
    assert store.files == ("x/a.png",) and len(bad) == 2


def test_names_may_hold_what_our_messages_and_lists_are_made_of(tmp_path: Path) -> None:
    names = ["sad: very/a: b.png", "sad: very/a.png", "glad/c\u2028d.png", "glad/e.png"]
    draw(tmp_path / "f", names)
    (tmp_path / "f" / names[0]).write_bytes(b"no image")
    table = read_source(str(tmp_path / "f"), Options(layout="classes"))
    store, bad = pack(table, tmp_path / "store", 32, skip_bad=True)
    assert sorted(store.files) == sorted(names[1:]) and open_store(tmp_path / "store").files == store.files
    assert why_skipped(table, store, bad) == {names[0]: "not a JPEG, PNG, WEBP, BMP image."}
    draw(tmp_path / "g", ["glad/a\nb.png", "sad/c.png"])
    with pytest.raises(DataError, match="control character"):
        pack(read_source(str(tmp_path / "g"), Options(layout="classes")), tmp_path / "other", 32)
    assert not (tmp_path / "other").exists()


def test_the_official_layout_is_found(tmp_path: Path) -> None:
    found = read_source(str(draw_celeba(tmp_path / "c")), Options())
    assert len(found.vocabulary) == 40 and found.crop == (0, 20, 178, 198)


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        read_source(str(tmp_path / "nothing"), Options())
    with pytest.raises(DataError, match=r"no images 'digit'. Did you mean digits"):
        read_source("sklearn:digit", Options())
    with pytest.raises(DataError, match="nothing says what the images in .* name its label table"):
        read_source(str(draw(tmp_path / "flat", ["a.png"])), Options())
    with pytest.raises(DataError, match="Did you mean classes"):
        read_source(str(tmp_path / "flat"), Options(layout="clases"))


def test_scikit_learns_digits_are_read_offline(tmp_path: Path) -> None:
    found = read_source("sklearn:digits", Options(shares=Shares(0.2, 0.1)))
    assert len(found.files) == 1797 and found.vocabulary.names == tuple("0123456789")
    assert ((found.labels > 0).sum(1) == 1).all()
    assert found.vocabulary.hints["seven"] == "7"
    from sklearn.datasets import load_digits

    digits = load_digits()
    np.testing.assert_array_equal((found.labels > 0).argmax(1), digits.target)
    pixels = np.asarray(found.open(3))
    np.testing.assert_allclose(pixels[..., 0], digits.images[3] * 255 / 16, atol=0.5)


class _Fake:
    """What classes of torchvision.datasets have in common: pairs of a PIL image and a target, by number."""

    def __init__(self, targets: list[Any], mode: str) -> None:
        self.targets, self._mode = targets, mode

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, i: int) -> tuple[Image.Image, Any]:
        return Image.new(self._mode, (28, 28), i), self.targets[i]


class _Numbers(_Fake):
    classes = ("0 - zero", "1 - one")

    def __init__(self, root: str, train: bool = True, download: bool = False) -> None:
        if not (Path(root) / "data").exists():
            if not download:
                raise RuntimeError("Dataset not found. You can use download=True to download it")
            (Path(root) / "data").write_text("fetched")
        super().__init__([i % 2 for i in range(60 if train else 10)], "L")


class _Attributes(_Fake):
    attr_names = ("Red", "Round")

    def __init__(self, root: str, split: str = "train") -> None:
        if split not in ("train", "val"):
            raise ValueError(f"Unknown value '{split}' for argument split.")
        super().__init__([np.asarray([1, 0]), np.asarray([0, 1])], "RGB")


class _Boxes(_Fake):
    def __init__(self, root: str) -> None:
        super().__init__([{"box": 1}], "RGB")


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module with torchvision's interface: the real one need not be there, and nothing is ever fetched."""
    datasets = types.ModuleType("torchvision.datasets")
    vars(datasets).update({"Numbers": _Numbers, "Attributes": _Attributes, "Boxes": _Boxes})
    package = types.ModuleType("torchvision")
    package.datasets = datasets  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)


def test_classes_of_torchvision(torchvision: None, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="name it"):
        read_source("torchvision:Numbers", Options())
    with pytest.raises(DataError, match="Dataset not found"):
        read_source("torchvision:Numbers", Options(root=tmp_path))  # never fetched unasked
    options = Options(root=tmp_path, download=True, shares=Shares(0.2, 0.1))
    found = read_source("torchvision:Numbers", options)
    assert found.vocabulary.names == ("0 - zero", "1 - one") and found.vocabulary.one_of
    assert (found.split == 2).sum() == 10 and 4 <= (found.split == 1).sum() <= 20
    store, _ = pack(found, tmp_path / "store", 32)
    assert (store.images[7] == 7).all() and store.labels[7].tolist() == [-1, 1]


def test_attributes_of_torchvision_and_what_is_not_there(torchvision: None, tmp_path: Path) -> None:
    found = read_source("torchvision:Attributes", Options(root=tmp_path))
    assert found.vocabulary.names == ("Red", "Round") and found.split.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(found.labels[:2], [[1, -1], [-1, 1]])
    with pytest.raises(DataError, match="neither classes nor rows"):
        read_source("torchvision:Boxes", Options(root=tmp_path))
    with pytest.raises(DataError, match=r"no data set 'Number'. Did you mean Numbers"):
        read_source("torchvision:Number", Options(root=tmp_path))
    with pytest.raises(DataError, match="cannot be downloaded"):
        read_source("torchvision:Boxes", Options(root=tmp_path, download=True))


def test_without_torchvision_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(DataError, match=r"pip install 'cfgan\[vision\]'"):
        read_source("torchvision:MNIST", Options(root=tmp_path))


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    draw(tmp_path / "images", [f"{i}.png" for i in range(30)])
    (tmp_path / "l.csv").write_text("file,Red,Round\n" + "".join(f"{i}.png,{i % 2},\n" for i in range(30)))
    arguments = ["data", "import", str(tmp_path / "images"), "--labels", str(tmp_path / "l.csv"), "--size", "32"]
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "store")])
    assert done.exit_code == 0, done.output
    assert "30 images of 32 x 32" in done.output and "30 of 60 labels unknown" in done.output
    classes = ["--columns", "", "--class-column", "Red"]
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "classes"), *classes])
    assert done.exit_code == 0 and "2 attributes" in done.output
    wrong = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "other"), "--columns", "Rnd"])
    assert wrong.exit_code == 2 and not (tmp_path / "other").exists()


def test_the_tables_that_cfgan_writes_are_read_as_they_are(tmp_path: Path) -> None:
    folder = write_drawn(drawn_faces(12, 0, 16), tmp_path / "drawn", 0)
    path = tmp_path / "drawn" / "labels.csv"
    first, *lines = path.read_text().splitlines()
    noted = [f"{first},synthetic,request,draw", *(f"{line},1,Bald,7" for line in lines)]  # as balance adds
    path.write_text("\n".join(noted) + "\n")
    found = read_table(tmp_path / "drawn", path, Columns(), Shares())
    assert found.vocabulary.names == CELEBA.names and len(found.files) == 12 and folder.exists()
    words = {"train": 0, "validation": 1, "test": 2}
    assert found.split.tolist() == [words[line.split(",")[1]] for line in lines]
