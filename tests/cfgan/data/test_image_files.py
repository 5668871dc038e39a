from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from cfgan.data import image_files
from cfgan.data.image_files import find_images, listed_counts
from cfgan.errors import FolderError, InputError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def batch(folder: Path, *names: str) -> Path:
    touch(folder, *(f"images/{name}" for name in names), "contact_sheet.png")
    rows = "".join(f"images/{name},0,1,x\n" for name in names)
    (folder / "manifest.csv").write_text("file,draw,seed,sha256,requested.Red\n" + rows)
    return folder


def test_a_folder_in_order_with_what_was_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "b.PNG", "a.jpg", "sub/deep/c.webp", "sub/d.bmp", "notes.txt", "x.gif", "._a.jpg", "README")
    found = find_images([tmp_path])
    assert [file.name for file in found.files] == ["a.jpg", "b.PNG", "sub/d.bmp", "sub/deep/c.webp"]
    assert all(file.path.is_file() and file.problem is None for file in found.files)
    assert found.ignored == {".txt": 1, ".gif": 1, "hidden": 1, "": 1}
    flat = find_images([tmp_path], recursive=False)
    assert [file.name for file in flat.files] == ["a.jpg", "b.PNG"] and flat.ignored["subfolder"] == 1
    assert listed_counts(Counter({".txt": 3000, "": 2, "hidden": 1}), 2) == "3,000 .txt, 2 without a suffix, 1 others"


def test_several_paths_are_named_as_given_and_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "one/a.png", "two/a.png", "list.dat")
    monkeypatch.chdir(tmp_path)
    found = find_images(["one", "two/a.png", "one/a.png", "./one", "list.dat"])
    assert [file.name for file in found.files] == ["one/a.png", "two/a.png", "list.dat"]  # a named file is always tried
    assert found.repeated == 2
    assert [file.name for file in find_images(["two/a.png"]).files] == ["two/a.png"]
    assert [file.name for file in find_images(["."]).files] == ["one/a.png", "two/a.png"]


def test_links_lead_into_no_loop_and_not_outside(tmp_path: Path) -> None:
    folder = touch(tmp_path / "in", "a.png")
    touch(tmp_path / "out", "secret.png")
    (folder / "again").symlink_to(folder, target_is_directory=True)
    (folder / "out").symlink_to(tmp_path / "out", target_is_directory=True)
    (folder / "b.png").symlink_to("a.png")
    (folder / "broken.png").symlink_to("nowhere.png")
    (folder / "self.png").symlink_to("self.png")
    found = find_images([folder])
    assert [file.name for file in found.files] == ["a.png", "b.png", "broken.png", "self.png"]
    assert found.ignored == {"link to a folder": 2}
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    assert len(find_images([tmp_path / "link"]).files) == 4  # a link that is given itself is followed
    assert find_images([folder, tmp_path / "link"]).repeated == 4


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.png")
    for given in (tmp_path, tmp_path / "p.png"):
        (file,) = find_images([given]).files
        assert file.problem == "not a regular file."


def test_a_batch_is_read_in_the_order_of_its_manifest(tmp_path: Path) -> None:
    touch(tmp_path, "all/loose.png")
    folder = batch(tmp_path / "all" / "b", "000001.png", "000000.png")
    touch(folder, "images/extra.png", "images/notes.txt")
    (folder / "images" / "000001.png").unlink()
    found = find_images([folder])
    assert [(file.name, file.problem) for file in found.files] == [
        ("images/000001.png", "the file is missing."),
        ("images/000000.png", None),
    ]
    assert found.ignored == {"not in manifest.csv": 1}
    above = [file.name for file in find_images([tmp_path / "all"]).files]
    assert above == ["loose.png", "b/images/000001.png", "b/images/000000.png"]  # and no contact sheet


def test_somebody_else_s_manifest_makes_no_batch(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "cover.png")
    for text in (b"path,label\nx,1\n", b"\xff\xfe\x00", b""):
        (tmp_path / "manifest.csv").write_bytes(text)
        assert [file.name for file in find_images([tmp_path]).files] == ["cover.png", "images/a.png"]


@pytest.mark.parametrize("name", ["images/../../etc/passwd", "/etc/passwd", "images/", "", "other/a.png"])
def test_a_manifest_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    folder = batch(tmp_path / "b", "a.png")
    with (folder / "manifest.csv").open("a") as handle:
        handle.write(f"{name},0,1,x\n")
    with pytest.raises(FolderError, match="line 3 names no image"):
        find_images([folder])


def test_wrong_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "faces/a.png", "docs/a.txt", "docs/.b.png")
    with pytest.raises(InputError, match="Did you mean faces"):
        find_images([tmp_path / "face"])
    with pytest.raises(InputError, match=r"no image in .*; 1 hidden, 1 .txt left out"):
        find_images([tmp_path / "docs"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there is no image in"):
        find_images([tmp_path / "empty"])
    with pytest.raises(InputError, match="not a usable path"):
        find_images(["x" * 300])

    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(image_files.os, "scandir", refuse)
    with pytest.raises(InputError, match="cannot be read"):
        find_images([tmp_path / "faces"])


def test_a_subfolder_that_cannot_be_read_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.png", "closed/b.png")
    scandir = os.scandir

    def refuse(folder: Path) -> object:
        if Path(folder).name == "closed":
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(image_files.os, "scandir", refuse)
    found = find_images([tmp_path]).files
    assert [file.name for file in found] == ["a.png", "closed/"]
    assert found[1].problem == "the folder cannot be read (Permission denied)."


def test_names_that_are_no_text_can_be_written(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "b") + b"\xff.png"
    try:
        with open(path, "wb"):  # noqa: PTH123 - bytes
            pass
    except OSError:
        pytest.skip("this file system takes no such name")
    (file,) = find_images([tmp_path]).files
    assert file.name == "b\\xff.png" and file.path.exists()
