"""`cfgan data align`: a folder of photographs to a folder of faces, stopped and gone on with at will."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from framing_helpers import Dots, dotted
from PIL import Image

from cfgan.data.framing import folder as framing
from cfgan.data.framing.faces import Framer
from cfgan.data.framing.folder import Aligned, align_folder
from cfgan.data.table import read_labels
from cfgan.errors import DataError, FolderError
from cfgan.io.png import encode_png

pytestmark = pytest.mark.slow


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    source = tmp_path / "photos"
    (source / "more").mkdir(parents=True)
    dotted((400, 500), [(200, 240, 1.5, 10)]).save(source / "a.png")
    dotted((400, 500), [(200, 240, 1.5, 170)]).save(source / "more" / "b.jpg", quality=95)
    dotted((1000, 600), [(250, 300, 1.0, 0), (700, 300, 2.0, 5)]).save(source / "two.webp", lossless=True)
    dotted((400, 400), [(200, 200, 1.2, 0)]).save(source / "two~2.webp", lossless=True)
    Image.new("RGB", (90, 80), "green").save(source / "green.bmp")
    (source / "broken.jpg").write_text("no image")
    (source / "notes.txt").write_text("left out")
    return source


def run(source: Path, out: Path, **options: Any) -> Aligned:
    return align_folder(source, out, framer=Framer(Dots()), **options)


def table(out: Path) -> list[dict[str, str]]:
    with (out / "faces.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_faces_keep_the_names_of_their_pictures(photos: Path, tmp_path: Path) -> None:
    done = run(photos, tmp_path / "out")
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert names == ["a.png", "faces.csv", "faces.json", "more/b.jpg", "two.webp", "two~2.webp"]
    assert (done.tally.pictures, done.tally.files, done.tally.several) == (6, 4, 1)
    for name in ("a.png", "more/b.jpg", "two.webp"):
        with Image.open(tmp_path / "out" / name) as image:
            assert image.size == (178, 218)
    rows = {row["source"]: row for row in table(tmp_path / "out")}
    assert len(rows) == 6 and rows["green.bmp"]["reason"] == "no face was found." and rows["green.bmp"]["file"] == ""
    assert rows["broken.jpg"]["reason"].startswith("not a JPEG")
    assert float(rows["more/b.jpg"]["roll"]) == pytest.approx(170, abs=2)
    assert float(rows["a.png"]["eyes"]) == pytest.approx(57, abs=2) and rows["two.webp"]["faces"] == "2"
    # A label table of the photographs still fits.
    (photos / "labels.csv").write_text("file,Hat\na.png,1\nmore/b.jpg,0\n")
    assert (read_labels(photos / "labels.csv").match(["a.png", "more/b.jpg"]).rows >= 0).all()


def test_every_face_of_a_picture_or_none_of_it(photos: Path, tmp_path: Path) -> None:
    done = run(photos, tmp_path / "all", faces="all")
    assert done.tally.files == 5 and done.tally.several == 1
    assert [row["file"] for row in table(tmp_path / "all") if row["source"] == "two.webp"] == [
        "two.webp",
        "two~~2.webp",
    ]
    done = run(photos, tmp_path / "alone", faces="refuse")
    assert done.tally.reasons["two.webp"] == "2 faces were found."


def test_a_stopped_alignment_goes_on_and_comes_to_the_same(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(framing, "_CHUNK", 2)
    run(photos, tmp_path / "whole")

    class Killed(Exception):
        pass

    def killed(stage: str, done: int, total: int, remark: str = "") -> None:
        if done == 4:
            raise Killed

    with pytest.raises(Killed):
        run(photos, tmp_path / "out", progress=killed)
    assert (tmp_path / "out" / "journal.jsonl").exists() and not (tmp_path / "out" / "faces.csv").exists()
    (tmp_path / "out" / "a.png").write_bytes(b"torn")  # as after a loss of power: done again
    run(photos, tmp_path / "out")
    for path in (tmp_path / "whole").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "out" / path.relative_to(tmp_path / "whole")).read_bytes(), path.name
    assert not (tmp_path / "out" / "journal.jsonl").exists()
    again = run(photos, tmp_path / "out")
    assert again.repeated and again.tally.files == 4


def test_other_work_is_never_written_into(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "out")
    with pytest.raises(FolderError, match="another alignment"):
        run(photos, tmp_path / "out", faces="all")
    dotted((400, 400), [(200, 200, 1.2, 0)]).save(photos / "new.png")
    with pytest.raises(FolderError, match="another alignment"):
        run(photos, tmp_path / "out")
    with pytest.raises(FolderError, match="lies inside"):
        run(photos, photos / "aligned")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("mine")
    with pytest.raises(FolderError, match="already holds something else"):
        run(photos, tmp_path / "mine")
    changed = json.loads((tmp_path / "out" / "faces.json").read_text())
    changed["tally"]["files"] = 9
    (tmp_path / "out" / "faces.json").write_text(json.dumps(changed))
    with pytest.raises(FolderError, match=r"faces\.json is damaged"):
        run(photos, tmp_path / "out")


def test_no_face_at_all_is_an_error_that_says_why(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of 1 pictures gave a face \(no face was found"):
        run(photos / "green.bmp", tmp_path / "out")


def test_a_synthetic_picture_stays_marked(photos: Path, tmp_path: Path) -> None:
    import numpy as np

    pixels = np.asarray(dotted((400, 500), [(200, 240, 1.5, 0)])).transpose(2, 0, 1)
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn" / "x.png").write_bytes(encode_png(pixels, {"seed": 1}))
    run(tmp_path / "drawn", tmp_path / "out")
    with Image.open(tmp_path / "out" / "x.png") as image:
        image.load()
        assert b"trainedAlgorithmicMedia" in image.info["xmp"]
