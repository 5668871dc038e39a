from __future__ import annotations

import csv
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import make_bundle
from PIL import Image

import cfgan.verify.images as module
from cfgan.attributes.prior import Prior
from cfgan.attributes.spec import make_plan
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.image_files import ImageFile, find_images
from cfgan.errors import InputError, RequestError, StoppedError, StorageError, VocabularyError
from cfgan.generate.job import generate
from cfgan.model.bundle import Bundle
from cfgan.model.torch_engine import TorchNetwork
from cfgan.verify.images import Readings, choose_columns, open_reader, verify_images
from cfgan.verify.reader import Reader
from cfgan.verify.table import column_titles, open_table


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary, prior: Prior) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "tiny", vocabulary, prior, with_judge=True)


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Path:
    out = tmp_path_factory.mktemp("batch") / "b"
    generate(bundle, make_plan({"attributes": "Red,-Cat", "count": 40}, bundle.vocabulary), out)
    return out


class Kept:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.all: list[Readings] = []

    def add(self, readings: Readings) -> None:
        self.all.append(readings)

    def joined(self, what: str) -> np.ndarray:
        return np.concatenate([getattr(readings, what) for readings in self.all])


def noise(folder: Path, count: int) -> list[ImageFile]:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    for k in range(count):
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(folder / f"{k:04d}.png")
    return find_images([folder]).files


def test_a_batch_s_own_readings_are_met_again(bundle: Bundle, batch: Path) -> None:
    """What `generate` wrote as verifier.* is what reading its PNGs gives, whatever the batch size."""
    columns, reader = choose_columns(bundle, attrs="Red,-Cat"), open_reader(bundle, "verifier", "cpu")
    with (batch / "manifest.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    for size in (None, 7):
        kept = Kept()
        outcome = verify_images(reader, bundle.size, find_images([batch]).files, columns, [kept], batch=size)
        assert (outcome.read, outcome.failed, outcome.meets) == (40, [], 40)
        assert outcome.seen.tolist() == [40, 0]
        assert [file for readings in kept.all for file in readings.files] == [row["file"] for row in rows]
        stored = [[float(row["verifier.Red"]), float(row["verifier.Cat"])] for row in rows]
        np.testing.assert_allclose(kept.joined("probability"), stored, atol=2e-6)


def test_the_judge_reads_with_its_own_calibration(bundle: Bundle, batch: Path) -> None:
    columns, reader = choose_columns(bundle, "judge"), open_reader(bundle, "judge", "cpu")
    kept = Kept()
    verify_images(reader, bundle.size, find_images([batch]).files, columns, [kept])
    assert columns.names == bundle.vocabulary.names and columns.reader == "judge"
    levels = np.stack([np.asarray(Image.open(file.path)).transpose(2, 0, 1) for file in find_images([batch]).files])
    np.testing.assert_allclose(kept.joined("probability"), reader.probability(levels), atol=1e-5)
    assert (kept.joined("seen") == (kept.joined("probability") >= columns.threshold)).all()
    assert kept.all[0].meets is None


def test_columns(bundle: Bundle, tiny_bundle: Bundle) -> None:
    columns = choose_columns(bundle, attrs="very big, -cat")
    assert columns.names == ("Very_Big", "Cat") and columns.places.tolist() == [3, 4]
    assert columns.wanted is not None and columns.wanted.tolist() == [True, False]
    assert column_titles(columns) == [
        *("file", "verifier.Very_Big", "verifier.Cat", "seen.Very_Big", "seen.Cat", "meets", "error")
    ]
    assert "meets" not in column_titles(choose_columns(bundle))
    for error, says, options in (
        (VocabularyError, "Did you mean Red", {"attrs": "Rde"}),
        (RequestError, "graded value.*Did you mean Red or -Red", {"attrs": "Red=0.5"}),
        (RequestError, "names no attribute", {"attrs": " "}),
        (InputError, "Did you mean judge", {"by": "juge"}),
    ):
        with pytest.raises(error, match=says):
            choose_columns(bundle, **options)
    for choose in (lambda: choose_columns(tiny_bundle, "judge"), lambda: open_reader(tiny_bundle, "judge", "cpu")):
        with pytest.raises(InputError, match="tiny has no judge. Did you mean verifier"):
            choose()


def test_what_cannot_be_read_is_in_its_place(bundle: Bundle, tmp_path: Path) -> None:
    files = noise(tmp_path / "in", 5)
    files[1].path.write_text("no image")
    files[3].path.unlink()
    files.insert(0, ImageFile("pipe.png", tmp_path, "pipe.png", "not a regular file."))
    columns, reader = choose_columns(bundle, attrs="Red"), open_reader(bundle, "verifier", "cpu")
    with open_table(tmp_path / "t.csv", columns) as table:
        table.begin({})
        kept = Kept()
        outcome = verify_images(reader, 16, files, columns, [table, kept], batch=3)
        table.end({})
    assert outcome.read == 3 and outcome.seen[0] == outcome.meets
    assert [name for name, _ in outcome.failed] == ["pipe.png", "0001.png", "0003.png"]
    assert np.isnan(kept.joined("probability")[:, 0]).tolist() == [True, False, True, False, True, False]
    with (tmp_path / "t.csv").open() as handle:
        rows = list(csv.reader(handle))
    assert rows[0] == ["file", "verifier.Red", "seen.Red", "meets", "error"]
    assert rows[1] == ["pipe.png", "", "", "", "not a regular file."]
    assert rows[3][0] == "0001.png" and rows[3][4].startswith("not a JPEG") and rows[5][4] == "the file is missing."
    assert float(rows[2][1]) == pytest.approx(kept.joined("probability")[1, 0], abs=5e-6) and rows[2][4] == ""
    nothing = verify_images(reader, 16, files[:1], columns, [])
    assert nothing.read == 0 and len(nothing.failed) == 1


@pytest.mark.parametrize(
    ("options", "says"), [({"crop": "centre"}, "mean center"), ({"batch": 0}, "mean 1"), ({"batch": 5000}, "mean 4096")]
)
def test_wrong_options(bundle: Bundle, tmp_path: Path, options: dict[str, Any], says: str) -> None:
    reader = open_reader(bundle, "verifier", "cpu")
    with pytest.raises(InputError, match=says):
        verify_images(reader, 16, [], choose_columns(bundle), [], **options)


class Watched:
    """Stands in for a classifier; says how far decoding is ahead while it works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, total: int) -> None:
        self._decoded = 0
        self._grown = threading.Condition()
        self._total = total
        self.classified = 0
        self.most_ahead = 0
        read = module.read_square

        def counted(*arguments: Any) -> Any:
            with self._grown:
                self._decoded += 1
                self._grown.notify_all()
            return read(*arguments)

        monkeypatch.setattr(module, "read_square", counted)

    def to(self, device: torch.device) -> Watched:
        return self

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.classified += len(images)
        with self._grown:
            # The next batch is decoded while this one is classified, or this would wait for ever.
            assert self._grown.wait_for(lambda: self._decoded > min(self.classified, self._total - 1), timeout=20)
            self.most_ahead = max(self.most_ahead, self._decoded - self.classified)
        return torch.zeros(len(images), 6)


def test_decoding_goes_on_meanwhile_and_not_too_far(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = noise(tmp_path / "in", 8) * 15
    network = Watched(monkeypatch, len(files))
    watched = TorchNetwork(network, torch.device("cpu"))  # type: ignore[arg-type]
    reader = replace(open_reader(bundle, "verifier", "cpu"), network=watched)
    outcome = verify_images(reader, 16, files, choose_columns(bundle), [], batch=4)
    assert outcome.read == network.classified == 120
    workers = min(4, os.cpu_count() or 1)
    assert network.most_ahead <= 4 * (workers + 1)


def test_a_stop_leaves_no_file(bundle: Bundle, tmp_path: Path) -> None:
    files = noise(tmp_path / "in", 8) * 50
    columns, reader = choose_columns(bundle), open_reader(bundle, "verifier", "cpu")
    before = threading.active_count()

    def progress(stage: str, done: int, total: int, remark: str = "") -> None:
        if done == 40:
            os.kill(os.getpid(), signal.SIGINT)

    (tmp_path / "t.csv").write_text("old")
    with pytest.raises(StoppedError), open_table(tmp_path / "t.csv", columns, force=True) as table:
        table.begin({})
        verify_images(reader, 16, files, columns, [table], batch=8, progress=progress)
    assert (tmp_path / "t.csv").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"in", "t.csv"} and threading.active_count() == before


def test_a_full_disk_leaves_no_file(bundle: Bundle, tmp_path: Path) -> None:
    files = noise(tmp_path / "in", 8)
    columns, reader = choose_columns(bundle), open_reader(bundle, "verifier", "cpu")

    class Full:
        def add(self, readings: Readings) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="disk is full"), open_table(tmp_path / "t.json", columns) as table:
        table.begin({})
        verify_images(reader, 16, files, columns, [table, Full()])
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_reader_on_no_images_is_no_error(bundle: Bundle) -> None:
    reader = open_reader(bundle, "verifier", "cpu")
    assert isinstance(reader, Reader)
    assert verify_images(reader, 16, [], choose_columns(bundle), []).read == 0
