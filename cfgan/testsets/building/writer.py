"""Writing a test set so that it can be killed at any moment and resumed.

While it is being made, ``journal.jsonl`` holds a header, then a line for each step that is done: the faces that it
gave, appended only after their images are on the disk. Everything else is worked out from the journal at the end.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.errors import FolderError
from cfgan.io import journal
from cfgan.io.files import (
    make_folder,
    read_json_object,
    sha256_of,
    sync_folder,
    write_bytes,
    write_text,
)
from cfgan.io.resumable import ResumableFolder
from cfgan.testsets.folder import CHECKSUMS, FORMAT, MANIFEST, subject_of

_IMAGE = re.compile(r"s\d{5,}_\d{4,}\.png(\..+\.partial)?")


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
        vector: float32 (D,) of the embedder that chooses; empty without one.
        control: float32 (D,) of the one that controls; empty without one.
        of: file of the face that this one was made from by a change; empty for others.
        strength: how strongly the changed attribute was given, in units of the condition; 0 for others.
        digest: sha256 of the file.
        capture: the change of capture that it was made from ``of`` by, such as "blur=2"; empty for others.
        capture_level: grade of that change, 1 and on.
        quality: in the order of :data:`cfgan.testsets.building.quality.MEASURES`; None where unknown; empty where
            nothing was measured.
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
    control: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), compare=False)
    of: str = ""
    strength: float = 0.0
    digest: str = ""
    capture: str = ""
    capture_level: int = 0
    quality: tuple[float | None, ...] = ()

    @property
    def subject(self) -> str:
        """The synthetic person: the folder of the file."""
        return subject_of(self.file)

    def to_json(self) -> dict[str, Any]:
        """Plain values for the journal; the vectors exactly."""
        vectors = (self.vector, self.control)
        vector, control = (base64.b64encode(each.astype("<f4").tobytes()).decode() for each in vectors)
        return {**self.__dict__, "vector": vector, "control": control}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Face:
        """Inverse of :meth:`to_json`. Raises KeyError, TypeError or ValueError on malformed content."""
        listed = {key: tuple(values.get(key, ())) for key in ("condition", "verifier", "judge", "quality")}
        held = (base64.b64decode(values[key]) for key in ("vector", "control"))
        vector, control = (np.frombuffer(each, "<f4").astype(np.float32) for each in held)
        return cls(**{**values, **listed, "vector": vector, "control": control})


def alike(first: Face, second: Face, *, control: bool = False) -> float:
    """Similarity of two embedded faces: minus the distance of their vectors, the chooser's or the control's."""
    one, other = (first.control, second.control) if control else (first.vector, second.vector)
    return -float(np.linalg.norm(one - other))


Tally = dict[str, int]
"""Counts of one role; what they count, :mod:`cfgan.testsets.building.faces` says."""


class TestsetWriter(ResumableFolder):
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
        self.faces: dict[str, list[Face]] = {}
        self.tallies: dict[str, Tally] = {}
        self._images: Counter[str] = Counter()  # of each subject
        other = "another test set (other spec, bundle or embedder)"
        super().__init__(out, {"format": FORMAT, **header}, other, MANIFEST)

    def _take_finished(self) -> None:
        try:
            self._journal.require_same(read_json_object(self._finished).get("header"))
        except ValueError as error:
            raise FolderError(f"{self.out} is damaged: {error}.", field="out", value=self.out) from None

    def _folders(self) -> Iterable[Path]:
        return (self.out, *(path for path in self.out.rglob("*") if path.is_dir()))

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
        self._journal.append({"role": role, "tally": tally, "faces": [face.to_json() for face in placed]})
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
        for path in (self.out / "images").glob("s*/s*"):
            if _IMAGE.fullmatch(path.name) and path.relative_to(self.out).as_posix() not in kept:
                path.unlink()  # written, but killed before its journal line
                if not any(path.parent.iterdir()):
                    path.parent.rmdir()
        digests = {face.file: face.digest for faces in self.faces.values() for face in faces}
        for path in _others(self.out, digests):
            digests[path.relative_to(self.out).as_posix()] = sha256_of(path)
        write_text(self.out / CHECKSUMS, "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)))
        self._journal.remove()
        self.complete = True

    def _replay(self, *, repair: bool) -> None:
        self.faces, self.tallies = {}, {}
        self._images.clear()

        def faces_of(entry: dict[str, Any]) -> list[Face]:
            return [Face.from_json(values) for values in entry["faces"]]

        def take(entry: dict[str, Any]) -> None:
            for face in faces_of(entry):
                self._keep(entry["role"], face)
            self.tallies[entry["role"]] = entry["tally"]

        self._journal.replay(take, (lambda entry: all(map(self._stands, faces_of(entry)))) if repair else None)

    def _stands(self, face: Face) -> bool:
        try:
            return sha256_of(self.out / "images" / face.subject / Path(face.file).name) == face.digest
        except OSError:
            return False


def _others(out: Path, known: Mapping[str, str]) -> Iterator[Path]:
    """What was written beside the images; a file that somebody else put among them is not ours to vouch for."""
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        theirs = name.startswith("images/") or name in (journal.NAME, CHECKSUMS)
        if path.is_file() and name not in known and not theirs:
            yield path
