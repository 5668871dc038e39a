"""The real torchvision: its data sets as sources, its classes as readers of exports, its networks and transforms.

Run by `make test-vision`, in an environment of its own; skipped where torchvision cannot be imported.
"""

from __future__ import annotations

import importlib.util
import json
import struct
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from export_helpers import make_testset
from helpers import draw_celeba
from PIL import Image
from typer.testing import CliRunner

import cfgan
from cfgan.data.read.splits import Shares
from cfgan.data.source import open_source
from cfgan.data.sources.base import Options
from cfgan.data.store import open_store
from cfgan.errors import DataError
from cfgan.testsets.export.formats import export_testset
from cfgan.testsets.folder import open_testset
from cfgan_cli.app import app

datasets: Any = pytest.importorskip("torchvision.datasets", reason="torchvision is not installed: make test-vision")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    """A script of benchmarks/ as a module."""
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def write_mnist(root: Path) -> None:
    """MNIST's four files, with a bar at another height for each digit."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 200), ("t10k", 40)):
        digits = np.arange(count, dtype=np.uint8) % 10
        images = np.zeros((count, 28, 28), np.uint8)
        for k, digit in enumerate(digits):
            images[k, 2 * digit + 3 : 2 * digit + 6, 4:24] = 255
        head = struct.pack(">IIII", 0x803, count, 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + digits.tobytes())


def test_mnist_is_imported_with_its_own_test_images(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    said = run("data", "import", "torchvision:MNIST", "--root", tmp_path, "--out", tmp_path / "store", "--size", 32)
    store = open_store(tmp_path / "store")
    assert "240 images of 32 x 32" in said and len(store.rows("test")) == 40 and len(store.rows("validation")) > 5
    assert store.vocabulary.names[:2] == ("0 - zero", "1 - one") and store.vocabulary.one_of
    assert ((store.labels > 0).sum(1) == 1).all()
    row = store.rows("test")[3]
    bright = np.asarray(store.images[row]).mean((0, 2))  # the bar of a three lies at 9 to 11 of 28
    assert store.labels[row, 3] == 1 and 9 <= bright.argmax() <= 14
    looked = json.loads(run("data", "stats", "torchvision:MNIST", "--root", tmp_path, "--json"))
    assert looked["source"]["rows"] == 240
    with pytest.raises(DataError, match="not found"):  # nothing is ever fetched unasked
        open_source("torchvision:MNIST", Options(root=tmp_path / "nowhere"))


def test_fake_data_which_keeps_no_list_of_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    made = datasets.FakeData
    monkeypatch.setattr(made.__init__, "__defaults__", (30, (3, 16, 16), *made.__init__.__defaults__[2:]))
    source = open_source("torchvision:FakeData")
    assert len(source.labels) == 30 and ((source.labels > 0).sum(1) == 1).all()
    assert all(name.isdigit() for name in source.vocabulary.names)
    assert source.labelled().open(4).size == (16, 16)


def test_image_folder_agrees_with_the_reader_of_class_folders(tmp_path: Path) -> None:
    for k in range(12):
        path = tmp_path / "set" / ("cat", "dog")[k % 2] / f"{k:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 24), (20 * k, 0, 0)).save(path)
    theirs = open_source("torchvision:ImageFolder", Options(root=tmp_path / "set"))
    ours = open_source(tmp_path / "set")
    assert theirs.vocabulary.names == ours.vocabulary.names == ("cat", "dog")
    np.testing.assert_array_equal(theirs.labels, ours.labels)
    a, b = theirs.labelled(), ours.labelled()
    assert all(np.array_equal(np.asarray(a.open(k)), np.asarray(b.open(k))) for k in range(12))


def test_a_partial_celeba_is_refused_by_torchvision_and_read_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = draw_celeba(tmp_path / "celeba", names=("Red", "Round"))
    numbers = [path.name for path in sorted((home / "img_align_celeba").iterdir())]
    for name, cells, head in (
        ("identity_CelebA.txt", "7", ""),
        ("list_bbox_celeba.txt", "1 2 3 4", f"{len(numbers)}\nimage_id x_1 y_1 width height\n"),
        ("list_landmarks_align_celeba.txt", " ".join("1" * 10), f"{len(numbers)}\n{' '.join('abcdefghij')}\n"),
    ):
        (home / name).write_text(head + "".join(f"{number} {cells}\n" for number in numbers))
    with pytest.raises(DataError, match=r"not found or corrupted.*The folder of a part of it is read without"):
        open_source("torchvision:CelebA", Options(root=tmp_path))
    ours = open_source(home)
    monkeypatch.setattr(datasets.CelebA, "_check_integrity", lambda self: True)
    theirs = open_source("torchvision:CelebA", Options(root=tmp_path))
    assert theirs.vocabulary.names == ours.vocabulary.names
    np.testing.assert_array_equal(theirs.labels, ours.labels)
    assert theirs.parts(Shares(0, 0)).tolist() == ours.parts(Shares(0, 0)).tolist()


def test_an_exported_test_set_is_read_by_torchvisions_celeba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_testset(open_testset(make_testset(tmp_path / "t")), "celeba", tmp_path / "c")
    monkeypatch.setattr(datasets.CelebA, "_check_integrity", lambda self: True)  # its files are not the published ones
    read = datasets.CelebA(tmp_path / "c", split="test", target_type=["attr", "identity"])
    image, (attributes, identity) = read[3]
    image.load()  # that class leaves the file open
    assert len(read) == 12 and image.size == (178, 218) and read.attr_names[:2] == ["Red", "Round"]
    assert attributes.tolist() == [1, 1] and int(identity) == 2


def test_v2_transforms_and_a_loader_with_workers_take_the_view(tmp_path: Path) -> None:
    import torch
    from torch.utils.data import DataLoader
    from torchvision.transforms import v2

    write_mnist(tmp_path)
    run("data", "import", "torchvision:MNIST", "--root", tmp_path, "--out", tmp_path / "store", "--size", 32)
    change = v2.Compose([v2.ToImage(), v2.Resize((24, 24), antialias=True), v2.ToDtype(torch.float32, scale=True)])
    data = cfgan.ImageDataset(tmp_path / "store", "train", transform=change)
    images, labels = next(iter(DataLoader(data, batch_size=16, num_workers=1)))
    assert images.shape == (16, 3, 24, 24) and 0 <= float(images.min()) < float(images.max()) <= 1
    np.testing.assert_array_equal(labels.numpy(), data.labels[:16])


@pytest.mark.slow
def test_the_example_trains_a_resnet_on_batches(tmp_path: Path) -> None:
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    run("generate", "--bundle", "digits32", "-a", "7", "-n", 40, "--out", tmp_path / "seven", "-q")
    run("generate", "--bundle", "digits32", "--attrs=-7", "-n", 40, "--out", tmp_path / "other", "-q")
    example = load("torchvision_resnet")
    found = example.train([tmp_path / "seven", tmp_path / "other"], "7", epochs=8, side=32, seed=0)
    assert found["images"] == 80 and found["accuracy"] >= 0.85, found


def test_mnist_goes_through_every_command(tmp_path: Path) -> None:
    sources = load("sources")
    cells = sources.through_all_steps(sources.mnist(tmp_path / "set"), tmp_path)
    assert set(cells) == set(sources.STEPS)
