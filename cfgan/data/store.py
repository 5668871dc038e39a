"""The packed store: all images of a data set as one memory-mapped uint8 array, with labels and checksums.

A store is a folder: ``images.npy`` (uint8, N x 3 x size x size), ``labels.npy`` (float32, N x A, NaN unknown),
``split.npy`` (uint8, N), ``files.txt`` and, written last, ``store.json`` with sizes, vocabulary, sha256 sums and a seal
over itself, which stores of older versions lack.
Packing the same images twice gives the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.decode import to_square
from cfgan.data.labelled_images import SPLITS, LabelledImages, check_image
from cfgan.data.left_out import LISTED
from cfgan.data.read.names import is_plain
from cfgan.errors import DataError, FolderError
from cfgan.io.files import (
    atomic_write,
    read_json_object,
    sha256_of,
    storage_errors,
    write_sealed,
    write_text,
)
from cfgan.io.progress import Progress, silent
from cfgan.io.reading import load_array, read_regular, reason
from cfgan.io.resumable import StateFolder
from cfgan.io.seal import is_sealed
from cfgan.io.signals import StopRequest

FORMAT = "cfgan-store/1"
FEW_VALIDATION = 20
"""Validation images of a value under which what a model makes of it cannot be proved."""
_CHUNK = 256  # images between two entries in the progress file
_SMALL = ("labels.npy", "split.npy", "files.txt")
_FILES = ("images.npy", *_SMALL)
_KINDS = (np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.uint8))  # of images, labels and split

_T = TypeVar("_T")


@dataclass(frozen=True)
class PackedDataset:
    """An opened store. ``images`` is memory-mapped and read-only; ``digest`` names images, labels and split; ``sealed``
    is whether sizes and attribute names are under a checksum too."""

    path: Path
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.float32]
    split: npt.NDArray[np.uint8]
    files: tuple[str, ...]
    vocabulary: Vocabulary
    digest: str
    sealed: bool = True

    @property
    def size(self) -> int:
        """Side of an image in pixels."""
        return int(self.images.shape[-1])

    def untaught(self) -> list[str]:
        """What a classifier cannot learn or prove here: one sentence each, none where all is well."""
        found = [] if len(self.rows("validation")) else ["there are no validation images: nothing is measured on them"]
        for split in ("train", "validation"):
            rows = self.rows(split)
            labels = self.labels[rows]
            names = [name for k, name in enumerate(self.vocabulary.names) if not np.isfinite(labels[:, k]).any()]
            names = names if len(rows) else []
            if names:
                more = f" and {len(names) - 5} more" if len(names) > 5 else ""
                found.append(f"not one {split} image has a known label of {', '.join(names[:5])}{more}")
        return found

    def hard_to_prove(self) -> list[str]:
        """A sentence on the attributes with few validation images of a value: nothing can be promised of those."""
        labels = self.labels[self.rows("validation")]
        few = {
            f"{sign}{name}": int(count)
            for k, name in enumerate(self.vocabulary.names)
            for sign, count in (("", (labels[:, k] > 0).sum()), ("-", (labels[:, k] < 0).sum()))
            if count < FEW_VALIDATION
        }
        if not few or not len(labels):
            return []
        shown = ", ".join(f"{value} ({count})" for value, count in list(few.items())[:LISTED])
        more = f" and {len(few) - LISTED} more" if len(few) > LISTED else ""
        return [
            f"under {FEW_VALIDATION} validation images show {shown}{more}: nothing can be promised of faces with it"
        ]

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Row numbers of a split ("train", "validation" or "test"), ascending."""
        return np.flatnonzero(self.split == SPLITS[split])

    def some_rows(self, split: str, count: int, seed: int = 0) -> npt.NDArray[np.int64]:
        """The same, or ``count`` of them drawn by ``seed``, because a table's first rows may all be of one kind."""
        rows = self.rows(split)
        return rows if count >= len(rows) else np.sort(np.random.default_rng([seed, 0]).permutation(rows)[:count])


def open_store(path: Path, *, verify: bool = False) -> PackedDataset:
    """Open a packed store. Labels, split and file names are compared with their checksums each time.

    Args:
        path: its folder.
        verify: also recompute the sha256 of the images.

    Raises:
        DataError: not a store, unfinished, of another format, or not as its checksums say.
    """
    if not (path / "store.json").exists():
        unfinished = (path / "progress.json").exists()
        what = "is an unfinished store: run `cfgan data pack` again" if unfinished else "is not a packed store"
        raise DataError(f"{path} {what}.", field="data", value=path)
    try:
        about = read_json_object(path / "store.json")
        if about.get("format") != FORMAT:
            raise DataError(f"{path} has format {about.get('format')!r}, not {FORMAT}.", field="data", value=path)
        n, size, sums = int(about["count"]), int(about["size"]), {name: str(about["sha256"][name]) for name in _FILES}
        vocabulary = Vocabulary.from_dict(about["vocabulary"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged: store.json does not validate ({error}).", field="data") from None
    try:
        for name in _FILES if verify else _SMALL:
            if sha256_of(path / name) != sums[name]:
                raise DataError(f"{path}/{name} is not as its checksum says.", field="data", value=path)
        images = load_array(path / "images.npy", mapped=True)
        labels, split = (load_array(path / name) for name in ("labels.npy", "split.npy"))
        files = tuple(_lines(path / "files.txt"))
    except OSError as error:
        raise DataError(f"{path} is damaged: {reason(error)}.", field="data", value=path) from None
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}.", field="data", value=path) from None
    digest = hashlib.sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()
    shapes = (images.shape, labels.shape, split.shape, len(files))
    kinds = (images.dtype, labels.dtype, split.dtype)
    if shapes != ((n, 3, size, size), (n, len(vocabulary)), (n,), n) or kinds != _KINDS:
        raise DataError(f"{path} is damaged: its arrays are not as store.json says.", field="data", value=path)
    return PackedDataset(path, images, labels, split, files, vocabulary, digest, is_sealed(about))


def pack(
    table: LabelledImages,
    out: Path,
    size: int,
    *,
    skip_bad: bool = False,
    workers: int = 2,
    progress: Progress | None = None,
) -> tuple[PackedDataset, list[str]]:
    """Check every image of a table, then pack them into a store at ``out``. An interrupted run resumes, a finished
    one is not made again.

    Args:
        table: files, labels, split.
        out: the store's folder; must be new, or hold this same packing.
        size: side of the packed images in pixels.
        skip_bad: leave bad images out and list them in ``skipped.txt`` instead of failing.
        workers: decoding threads (Pillow decodes outside the interpreter lock).
        progress: called while it lasts.

    Returns:
        The opened store and one line for each image left out.

    Raises:
        DataError: images are bad and ``skip_bad`` is false; nothing was written.
        FolderError: ``out`` holds something else.
        StoppedError: a stop was asked for; run again to resume.
    """
    _require_names(table.files)
    if not 8 <= size <= 1024:
        raise DataError("the side must be between 8 and 1024 pixels.", field="size", value=size)
    progress = progress or silent
    job = {"format": FORMAT, "size": size, "table": _digest(table)}
    folder = StateFolder(out, job, "the packing of other images", "store.json")
    if folder.complete:
        return _packed_already(table, out, size)
    state = _state_of(folder)
    with StopRequest() as stop, ThreadPoolExecutor(workers) as pool, contextlib.ExitStack() as held:
        if state is None:
            found = {} if table.sound else _check(table, pool, stop, progress)
            bad = list(found.values())
            if bad and not skip_bad:
                shown = "\n  ".join(bad[:10]) + (f"\n  and {len(bad) - 10} more" if len(bad) > 10 else "")
                raise DataError(f"{len(bad)} of {len(table.files)} images cannot be used:\n  {shown}", field="data")
            state = {"bad": bad, "bad_rows": list(found), "done": 0}
        keep = np.ones(len(table.files), dtype=np.bool_)
        keep[state["bad_rows"]] = False
        table = table.select(keep)
        if not table.files:
            raise DataError("no usable image is left.", field="data")
        held.enter_context(folder.locked())
        # Another process may have worked here while this one was checking: what stands there now counts.
        if folder.complete:
            raise FolderError(f"{out} is a finished store already; choose another --out.", field="out", value=out)
        state = _state_of(folder) or state
        folder.save(**state)
        _write_images(table, folder, size, state, pool, stop, progress)
        _finish(table, out, size, state["bad"])
        folder.finish()
    return open_store(out), state["bad"]


def why_skipped(table: LabelledImages, store: PackedDataset, lines: Sequence[str]) -> dict[str, str]:
    """File -> what is wrong with it, of the images of a table that :func:`pack` left out, from the lines it gave."""
    there = set(store.files)
    lost = (name for name in table.files if name not in there)
    return {name: line.removeprefix(f"{name}: ") for name, line in zip(lost, lines, strict=True)}


def _state_of(folder: StateFolder) -> dict[str, Any] | None:
    """How far a stopped packing is: ``bad``, lines on images left out, ``bad_rows``, their rows, ``done``, how many
    images are packed."""
    state = folder.progress
    if state is None:
        return None
    kinds = {"bad": list, "bad_rows": list, "done": int}
    if not all(isinstance(state.get(key), kind) for key, kind in kinds.items()):
        raise FolderError(f"{folder.out} is damaged; choose another --out.", field="out", value=folder.out)
    return {key: state[key] for key in kinds}


def _require_names(files: Sequence[str]) -> None:
    """Raise DataError for a name with a line end or the like in it, which no list of names can hold."""
    for file in files:
        if not is_plain(file):
            said = f"the file name {ascii(file)[:80]} has a control character in it; rename the file."
            raise DataError(said, field="data", value=ascii(file))


def _lines(path: Path) -> list[str]:
    """The lines of one of our files; names may hold what Python takes for a line end besides. Raises OSError."""
    return read_regular(path).decode("utf-8").split("\n")[:-1]


def _packed_already(table: LabelledImages, out: Path, size: int) -> tuple[PackedDataset, list[str]]:
    """What :func:`pack` returns of a store that it finished. Raises FolderError if that is of other images."""
    store = open_store(out, verify=True)
    kept = table.select(np.isin(np.asarray(table.files), np.asarray(store.files)))
    same = kept.files == store.files and kept.vocabulary == store.vocabulary and store.size == size
    same = (
        same and np.array_equal(kept.labels, store.labels, equal_nan=True) and np.array_equal(kept.split, store.split)
    )
    path = out / "skipped.txt"
    bad = _lines(path) if path.exists() else []
    about = read_json_object(out / "store.json")
    if (
        not same
        or len(table.files) != len(store.files) + len(bad)
        or about.get("crop") != (list(table.crop) if table.crop else None)
        or about.get("framing", "") != table.framing
    ):
        raise FolderError(f"{out} is a finished store of other images; choose another --out.", field="out", value=out)
    return store, bad


def _digest(table: LabelledImages) -> str:
    """Names the images and labels of a packing, so that another one never goes on in its folder."""
    # Stores that were begun before faces could be aligned go on.
    how = [table.crop, table.framing] if table.framing else [table.crop]
    digest = hashlib.sha256(json.dumps([table.files, table.vocabulary.to_dict(), *how]).encode())
    digest.update(table.labels.tobytes() + table.split.tobytes())
    return digest.hexdigest()


def _bounded(pool: ThreadPoolExecutor, work: Callable[[int], _T], rows: Iterable[int], ahead: int) -> Iterable[_T]:
    """``map`` over a pool that keeps at most ``ahead`` results waiting, in order."""
    pending = iter(rows)
    futures = [pool.submit(work, row) for row in islice(pending, ahead)]
    while futures:
        yield futures.pop(0).result()
        futures += [pool.submit(work, row) for row in islice(pending, 1)]


def _check(table: LabelledImages, pool: ThreadPoolExecutor, stop: StopRequest, progress: Progress) -> dict[int, str]:
    """Row -> what is wrong with its image."""
    bad: dict[int, str] = {}
    total = len(table.files)
    for done, problem in enumerate(_bounded(pool, lambda row: check_image(table, row), range(total), 512), start=1):
        stop.raise_if_asked("nothing was written yet")
        if problem:
            bad[done - 1] = problem
        if done % 64 == 0 or done == total:
            progress("checking", done, total)
    return bad


def _write_images(
    table: LabelledImages,
    folder: StateFolder,
    size: int,
    state: dict[str, Any],
    pool: ThreadPoolExecutor,
    stop: StopRequest,
    progress: Progress,
) -> None:
    total, path = len(table.files), folder.out / "images.npy"
    with storage_errors(path):
        mode = "r+" if state["done"] and path.exists() else "w+"
        if mode == "w+":
            state["done"] = 0
        images = np.lib.format.open_memmap(path, mode=mode, dtype=np.uint8, shape=(total, 3, size, size))
        if mode == "w+" and hasattr(os, "posix_fallocate"):
            # A write into a hole of a mapped file on a full disk would kill the process: take the space now.
            with path.open("r+b") as handle:
                os.posix_fallocate(handle.fileno(), 0, path.stat().st_size)

    def one(row: int) -> npt.NDArray[np.uint8]:
        return to_square(table.open(row), size, table.crop)

    for row, pixels in enumerate(_bounded(pool, one, range(state["done"], total), 512), start=state["done"]):
        with storage_errors(path):
            images[row] = pixels
        if (row + 1) % _CHUNK == 0 or row + 1 == total:
            with storage_errors(path):
                images.flush()
            folder.save(**{**state, "done": row + 1})
            progress("packing", row + 1, total)
            stop.raise_if_asked("run the same command again to go on")
    del images


def _finish(table: LabelledImages, out: Path, size: int, bad: list[str]) -> None:
    with atomic_write(out / "labels.npy") as handle:
        np.save(handle, table.labels.astype(np.float32), allow_pickle=False)
    with atomic_write(out / "split.npy") as handle:
        np.save(handle, table.split.astype(np.uint8), allow_pickle=False)
    write_text(out / "files.txt", "".join(f"{name}\n" for name in table.files))
    if bad:
        write_text(out / "skipped.txt", "".join(f"{line}\n" for line in bad))
    about = {
        "format": FORMAT,
        "count": len(table.files),
        "size": size,
        "crop": list(table.crop) if table.crop else None,
        **({"framing": table.framing} if table.framing else {}),
        "vocabulary": table.vocabulary.to_dict(),
        "sha256": {name: sha256_of(out / name) for name in _FILES},
    }
    write_sealed(out / "store.json", about)
