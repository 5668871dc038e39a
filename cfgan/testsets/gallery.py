"""Imposters for the people of a gallery: each shows what that person shows, and is somebody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cfgan.data.image_files import find_images
from cfgan.data.label_files import read_label_file
from cfgan.data.pictures import read_square
from cfgan.errors import DataError, RequestError, SpecError
from cfgan.files import is_safe_name
from cfgan.prior import check_exclusive
from cfgan.request import Request
from cfgan.testsets.designs import Built
from cfgan.testsets.folder import Pair, value_name
from cfgan.testsets.pairing import fold_of
from cfgan.testsets.spec import GalleryModel
from cfgan.testsets.studio import Studio
from cfgan.testsets.writer import Face

_WELL_READ = 0.9
"""Balanced accuracy of the verifier on real faces from which an attribute is matched by default."""

_FIRST_CELL = 1000  # places of the people's requests, apart from those of other designs


@dataclass(frozen=True)
class Person:
    """Somebody who is enrolled.

    Args:
        name: the folder's name, the image's, or that of the CSV's row.
        files: images, relative to the gallery; empty where only attributes are known.
        request: the values to match.
        vectors: float32 (n, D) of the embedder, of those images.
    """

    name: str
    files: tuple[str, ...]
    request: Request
    vectors: npt.NDArray[np.float32]


def gallery(studio: Studio) -> Built:
    """For each person imposters that match that person's attributes; see :class:`GalleryModel`.

    No image of the gallery is copied unless ``copy_gallery`` asks for it. The pairs name the person's first image.

    Raises:
        DataError: an image or a row of the gallery cannot be used; names it.
    """
    model = studio.plan.model
    if not isinstance(model, GalleryModel) or studio.plan.brought is None:
        raise TypeError("not a gallery plan")
    built = Built()
    names = _matched_names(studio, model)
    people = _people(studio, studio.plan.brought, names)
    for place, person in enumerate(people):
        request = {**studio.plan.request, **person.request}
        cell = studio.plan.cell(person.name, request, model.imposters, _FIRST_CELL + place)
        faces = studio.subjects(f"imposters of {person.name}", cell, unlike=list(person.vectors))
        built.quota(f"imposters of {person.name}", model.imposters, len(faces))
        enrolled = f"gallery/{person.name}/{Path(person.files[0]).name if person.files else ''}"
        for face in faces:
            built.pairs.append(
                Pair(
                    pair=f"p{len(built.pairs) + 1:06d}",
                    a=enrolled,
                    b=face.file,
                    mated="0",
                    stratum="gallery",
                    group=person.name,
                    matched=tuple(value_name(name, value > 0) for name, value in request.items()),
                    differing=(),
                    moved=(),
                    similarity=_nearest(person, face),
                    fold=fold_of(place, model.folds),
                )
            )
    if model.copy_gallery:
        _copy(studio, people)
    without = sum(not person.request for person in people)
    if without:
        built.notes.append(f"{without} of {len(people)} people show no attribute that the verifier is sure of.")
    return built


def _matched_names(studio: Studio, model: GalleryModel) -> list[str]:
    if listed := studio.plan.resolved.get("match"):
        return [str(name) for name in listed]
    figures: Mapping[str, Mapping[str, float]] = studio.bundle.config["verifier"].get("figures", {})
    vocabulary = studio.bundle.vocabulary
    found = [n for n in vocabulary.names if figures.get(n, {}).get("balanced_accuracy", 0.0) >= _WELL_READ]
    found = [name for name in found if name not in studio.plan.request]
    if not found:
        raise SpecError("the verifier reads no attribute well enough; name some.", field="match")
    return found


def _people(studio: Studio, path: Path, names: Sequence[str]) -> list[Person]:
    """The gallery's people in the order of their names, each with the values to match."""
    if path.is_file() and path.suffix.casefold() in (".csv", ".tsv", ".txt"):
        return _from_table(studio, path, names)
    images: dict[str, list[tuple[str, Path]]] = {}
    for file in find_images([path]).files:
        if file.problem:
            raise DataError(f"{file.name}: {file.problem}", field="gallery", value=file.name)
        folder, _, name = file.name.rpartition("/")
        person = folder.split("/")[0] if folder else Path(name).stem
        images.setdefault(_checked(person), []).append((file.name, file.path))
    people = []
    for place, (name, listed) in enumerate(sorted(images.items())):
        studio.stop.raise_if_asked("the same command goes on")
        levels = np.stack([_read(label, file, studio.bundle.size) for label, file in listed])
        probability = studio.verifier.probability(levels).astype(np.float64).mean(0)
        vectors = studio.embedder(levels).vectors if studio.embedder else np.zeros((0, 0), np.float32)
        people.append(Person(name, tuple(label for label, _ in listed), _sure(studio, probability, names), vectors))
        studio.tell("gallery", place + 1, len(images))
    return people


def _read(label: str, file: Path, size: int) -> npt.NDArray[np.uint8]:
    try:
        return np.ascontiguousarray(read_square(file, size).transpose(2, 0, 1))
    except DataError as error:
        raise DataError(f"{label}: {error}", field="gallery", value=label) from None


def _from_table(studio: Studio, path: Path, names: Sequence[str]) -> list[Person]:
    table = read_label_file(path, studio.bundle.vocabulary, ignore_unknown=True)
    people = []
    for name, row in table.rows.items():
        values = dict(zip(table.names, table.values[row].tolist(), strict=True))
        request = {each: float(values[each]) for each in names if values.get(each, 0)}
        try:
            check_exclusive(studio.bundle.vocabulary, request)
        except RequestError as error:
            raise DataError(f"{name}: {error}", field="gallery", value=name) from None
        people.append(Person(_checked(name), (), request, np.zeros((0, 0), np.float32)))
    return people


def _sure(studio: Studio, probability: npt.NDArray[np.float64], names: Sequence[str]) -> Request:
    """The values that a person's images pass the bundle's gate for; of those that exclude each other, the surest."""
    bundle = studio.bundle
    calibration = bundle.calibration
    request: Request = {}
    for name in names:
        i = bundle.vocabulary.index(name)
        if probability[i] >= (calibration.gate_yes[i] if len(calibration.gate_yes) else calibration.threshold[i]):
            request[name] = 1.0
        elif 1 - probability[i] >= (
            calibration.gate_no[i] if len(calibration.gate_no) else 1 - calibration.threshold[i]
        ):
            request[name] = -1.0
    for group in bundle.vocabulary.exclusive:
        wanted = [name for name in request if name in group and request[name] > 0]
        for name in sorted(wanted, key=lambda each: -probability[bundle.vocabulary.index(each)])[1:]:
            del request[name]
    return request


def _checked(name: str) -> str:
    if not name or any(ord(letter) < 32 or letter in "/\\;," for letter in name) or name in (".", ".."):
        raise DataError(f"{name!r} cannot be the name of a person in a table.", field="gallery", value=name)
    return name


def _nearest(person: Person, face: Face) -> float | None:
    if not len(person.vectors) or not len(face.vector):
        return None
    return -float(np.linalg.norm(person.vectors - face.vector, axis=1).min())


def _copy(studio: Studio, people: Sequence[Person]) -> None:
    from cfgan.files import make_folder, write_bytes

    brought = studio.plan.brought
    for person in people:
        for file in person.files:
            name = Path(file).name
            if not is_safe_name(name) or not is_safe_name(person.name):
                raise DataError(f"{file!r}: the name cannot be copied.", field="copy_gallery", value=file)
            folder = studio.writer.out / "gallery" / person.name
            make_folder(folder)
            if brought is not None:
                write_bytes(folder / name, (brought / file).read_bytes())
