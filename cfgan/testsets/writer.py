"""Writing a test set so that it can be killed at any moment and resumed.

While it is being made, ``journal.jsonl`` holds a header, then a line for each step that is done: the faces that it
gave, appended only after their images are on the disk. Everything else is worked out from the journal at the end.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import FolderError
from cfgan.files import (
    is_unused,
    lock_folder,
    make_folder,
    read_json_object,
    remove_partials,
    sha256_of,
    storage_errors,
    sync_folder,
    write_bytes,
    write_text,
)
from cfgan.testsets.folder import CHECKSUMS, FORMAT, MANIFEST, subject_of

JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Face:
    """One face of a test set.

    Args:
        file: below the set's folder; empty until it is stored.
        role: what it is for: "enrolled", "random", "Smiling" (changed so) and the like.
        seed, draw: where its latent comes from.
        requested: attribute values asked for.
        condition: what the generator was given, A values, six digits.
        verifier, judge: calibrated probabilities of the A attributes, six digits; ``judge`` empty without one.
        found: whether the embedder's detector finds a face; None without an embedder.
        vector: float32 (D,) of the embedder; empty without one.
        of: file of the face that this one was made from by a change; empty for others.
        strength: how strongly the changed attribute was given, in units of the condition; 0 for others.
        digest: sha256 of the file.
    """

    file: str
    role: str
    seed: int
    draw: int
    requested: Mapping[str, float]
    condition: tuple[float, ...]
    verifier: tuple[float, ...]
    judge: tuple[float, ...] = ()
    found: bool | None = None
    vector: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), compare=False)
    of: str = ""
    strength: float = 0.0
    digest: str = ""

    @property
    def subject(self) -> str:
        """The synthetic person: the folder of the file."""
        return subject_of(self.file)

    def to_json(self) -> dict[str, Any]:
        """Plain values for the journal; the vector exactly."""
        vector = base64.b64encode(self.vector.astype("<f4").tobytes()).decode()
        return {**self.__dict__, "vector": vector}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Face:
        """Inverse of :meth:`to_json`. Raises KeyError, TypeError or ValueError on malformed content."""
        listed = {key: tuple(values[key]) for key in ("condition", "verifier", "judge")}
        vector = np.frombuffer(base64.b64decode(values["vector"]), "<f4").astype(np.float32)
        return cls(**{**values, **listed, "vector": vector})


def alike(first: Face, second: Face) -> float:
    """Similarity of two embedded faces: minus the Euclidean distance of their vectors."""
    return -float(np.linalg.norm(first.vector - second.vector))


Tally = dict[str, int]
"""Counts of one role; what they count, :mod:`cfgan.testsets.studio` says."""


class TestsetWriter:
    """Creates or resumes the folder of a test set. Nothing is written before :meth:`begin`.

    Args:
        out: new, empty, or holding this same test set.
        header: what identifies the set; a folder with another header is never written into.

    Raises:
        FolderError: the folder holds something else.
        StorageError: the disk refused.
    """

    __test__ = False  # not for pytest, whatever its name

    def __init__(self, out: Path, header: Mapping[str, Any]) -> None:
        self.out = out
        self.header: dict[str, Any] = json.loads(json.dumps({"format": FORMAT, **header}))
        self.faces: dict[str, list[Face]] = {}
        self.tallies: dict[str, Tally] = {}
        self.complete = False
        self._images: Counter[str] = Counter()  # of each subject
        self._open = contextlib.ExitStack()
        if (out / JOURNAL).exists():
            self._resume(repair=False)
        elif (out / MANIFEST).exists():
            try:
                self._require_same(read_json_object(out / MANIFEST).get("header"))
            except ValueError as error:
                raise FolderError(f"{out} is damaged: {error}.", field="out", value=out) from None
            self.complete = True
        elif not is_unused(out):
            raise FolderError(f"{out} already holds something else.", field="out", value=out)

    def begin(self) -> None:
        """Make the folder and its journal, or repair what a killed process left; from here on the folder is locked.

        Raises:
            FolderError: another process is writing into the folder.
            StorageError: the disk refused.
        """
        make_folder(self.out)
        self._open.enter_context(lock_folder(self.out))
        remove_partials(self.out)
        if (self.out / JOURNAL).exists():
            self._resume(repair=True)
        else:
            write_text(self.out / JOURNAL, json.dumps({"header": self.header}) + "\n")
        make_folder(self.out / "images")

    def close(self) -> None:
        """Let go of the folder."""
        self._open.close()

    def stored(self, role: str) -> list[Face]:
        """The faces of a role so far, in the order they were added."""
        return self.faces.setdefault(role, [])

    def tally(self, role: str) -> Tally:
        """The counts that stood with the last step of a role; empty before the first."""
        return dict(self.tallies.get(role, {}))

    @property
    def subjects(self) -> int:
        """How many synthetic persons there are so far."""
        return len(self._images)

    def add(self, role: str, tally: Tally, faces: Sequence[tuple[Face, bytes]]) -> None:
        """Store a step: its images, flushed to the disk, then its journal line.

        A face that was made from another gets the next file name in that one's folder, others a folder of their own.

        Args:
            role: what the faces are for.
            tally: counts of that role up to here.
            faces: each with the bytes of its image.

        Raises:
            StorageError: the disk refused.
        """
        placed = []
        for face, image in faces:
            file = self._next_file(face)
            path = self.out / file
            make_folder(path.parent)
            write_bytes(path, image)
            sync_folder(path.parent)
            placed.append(replace(face, file=file, digest=hashlib.sha256(image).hexdigest()))
            self._keep(role, placed[-1])
        sync_folder(self.out / "images")
        line = json.dumps({"role": role, "tally": tally, "faces": [face.to_json() for face in placed]}) + "\n"
        journal = self.out / JOURNAL
        with storage_errors(journal), journal.open("ab") as handle:
            handle.write(line.encode())
            handle.flush()
            os.fsync(handle.fileno())
        self.tallies[role] = tally

    def _keep(self, role: str, face: Face) -> None:
        self.stored(role).append(face)
        self._images[face.subject] += 1

    def _next_file(self, face: Face) -> str:
        if not face.of:
            subject = f"s{self.subjects + 1:05d}"
            return f"images/{subject}/{subject}_0001.png"
        subject = subject_of(face.of)
        return f"images/{subject}/{subject}_{self._images[subject] + 1:04d}.png"

    def finish(self, write: Callable[[Path], None]) -> None:
        """Write everything but the images, then the checksums; the journal goes last.

        Args:
            write: writes the set's other files into the folder that it is given, each atomically.

        Raises:
            StorageError: the disk refused.
        """
        write(self.out)
        kept = {face.file for faces in self.faces.values() for face in faces}
        for path in sorted((self.out / "images").rglob("*.png")):
            if path.relative_to(self.out).as_posix() not in kept:
                path.unlink()  # written, but killed before its journal line
        digests = {face.file: face.digest for faces in self.faces.values() for face in faces}
        for path in _others(self.out, digests):
            digests[path.relative_to(self.out).as_posix()] = sha256_of(path)
        write_text(self.out / CHECKSUMS, "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)))
        with contextlib.suppress(OSError):
            (self.out / JOURNAL).unlink()
        self.complete = True

    def _require_same(self, header: Any) -> None:
        if header != self.header:
            raise FolderError(
                f"{self.out} holds another test set (other spec, bundle or embedder); choose another --out.",
                field="out",
                value=self.out,
            )

    def _resume(self, *, repair: bool) -> None:
        """Take up an unfinished set: every whole journal line stands; when repairing, up to the first whose images
        are not all there as they were stored."""
        journal = self.out / JOURNAL
        self.faces, self.tallies = {}, {}
        self._images.clear()
        whole = 0
        try:
            with storage_errors(journal), journal.open("rb") as lines:
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    entry = json.loads(line)
                    if whole == 0:
                        self._require_same(entry.get("header"))
                    else:
                        faces = [Face.from_json(values) for values in entry["faces"]]
                        if repair and not all(self._stands(face) for face in faces):
                            break
                        for face in faces:
                            self._keep(entry["role"], face)
                        self.tallies[entry["role"]] = entry["tally"]
                    whole += len(line)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            whole = 0
        if whole == 0:
            raise FolderError(f"{journal} is damaged; choose another --out.", field="out", value=self.out) from None
        if repair and whole != journal.stat().st_size:
            with storage_errors(journal):
                os.truncate(journal, whole)

    def _stands(self, face: Face) -> bool:
        try:
            return sha256_of(self.out / "images" / face.subject / Path(face.file).name) == face.digest
        except OSError:
            return False


def _others(out: Path, known: Mapping[str, str]) -> Iterator[Path]:
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_file() and name not in known and name not in (JOURNAL, CHECKSUMS):
            yield path
