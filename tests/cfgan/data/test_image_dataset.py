"""What a PyTorch loader is given: images and labels by number, of any source, the same in a worker process."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from data_helpers import pattern
from export_helpers import make_testset
from helpers import small_store

import cfgan
from cfgan.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "images").mkdir(parents=True)
    for k in range(6):
        pattern(k).save(tmp_path / "photos" / "images" / f"{k}.png")
    rows = [f"{k}.png,{k % 2},{'' if k == 3 else 1},{'test' if k > 3 else 'train'}" for k in range(6)]
    (tmp_path / "photos" / "labels.csv").write_text("\n".join(["file,Red,Round,split", *rows]))
    return tmp_path / "photos"


def test_images_and_labels_of_a_folder_by_number(folder: Path) -> None:
    data = cfgan.ImageDataset(folder, "train")
    assert len(data) == 4 and data.attributes == ("Red", "Round") and "4 images" in repr(data)
    image, labels = data[2]
    np.testing.assert_array_equal(np.asarray(image), np.asarray(pattern(2)))
    assert labels.dtype == np.float32 and labels.tolist() == [-1, 1]
    assert np.isnan(data[3][1][1]) and data[-1][1][0] == 1
    with pytest.raises(IndexError):
        data[4]
    labels[:] = 5  # what a caller does to them stays with the caller
    assert data[2][1].tolist() == [-1, 1]


def test_attributes_are_chosen_and_transforms_applied(folder: Path) -> None:
    data = cfgan.ImageDataset(
        folder,
        attributes=["Round", "Red"],
        transform=np.asarray,
        target_transform=np.nan_to_num,
    )
    image, labels = data[3]
    assert image.shape == (48, 48, 3) and labels.tolist() == [0, 1] and len(data) == 6
    again = pickle.loads(pickle.dumps(data))  # as a worker process gets it
    assert again.attributes == data.attributes and (again[5][0] == data[5][0]).all()


def test_a_store_and_a_test_set_look_the_same(tmp_path: Path) -> None:
    store = small_store(tmp_path)
    data = cfgan.ImageDataset(tmp_path / "store", "validation")
    row = store.rows("validation")[0]
    np.testing.assert_array_equal(np.asarray(data[0][0]).transpose(2, 0, 1), store.images[row])
    np.testing.assert_array_equal(data.labels, store.labels[store.rows("validation")])
    pairs = cfgan.ImageDataset(make_testset(tmp_path / "set"), attributes=["Red"])
    assert len(pairs) > 4 and pairs[0][0].mode == "RGB" and set(np.nan_to_num(pairs.labels[:, 0]).tolist()) == {0, 1}


def test_what_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no label 'Rond'\. Did you mean Round"):
        cfgan.ImageDataset(folder, attributes=["Rond"])
    with pytest.raises(DataError, match=r"'tran' is not a split\. Did you mean train"):
        cfgan.ImageDataset(folder, "tran")
    with pytest.raises(DataError, match="there is no folder"):
        cfgan.ImageDataset(tmp_path / "nowhere")
