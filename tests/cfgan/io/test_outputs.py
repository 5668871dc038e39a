from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cfgan.errors import InputError
from cfgan.io.folders import starts_with
from cfgan.io.outputs import OutputFile

FOLDERS = {
    "bundle": ("manifest.json", "config.json"),
    "store": ("store.json",),
    "unfinished store": ("progress.json", "images.npy"),
    "batch": ("batch.json",),
    "unfinished batch": ("journal.jsonl",),
    "test set": ("manifest.json", "protocol.json"),
    "run": ("model.json",),
}


def ours(path: Path) -> bool:
    return starts_with(path, b"ours")


def test_only_what_this_program_wrote_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "new" / "t.csv"
    OutputFile(out, ours, force=False).write(b"ours 1")
    OutputFile(out, ours, force=False).write(b"ours 2")
    out.write_bytes(b"theirs")
    with pytest.raises(InputError, match="--force") as caught:
        OutputFile(out, ours, force=False)
    assert caught.value.field == "--out" and caught.value.value == out and out.read_bytes() == b"theirs"
    OutputFile(out, ours, force=True).write(b"ours 3")
    assert out.read_bytes() == b"ours 3"


def test_what_comes_to_stand_there_meanwhile_stays(tmp_path: Path) -> None:
    target = OutputFile(tmp_path / "t.csv", ours, force=False)
    (tmp_path / "t.csv").write_bytes(b"theirs")
    with pytest.raises(InputError, match="--force"):
        target.write(b"ours")
    assert (tmp_path / "t.csv").read_bytes() == b"theirs" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("kind", FOLDERS)
@pytest.mark.parametrize("inner", ["t.csv", "deep/down/t.csv", FOLDERS["bundle"][1]])
def test_nothing_is_written_into_a_folder_of_ours(kind: str, inner: str, tmp_path: Path) -> None:
    for name in FOLDERS[kind]:
        (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match="lies inside"):
        OutputFile(tmp_path / inner, ours, force=True)


def test_a_run_is_known_by_its_configuration_and_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("kind: gan\n")
    with pytest.raises(InputError, match="a run"):
        OutputFile(tmp_path / "t.csv", ours, force=False)
    (tmp_path / "other").mkdir()
    (tmp_path / "config.yaml").rename(tmp_path / "other" / "config.yaml")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    with pytest.raises(InputError, match="a run"):
        OutputFile(tmp_path / "link" / "t.csv", ours, force=False)
    OutputFile(tmp_path / "t.csv", ours, force=False)


def test_pipes_devices_folders_and_dangling_links(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path, says in ((tmp_path / "pipe", "a pipe"), (Path("/dev/null"), "a pipe"), (tmp_path, "is a folder")):
        with pytest.raises(InputError, match=says):
            OutputFile(path, ours, force=True)
    with pytest.raises(InputError, match="there already"):
        OutputFile(tmp_path / "link", ours, force=False)


def test_what_a_killed_write_left_goes_with_the_next_one(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    stale = tmp_path / f"t.csv.{killed.stdout.strip()}.partial"
    alive, other = tmp_path / f"t.csv.{os.getppid()}.partial", tmp_path / f"my-{stale.name}"
    for path in (stale, alive, other):
        path.touch()
    OutputFile(tmp_path / "t.csv", force=False).write(b"x")
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", alive.name, other.name}
