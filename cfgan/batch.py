"""The batch folder: written so that it can be killed at any moment, resumed, read back and proved.

::

    images/000000.png ...   the faces, numbered in the order they were accepted
    manifest.csv            a row a face: file, draw, seed, sha256, requested.*, condition.*, verifier.*
    spec.yaml               the resolved spec; `cfgan generate --spec spec.yaml` makes the same faces
    batch.json              what made it and what came out: bundle digest, versions, counts
    contact_sheet.png       the first faces at a glance
    checksums.sha256        sha256 of every other file, in the format of sha256sum

While it is being made, ``journal.jsonl`` stands in for all but the images: a header, then a line a chunk, appended only
after the chunk's images are on the disk.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import FolderError
from cfgan.files import (
    atomic_write,
    make_folder,
    remove_partials,
    storage_errors,
    sync_folder,
    write_bytes,
    write_json,
    write_text,
)
from cfgan.images_out import encode_png, grid
from cfgan.yaml_files import dump_yaml

FORMAT = "cfgan-batch/1"
JOURNAL = "journal.jsonl"
CHECKSUMS = "checksums.sha256"
_SHEET = 64  # faces on the contact sheet at most
_COLUMNS = 8
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
    """

    next_draw: int = 0
    accepted: int = 0
    passed: dict[str, int] = field(default_factory=dict)
    passed_kept: dict[str, int] = field(default_factory=dict)
    rejected_for: dict[str, int] = field(default_factory=dict)
    only_for: dict[str, int] = field(default_factory=dict)


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


class BatchWriter:
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
        self.out = out
        self.header = json.loads(json.dumps({"format": FORMAT, **header}))
        self.tallies = [CellTally() for _ in range(cells)]
        self.complete = False
        self._pool = ThreadPoolExecutor(_WRITERS)
        journal = out / JOURNAL
        if journal.exists():
            self._resume(journal)
        elif (out / "batch.json").exists():
            self._require_same(_read_json(out / "batch.json").get("header"))
            self.tallies = [CellTally(**cell["tally"]) for cell in _read_json(out / "batch.json")["cells"]]
            self.complete = True
            return
        elif out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise FolderError(f"{out} already holds something else.", field="out", value=out)

    def begin(self) -> None:
        """Make the folder and its journal, unless they are there. Raises StorageError."""
        make_folder(self.out / "images")
        if not (self.out / JOURNAL).exists():
            write_text(self.out / JOURNAL, json.dumps({"header": self.header}) + "\n")

    @property
    def accepted(self) -> int:
        """Faces in the folder."""
        return sum(tally.accepted for tally in self.tallies)

    def _require_same(self, header: Any) -> None:
        if header != self.header:
            raise FolderError(
                f"{self.out} holds another batch (other request, settings or bundle); choose another --out.",
                field="out",
                value=self.out,
            )

    def _resume(self, journal: Path) -> None:
        """Take up an unfinished batch: everything up to the last whole journal line stands."""
        data = journal.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        lines = _json_lines(whole)
        first = next(lines, None)
        self._require_same(first.get("header") if first else None)
        for entry in lines:
            self.tallies[entry["cell"]] = CellTally(**entry["tally"])
        if len(whole) != len(data):
            write_bytes(journal, whole)
        if (self.out / "images").is_dir():
            remove_partials(self.out / "images")

    def add(self, cell: int, tally: CellTally, faces: Sequence[Face]) -> None:
        """Store a chunk: its images, flushed to the disk, then its journal line. Raises StorageError."""
        # Several at once: a flush waits for the disk, and neither it nor the compression holds the interpreter lock.
        rows = list(self._pool.map(self._write_image, faces))
        sync_folder(self.out / "images")
        line = json.dumps({"cell": cell, "tally": tally.__dict__, "rows": rows}) + "\n"
        with storage_errors(self.out / JOURNAL), (self.out / JOURNAL).open("ab") as handle:
            handle.write(line.encode())
            handle.flush()
            os.fsync(handle.fileno())
        self.tallies[cell] = tally

    def _write_image(self, face: Face) -> dict[str, Any]:
        png = encode_png(face.pixels, {**face.text, "seed": face.seed, "draw": face.draw})
        write_bytes(self.out / face.file, png)
        return {
            "file": face.file,
            "draw": face.draw,
            "seed": face.seed,
            "sha256": hashlib.sha256(png).hexdigest(),
            "condition": np.round(face.condition.astype(float), 6).tolist(),
            "verifier": np.round(face.verifier.astype(float), 6).tolist(),
        }

    def close(self) -> None:
        """Let go of the threads that write."""
        self._pool.shutdown()

    def finish(
        self,
        names: Sequence[str],
        requests: Sequence[Mapping[str, float]],
        spec: Mapping[str, Any],
        about: Mapping[str, Any],
        cells: Sequence[Mapping[str, Any]],
    ) -> None:
        """Write everything but the images; the journal goes last, once the folder is complete. Raises StorageError."""
        sums = dict(self._write_manifest(names, requests))
        write_text(self.out / "spec.yaml", dump_yaml(spec))
        tallied = [{**cell, "tally": tally.__dict__} for cell, tally in zip(cells, self.tallies, strict=True)]
        write_json(self.out / "batch.json", {"header": self.header, **about, "cells": tallied})
        self._write_sheet(list(sums)[:_SHEET])
        for name in ("manifest.csv", "spec.yaml", "batch.json", "contact_sheet.png"):
            if (self.out / name).exists():
                sums[name] = hashlib.sha256((self.out / name).read_bytes()).hexdigest()
        write_text(self.out / CHECKSUMS, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))
        with contextlib.suppress(OSError):
            (self.out / JOURNAL).unlink()
        self.complete = True

    def _write_manifest(
        self, names: Sequence[str], requests: Sequence[Mapping[str, float]]
    ) -> Iterator[tuple[str, str]]:
        """Stream the journal into ``manifest.csv``, so that memory does not grow with the batch."""
        requested = [name for name in names if any(name in request for request in requests)]
        with atomic_write(self.out / "manifest.csv") as handle:
            writer = csv.writer(_Utf8(handle), lineterminator="\n")
            writer.writerow(
                ["file", "draw", "seed", "sha256"]
                + [f"requested.{name}" for name in requested]
                + [f"condition.{name}" for name in names]
                + [f"verifier.{name}" for name in names]
            )
            for entry in _json_lines((self.out / JOURNAL).open("rb")):
                for row in entry.get("rows", ()):
                    wanted = requests[entry["cell"]]
                    writer.writerow(
                        [row["file"], row["draw"], row["seed"], row["sha256"]]
                        + [f"{wanted[name]:g}" if name in wanted else "" for name in requested]
                        + [f"{v:g}" for v in row["condition"]]
                        + row["verifier"]
                    )
                    yield row["file"], row["sha256"]

    def _write_sheet(self, files: Sequence[str]) -> None:
        from PIL import Image

        if not files:
            return
        images = []
        for name in files:
            with Image.open(self.out / name, formats=("PNG",)) as image:
                images.append(np.asarray(image.convert("RGB")).transpose(2, 0, 1))
        text = {"bundle": self.header["bundle"], "made_from": "the first faces of this batch"}
        write_bytes(self.out / "contact_sheet.png", encode_png(grid(np.stack(images), _COLUMNS), text))


class _Utf8:
    """Lets the csv module, which writes text, write into a binary file."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle

    def write(self, text: str) -> int:
        return self._handle.write(text.encode("utf-8"))


def _json_lines(source: Any) -> Iterator[dict[str, Any]]:
    lines = source.splitlines() if isinstance(source, bytes) else source
    with contextlib.closing(source) if hasattr(source, "close") else contextlib.nullcontext():
        for line in lines:
            value = json.loads(line)
            if isinstance(value, dict):
                yield value


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FolderError(f"{path} cannot be read ({error}).", field="out", value=path) from None
    if not isinstance(value, dict):
        raise FolderError(f"{path} is no batch description.", field="out", value=path)
    return value
