"""The batch folder: written so that it can be killed at any moment, resumed, read back and proved.

::

    images/000000.png ...   the faces, numbered in the order they were accepted
    manifest.csv            a row a face: file, draw, seed, sha256, requested.*, condition.*, verifier.*; and request,
                            the request's name, where there are several
    spec.yaml               the resolved spec; `cfgan generate --spec spec.yaml` makes the same faces
    batch.json              what made it and what came out: bundle digest, versions, counts
    contact_sheet.png       the first faces at a glance
    checksums.sha256        sha256 of every other file, in the format of sha256sum
    contact_sheet.c2pa      in a signed copy alone, see signing.py; the one file that no checksum covers

While it is being made, ``journal.jsonl`` stands in for all but the images: a header, then a line a chunk, appended only
after the chunk's images are on the disk.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from cfgan.data.decode import load_rgb
from cfgan.errors import FolderError
from cfgan.io import journal
from cfgan.io.cells import CellWriter
from cfgan.io.files import (
    atomic_write,
    read_json_object,
    sha256_of,
    sync_folder,
    write_bytes,
    write_json,
    write_text,
)
from cfgan.io.png import encode_png, grid
from cfgan.io.resumable import ResumableFolder
from cfgan.io.yaml import dump_yaml

FORMAT = "cfgan-batch/1"
CHECKSUMS = "checksums.sha256"
SHEET = "contact_sheet.png"
SIDECAR = "contact_sheet.c2pa"
"""The signature over a whole folder. It signs the checksums, and so stands in none of them."""

_SHEET = 64  # faces on the contact sheet at most
_COLUMNS = 8
IMAGE = re.compile(r"\d{6,}\.png")
_WRITERS = 4  # images encoded and flushed at a time


@dataclass
class CellTally:
    """What has come out of one cell so far.

    Args:
        next_draw: the first draw that is not yet taken; also the number of draws taken.
        accepted: faces kept.
        passed: per gated attribute, draws in which the verifier saw the requested value.
        passed_kept: the same among the kept faces.
        rejected_for: per gated attribute, draws that failed on it (one draw may fail on several).
        only_for: per gated attribute, draws that failed on it alone.
        probability: per gated attribute, sum over the kept faces of the calibrated probability of the requested value.
    """

    next_draw: int = 0
    accepted: int = 0
    passed: dict[str, int] = field(default_factory=dict)
    passed_kept: dict[str, int] = field(default_factory=dict)
    rejected_for: dict[str, int] = field(default_factory=dict)
    only_for: dict[str, int] = field(default_factory=dict)
    probability: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Face:
    """One accepted face. ``file`` is relative to the batch folder; ``text`` goes into the image's metadata."""

    file: str
    draw: int
    seed: int
    pixels: npt.NDArray[np.uint8]
    text: Mapping[str, Any]
    condition: npt.NDArray[np.float32]
    verifier: npt.NDArray[np.float32]

    def png(self) -> bytes:
        """The image's file, which says what it is."""
        return encode_png(self.pixels, {**self.text, "seed": self.seed, "draw": self.draw})

    def row(self, png: bytes) -> dict[str, Any]:
        """What the manifest says of it."""
        return {
            "file": self.file,
            "draw": self.draw,
            "seed": self.seed,
            "sha256": hashlib.sha256(png).hexdigest(),
            "condition": np.round(self.condition.astype(float), 6).tolist(),
            "verifier": np.round(self.verifier.astype(float), 6).tolist(),
        }


class BatchWriter(ResumableFolder):
    """Creates or resumes a batch folder. Nothing is written before :meth:`begin`.

    Args:
        out: its folder; new, empty, or holding this same batch.
        header: what identifies the batch; a folder with another header is never written into.
        cells: number of cells.

    Raises:
        FolderError: the folder holds something else.
        StorageError: the disk refused.
    """

    def __init__(self, out: Path, header: Mapping[str, Any], cells: int) -> None:
        self.tallies = [CellTally() for _ in range(cells)]
        other = "another batch (other request, settings, bundle or engine)"
        super().__init__(out, {"format": FORMAT, **header}, other, "batch.json")

    def _take_finished(self) -> None:
        about = _read_batch_json(self.out)
        self._journal.require_same(about.get("header"))
        try:
            self.tallies = [CellTally(**cell["tally"]) for cell in about["cells"]]
        except (KeyError, TypeError) as error:
            raise FolderError(f"{self.out}/batch.json is damaged ({error}).", field="out", value=self.out) from None

    def begin(self) -> None:
        super().begin()
        self._pool = self._open.enter_context(ThreadPoolExecutor(_WRITERS))

    @property
    def accepted(self) -> int:
        """Faces in the folder."""
        return sum(tally.accepted for tally in self.tallies)

    def _replay(self, *, repair: bool) -> None:
        self.tallies = [CellTally() for _ in self.tallies]

        def take(entry: dict[str, Any]) -> None:
            self.tallies[entry["cell"]] = CellTally(**entry["tally"])

        self._journal.replay(take, (lambda entry: all(map(self._stands, entry["rows"]))) if repair else None)

    def _stands(self, row: Mapping[str, Any]) -> bool:
        try:
            return sha256_of(self.out / "images" / Path(row["file"]).name) == str(row["sha256"])
        except OSError:
            return False

    def add(self, cell: int, tally: CellTally, faces: Sequence[Face]) -> None:
        """Store a chunk: its images, flushed to the disk, then its journal line. Raises StorageError."""
        # Several at once: a flush waits for the disk, and neither it nor the compression holds the interpreter lock.
        rows = list(self._pool.map(self._write_image, faces))
        sync_folder(self.out / "images")
        self._journal.append({"cell": cell, "tally": tally.__dict__, "rows": rows})
        self.tallies[cell] = tally

    def _write_image(self, face: Face) -> dict[str, Any]:
        png = face.png()
        write_bytes(self.out / face.file, png)
        return face.row(png)

    def finish(
        self,
        names: Sequence[str],
        requests: Sequence[Mapping[str, float]],
        spec: Mapping[str, Any],
        about: Mapping[str, Any],
        cells: Sequence[Mapping[str, Any]],
    ) -> None:
        """Write everything but the images; the journal goes last, once the folder is complete. Raises StorageError."""
        write_text(self.out / "spec.yaml", dump_yaml(spec))
        tallied = [{**cell, "tally": tally.__dict__} for cell, tally in zip(cells, self.tallies, strict=True)]
        write_json(self.out / "batch.json", {"header": self.header, **about, "cells": tallied})
        self._remove_orphans()
        first: list[str] = []
        # Streamed, so that memory does not grow with the batch: the journal into manifest and checksums.
        with atomic_write(self.out / CHECKSUMS) as sums:
            titles = [str(cell["name"]) for cell in cells] if len(cells) > 1 else None
            for file, digest in self._write_manifest(names, requests, titles):
                sums.write(f"{digest}  {file}\n".encode())
                if len(first) < _SHEET:
                    first.append(file)
            self._write_sheet(first)
            for name in ("batch.json", SHEET, "manifest.csv", "spec.yaml"):
                if (self.out / name).exists():
                    sums.write(f"{sha256_of(self.out / name)}  {name}\n".encode())
        self._journal.remove()
        self.complete = True

    def _remove_orphans(self) -> None:
        """Remove images that were written but whose journal line was not, and that no later draw replaced."""
        for path in (self.out / "images").glob("*.png"):
            if IMAGE.fullmatch(path.name) and int(path.stem) >= self.accepted:
                path.unlink()

    def _write_manifest(
        self, names: Sequence[str], requests: Sequence[Mapping[str, float]], titles: Sequence[str] | None
    ) -> Iterator[tuple[str, str]]:
        with atomic_write(self.out / "manifest.csv") as handle, self._journal.path.open("rb") as lines:
            writer = CellWriter(Utf8(handle), paths=1)
            entries = (json.loads(line) for line in lines)
            rows = ((entry["cell"], row) for entry in entries for row in entry.get("rows", ()))
            for number, cells in enumerate(manifest_rows(rows, names, requests, titles)):
                writer.writerow(cells)
                if number:
                    yield cells[0], cells[3]

    def _write_sheet(self, files: Sequence[str]) -> None:
        if not files:
            return
        images = [np.asarray(load_rgb(self.out / name)).transpose(2, 0, 1) for name in files]
        text = {"bundle": self.header["bundle"], "made_from": "the first faces of this batch"}
        write_bytes(self.out / SHEET, encode_png(grid(np.stack(images), _COLUMNS), text))


def manifest_rows(
    rows: Iterable[tuple[int, Mapping[str, Any]]],
    names: Sequence[str],
    requests: Sequence[Mapping[str, float]],
    titles: Sequence[str] | None,
) -> Iterator[list[Any]]:
    """The cells of ``manifest.csv``, the header first.

    Args:
        rows: for each face the place of its request, and what :meth:`Face.row` says of it.
        names: the vocabulary.
        requests: of the cells.
        titles: of the cells, for a column that tells them apart; None for none.
    """
    requested = [name for name in names if any(name in request for request in requests)]
    yield (
        ["file", "draw", "seed", "sha256"]
        + [f"requested.{name}" for name in requested]
        + [f"condition.{name}" for name in names]
        + [f"verifier.{name}" for name in names]
        + (["request"] if titles else [])
    )
    for cell, row in rows:
        wanted = requests[cell]
        yield (
            [row["file"], row["draw"], row["seed"], row["sha256"]]
            + [f"{wanted[name]:g}" if name in wanted else "" for name in requested]
            + [f"{v:g}" for v in row["condition"]]
            + row["verifier"]
            + ([titles[cell]] if titles else [])
        )


class Utf8:
    """Lets the csv module, which writes text, write into a binary file."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle

    def write(self, text: str) -> int:
        return self._handle.write(text.encode("utf-8"))


def _read_batch_json(folder: Path) -> dict[str, Any]:
    try:
        return read_json_object(folder / "batch.json")
    except ValueError as error:
        raise FolderError(f"{folder} is damaged: {error}.", field="batch", value=folder) from None


def read_batch(folder: Path) -> dict[str, Any]:
    """``batch.json`` of a finished batch. Raises FolderError if the folder is none, unfinished or damaged."""
    if not folder.is_dir():
        raise FolderError(f"there is no folder {folder}.", field="batch", value=folder)
    if (folder / journal.NAME).exists():
        raise FolderError(f"{folder} is unfinished: run the command that made it again.", field="batch", value=folder)
    if not (folder / "batch.json").exists():
        raise FolderError(f"{folder} is not a batch folder: batch.json is missing.", field="batch", value=folder)
    about = _read_batch_json(folder)
    header = about.get("header")
    found = header.get("format") if isinstance(header, dict) else None
    if found != FORMAT:
        raise FolderError(f"{folder} has format {found!r}, not {FORMAT}.", field="batch", value=folder)
    if not isinstance(about.get("accepted"), int):
        raise FolderError(f"{folder}/batch.json is damaged.", field="batch", value=folder)
    return about
