from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cfgan.errors import FolderError, StorageError
from cfgan.io.files import atomic_write, is_safe_name, make_folder, write_text


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_write(path) as handle:
        handle.write(b"half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("code", "says"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only")])
def test_the_disk_s_refusal_is_one_sentence(
    code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match=says):
        write_text(tmp_path / "a.txt", "x")
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with pytest.raises(FolderError, match="is a file"):
        make_folder(tmp_path / "f")
    with pytest.raises(FolderError, match="is a file"):
        make_folder(tmp_path / "f" / "g")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", "a\0", ".hidden", "nul", "COM1.png", "a" * 200, "x..y"])
def test_unsafe_names(name: str) -> None:
    assert not is_safe_name(name)


def test_safe_names() -> None:
    assert is_safe_name("000001.jpg") and is_safe_name("Smiling+Eyeglasses.yaml")
