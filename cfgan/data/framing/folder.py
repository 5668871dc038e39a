"""A folder of photographs to a folder of faces in CelebA's frame, with a table of what was found.

::

    a.jpg, more/b.png ...   the faces, under the names of the pictures, so that label tables still fit
    faces.csv               a row a face, and a row a picture that gave none, with the reason
    faces.json              what made it and what came out; written last

Faces after the first of a picture are ``a~2.jpg`` and so on. While it is being made, ``journal.jsonl`` stands in for
``faces.csv`` and ``faces.json``.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cfgan.data.decode import see_picture
from cfgan.data.framing.faces import Face, Framer, check_faces, pick, sharpness
from cfgan.data.image_files import SUFFIXES, ImageFile, find_images, shown_name
from cfgan.errors import DataError, FolderError
from cfgan.io.cells import CellWriter
from cfgan.io.files import (
    atomic_write,
    make_folder,
    read_json_object,
    real_path,
    sha256_of,
    sync_folder,
    write_bytes,
    write_sealed,
)
from cfgan.io.folders import refuse_inside
from cfgan.io.progress import Progress, silent
from cfgan.io.resumable import ResumableFolder
from cfgan.io.signals import StopRequest

FORMAT = "cfgan-faces/1"
TABLE, ABOUT = "faces.csv", "faces.json"

TITLES = (
    *("file", "source", "reason", "faces", "left", "top", "right", "bottom"),
    *(f"{point}_{axis}" for point in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth") for axis in "xy"),
    *("roll", "eyes", "outside", "sharpness"),
)
"""Columns of the table: the image written, the picture it is from, why there is none, how many faces the picture shows,
box and points in pixels of the picture as a person sees it (left as seen), degrees turned clockwise, pixels between the
eyes, share of the frame beyond the picture, and :func:`cfgan.data.framing.faces.sharpness`."""

_CHUNK = 16  # pictures between two entries of the journal
_QUALITY = 95
_MARK = b"DigitalSourceType"  # an XMP packet that says how an image was made goes along


@dataclass
class Tally:
    """What has come of an alignment so far.

    Args:
        pictures: that were looked at.
        files: faces written.
        several: pictures that show more than one face.
        reasons: picture -> why it gave no face.
    """

    pictures: int = 0
    files: int = 0
    several: int = 0
    reasons: dict[str, str] = field(default_factory=dict)

    def take(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Count the rows of some pictures."""
        for row in rows:
            if row["reason"]:
                self.reasons[row["source"]] = row["reason"]
            else:
                self.files += 1
            self.pictures += row["first"]
            self.several += row["first"] and row["faces"] > 1


@dataclass(frozen=True)
class Aligned:
    """What came of an alignment; ``ignored``: other files of the folder, by suffix; ``repeated``: whether it was
    finished before."""

    out: Path
    tally: Tally
    ignored: Counter[str]
    repeated: bool


def align_folder(
    source: Path,
    out: Path,
    *,
    faces: str = "largest",
    framer: Framer | None = None,
    workers: int = 2,
    recursive: bool = True,
    progress: Progress | None = None,
) -> Aligned:
    """Find the faces of all pictures below a folder and write each in CelebA's frame, 178 x 218 pixels.

    Memory does not grow with the pictures. An interrupted run goes on, a finished one is not made again.

    Args:
        source: a folder of pictures, or one picture.
        out: the folder to write; new, empty, or this same alignment.
        faces: one of :data:`cfgan.data.framing.faces.FACES`.
        framer: finds the faces.
        workers: decoding threads.
        recursive: whether subfolders are gone into.
        progress: called with pictures done and in all.

    Raises:
        InputError: no picture there, an unknown word.
        ConfigError: the extra is missing.
        FolderError: ``out`` holds something else, or lies inside ``source``.
        DataError: no picture shows a face; what was found stays in the table.
        StorageError: the disk refused.
        StoppedError: a stop was asked for; run again to go on.
    """
    check_faces(faces)
    if real_path(out) == real_path(source) or real_path(out).is_relative_to(real_path(source)):
        raise FolderError(f"{out} lies inside {source}.", field="OUT", value=out)
    refuse_inside(out, "OUT")
    found = find_images([source], recursive=recursive)
    framer = framer or Framer()
    names = _names(found.files)
    listed = [(file.inner, _size(file)) for file in found.files]
    header = {
        "format": FORMAT,
        "faces": faces,
        "finder": framer.name,
        "pictures": hashlib.sha256(json.dumps(listed).encode("utf-8", "surrogateescape")).hexdigest(),
    }
    folder = _FacesFolder(out, header, names)
    repeated = folder.complete
    if not repeated:
        with StopRequest() as stop, ThreadPoolExecutor(workers) as pool:
            _fill(folder, found.files, faces, framer, pool, stop, progress or silent)
    tally = folder.tally
    if not tally.files:
        first = next(iter(tally.reasons.values()))
        raise DataError(f"none of {tally.pictures:,} pictures gave a face ({first})", field="IN", value=source)
    return Aligned(out, tally, found.ignored, repeated)


def _fill(
    folder: _FacesFolder,
    files: Sequence[ImageFile],
    faces: str,
    framer: Framer,
    pool: ThreadPoolExecutor,
    stop: StopRequest,
    progress: Progress,
) -> None:
    try:
        folder.begin()
        taken = frozenset(folder.names)

        def one(place: int) -> list[Piece]:
            return _align(files[place], folder.names[place], faces, framer, taken)

        while (start := folder.tally.pictures) < len(files):
            folder.add(list(pool.map(one, range(start, min(start + _CHUNK, len(files))))))
            progress("aligning", folder.tally.pictures, len(files))
            stop.raise_if_asked("run the same command again to go on")
        folder.finish()
    finally:
        folder.close()


Piece = tuple[dict[str, Any], bytes]
"""A row of the table, and the image's file; empty where there is none."""


def _align(file: ImageFile, name: str, faces: str, framer: Framer, taken: frozenset[str]) -> list[Piece]:
    """The faces of one picture."""
    try:
        if file.problem is not None:
            raise DataError(file.problem)
        seen = see_picture(file.path)
        chosen = framer.faces(seen.image, every=faces != "largest")
        framed = pick(chosen, faces)
    except DataError as error:
        return [(_row("", file.name, str(error), 0), b"")]
    pieces: list[Piece] = []
    for k, face in enumerate(framed):
        target = name if k == 0 else _further(name, k + 1, taken)
        image = face.framed(seen.image)
        row = _row(target, file.name, "", len(chosen), face, sharpness(image), first=k == 0)
        data = encoded(image, PurePosixPath(name).suffix.casefold(), seen.xmp)
        pieces.append(({**row, "sha256": hashlib.sha256(data).hexdigest()}, data))
    return pieces


def _further(name: str, number: int, taken: frozenset[str]) -> str:
    """What a picture's further face is called: as no picture is."""
    path, mark = PurePosixPath(name), "~"
    while (found := str(path.with_name(f"{path.stem}{mark}{number}{path.suffix}"))) in taken:
        mark += "~"
    return found


def _row(
    file: str, source: str, reason: str, faces: int, face: Face | None = None, sharp: float = 0.0, *, first: bool = True
) -> dict[str, Any]:
    row: dict[str, Any] = {"file": file, "source": source, "reason": reason, "faces": faces, "first": first}
    if face is not None:
        row["figures"] = [round(v, 1) for v in (*face.box, *face.points.ravel().tolist(), face.roll, face.eyes)]
        row["figures"] += [round(face.outside, 3), round(sharp, 1)]
    return row


def encoded(image: Image.Image, suffix: str, xmp: bytes) -> bytes:
    """The file of an image in the format of its name, with the mark of synthetic media where the picture had one."""
    mark = xmp if _MARK in xmp else b""
    buffer = io.BytesIO()
    if suffix == ".png":
        info = PngInfo()
        if mark:
            info.add_itxt("XML:com.adobe.xmp", mark.decode("utf-8", "replace"))
        image.save(buffer, "PNG", pnginfo=info)
    elif suffix == ".webp":
        image.save(buffer, "WEBP", lossless=True, **({"xmp": mark} if mark else {}))
    elif suffix == ".bmp":
        image.save(buffer, "BMP")
    else:
        image.save(buffer, "JPEG", quality=_QUALITY, subsampling=0, **({"xmp": mark} if mark else {}))
    return buffer.getvalue()


def _names(files: Sequence[ImageFile]) -> list[str]:
    """What each picture's first face is called: as the picture, with an ending that says what the file is."""
    return [
        file.inner if PurePosixPath(file.inner).suffix.casefold() in SUFFIXES else f"{file.inner}.png" for file in files
    ]


def _size(file: ImageFile) -> int:
    try:
        return file.path.stat().st_size
    except OSError:
        return -1


class _FacesFolder(ResumableFolder):
    """The folder while it is made. ``names``: of the first face of each picture; ``tally``: how far it has come."""

    def __init__(self, out: Path, header: Mapping[str, Any], names: Sequence[str]) -> None:
        self.names, self.tally = names, Tally()
        super().__init__(out, header, "another alignment (other pictures or settings)", ABOUT)

    def _folders(self) -> list[Path]:
        return sorted({self.out, *((self.out / name).parent for name in self.names)})

    def _make_folders(self) -> None:
        for folder in self._folders():
            make_folder(folder)

    def _replay(self, *, repair: bool) -> None:
        self.tally = Tally()
        stands = (lambda entry: all(map(self._stands, entry["rows"]))) if repair else None
        self._journal.replay(lambda entry: self.tally.take(entry["rows"]), stands)

    def _stands(self, row: Mapping[str, Any]) -> bool:
        try:
            return not row["file"] or sha256_of(self.out / row["file"]) == row["sha256"]
        except OSError:
            return False

    def _take_finished(self) -> None:
        try:
            about = read_json_object(self.out / ABOUT)
            header, self.tally = about["header"], Tally(**about["tally"])
        except (ValueError, KeyError, TypeError) as error:
            raise FolderError(f"{self.out}/{ABOUT} is damaged ({error}).", field="OUT", value=self.out) from None
        self._journal.require_same(header)

    def add(self, chunk: Sequence[Sequence[Piece]]) -> None:
        """Store what some pictures gave: the images, then their line of the journal. Raises StorageError."""
        pieces = [piece for found in chunk for piece in found]
        for row, data in pieces:
            if row["file"]:
                write_bytes(self.out / row["file"], data)
        for folder in {(self.out / row["file"]).parent for row, _ in pieces if row["file"]}:
            sync_folder(folder)
        rows = [row for row, _ in pieces]
        self._journal.append({"rows": rows})
        self.tally.take(rows)

    def finish(self) -> None:
        """Write the table, then what is known of the whole; the journal goes last. Raises StorageError."""
        with atomic_write(self.out / TABLE) as handle:
            text = io.TextIOWrapper(handle, "utf-8", newline="")
            writer = CellWriter(text, paths=2)
            writer.writerow(TITLES)
            # Streamed from the journal, so that memory does not grow with the table.
            self._journal.replay(lambda entry: writer.writerows(map(_cells, entry["rows"])))
            text.flush()
            text.detach()  # the file is flushed to the disk, renamed and closed by whoever opened it
        about = {"header": self.header, "sha256": {TABLE: sha256_of(self.out / TABLE)}, "tally": asdict(self.tally)}
        write_sealed(self.out / ABOUT, about)
        self._journal.remove()
        self.complete = True


def _cells(row: Mapping[str, Any]) -> list[Any]:
    names = [shown_name(row["file"]), row["source"], row["reason"], row["faces"]]
    return [*names, *row.get("figures", [""] * (len(TITLES) - len(names)))]
