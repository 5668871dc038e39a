from __future__ import annotations

import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cfgan.errors import DataError, StoppedError
from cfgan.io.files import read_json_object, sha256_of, write_json, write_sealed
from cfgan.io.reading import library_errors, load_array, load_arrays, load_tensors, open_regular, read_regular


def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    begun = time.monotonic()
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        for read in (read_regular, sha256_of):
            with pytest.raises(OSError, match="a pipe or a device"):
                read(path)
        for load in (load_array, load_arrays, load_tensors, read_json_object):
            with pytest.raises(ValueError, match="a pipe or a device"):
                load(path)
    with pytest.raises(OSError, match="a folder"):
        open_regular(tmp_path)
    assert time.monotonic() - begun < 5


def test_sizes_are_limited(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as handle:
        handle.truncate(1 << 40)  # a hole: no disk is used
    with pytest.raises(OSError, match="larger than"):
        read_regular(tmp_path / "a")
    with pytest.raises(ValueError, match="larger than"):
        read_json_object(tmp_path / "a")


@pytest.mark.parametrize("error", [AssertionError(), EOFError(), RuntimeError("x" * 9000), AttributeError("None.y")])
def test_whatever_a_library_raises_becomes_a_short_error_that_names_the_file(error: Exception) -> None:
    with pytest.raises(DataError, match="a.png") as caught, library_errors(Path("a.png"), DataError):
        raise error
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("error", [StoppedError("stop"), KeyboardInterrupt(), MemoryError()])
def test_stops_and_errors_of_the_project_pass(error: BaseException) -> None:
    with pytest.raises(type(error)), library_errors(Path("a.png"), DataError):
        raise error


def test_nothing_but_an_array_is_an_array(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(3))
    np.testing.assert_array_equal(load_array(path, mapped=True), np.arange(3))
    whole = path.read_bytes()
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("a.npy", whole)
    huge = whole.replace(b"(3,), }" + b" " * 12, b"(9999999999999,), }")
    assert len(huge) == len(whole) and huge != whole
    for data in (b"", whole[:9], (tmp_path / "z").read_bytes(), b"\x80\x04N.", huge):
        path.write_bytes(data)
        for mapped in (False, True):
            with pytest.raises(ValueError, match=r"a\.npy"):
                load_array(path, mapped=mapped)
        with pytest.raises(ValueError, match=r"a\.npy"):
            load_tensors(path)


def test_an_archive_that_would_fill_the_memory_is_not_unpacked(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(1 << 20))
    assert load_arrays(tmp_path / "a.npz")["a"].shape == (1 << 20,)
    with pytest.raises(ValueError, match="larger than"):
        load_arrays(tmp_path / "a.npz", 1 << 20)


def test_a_sealed_object_shows_every_change(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_sealed(path, {"images": 48, "names": ["a", "é"], "rate": 0.1})
    assert read_json_object(path)["images"] == 48
    text = path.read_text(encoding="utf-8")
    for old, new in (("48", "49"), ('"a"', '"b"'), ("0.1", "0.10000001"), ("names", "named")):
        path.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(ValueError, match=r"a\.json: it was changed"):
            read_json_object(path)
    write_json(path, {"images": 48})  # as older versions wrote it
    assert read_json_object(path) == {"images": 48}
