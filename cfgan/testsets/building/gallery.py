"""Imposters for the people of a gallery: each shows what that person shows, and is somebody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cfgan.attributes.prior import check_exclusive
from cfgan.attributes.request import Request
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.left_out import LeftOut
from cfgan.data.table import read_labels
from cfgan.errors import DataError, RequestError, SpecError
from cfgan.io.files import make_folder, write_bytes
from cfgan.testsets.building.designs import Built
from cfgan.testsets.building.faces import FaceMaker
from cfgan.testsets.building.pairing import fold_of
from cfgan.testsets.building.user_images import checked_name, gallery_images, is_table, read_image
from cfgan.testsets.building.writer import Face
from cfgan.testsets.folder import Pair, value_name
from cfgan.testsets.spec import GalleryModel

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


def gallery(maker: FaceMaker) -> Built:
    """For each person imposters that match that person's attributes; see :class:`GalleryModel`.

    No image of the gallery is copied unless ``copy_gallery`` asks for it. The pairs name the person's image that is
    most like the imposter, the first one without an embedder.

    Raises:
        DataError: an image or a row of the gallery cannot be used; names it.
    """
    model = maker.plan.model
    if not isinstance(model, GalleryModel) or maker.plan.user_images is None:
        raise TypeError("not a gallery plan")
    built = Built()
    names = _matched_names(maker, model)
    people = _people(maker, maker.plan.user_images, names, built)
    for place, person in enumerate(people):
        request = _joined(maker, person)
        cell = maker.plan.cell(person.name, request, model.imposters, _FIRST_CELL + place)
        faces = maker.subjects(f"imposters of {person.name}", cell, unlike=list(person.vectors))
        built.quota(f"imposters of {person.name}", model.imposters, len(faces))
        for face in faces:
            file, similarity = _nearest(person, face)
            built.pairs.append(
                Pair(
                    pair=f"p{len(built.pairs) + 1:06d}",
                    a=f"gallery/{person.name}/{file}",
                    b=face.file,
                    mated="0",
                    stratum="gallery",
                    group=person.name,
                    matched=tuple(value_name(name, value > 0) for name, value in request.items()),
                    differing=(),
                    moved=(),
                    similarity=similarity,
                    fold=fold_of(place, model.folds),
                )
            )
    if model.copy_gallery:
        _copy(maker, people)
    without = sum(not person.request for person in people)
    if without:
        built.notes.append(f"{without} of {len(people)} people show no attribute that the verifier is sure of.")
    return built


def _joined(maker: FaceMaker, person: Person) -> Request:
    """What everybody shows and what the person shows. Raises DataError where they exclude each other."""
    request = {**maker.plan.request, **person.request}
    try:
        check_exclusive(maker.bundle.vocabulary, request)
    except RequestError as error:
        raise DataError(f"{person.name}: {error}", field="gallery", value=person.name) from None
    return request


def _matched_names(maker: FaceMaker, model: GalleryModel) -> list[str]:
    if listed := maker.plan.resolved.get("match"):
        return [str(name) for name in listed]
    figures: Mapping[str, Mapping[str, float]] = maker.bundle.config["verifier"].get("figures", {})
    vocabulary = maker.bundle.vocabulary
    found = [n for n in vocabulary.names if figures.get(n, {}).get("balanced_accuracy", 0.0) >= _WELL_READ]
    found = [name for name in found if name not in maker.plan.request]
    if not found:
        raise SpecError("the verifier reads no attribute well enough; name some.", field="match")
    return found


def _people(maker: FaceMaker, path: Path, names: Sequence[str], built: Built) -> list[Person]:
    """The gallery's people in the order of their names, each with the values to match."""
    if is_table(path):
        people, left_out = table_people(path, maker.bundle.vocabulary, names)
        built.notes += [f"{line}." for line in left_out.lines()]
        return people
    people = []
    images = gallery_images(path)
    for place, (name, listed) in enumerate(images.items()):
        maker.stop.raise_if_asked("the same command goes on")
        levels = np.stack([read_image(image, maker.bundle.size, "gallery") for image in listed])
        probability = maker.verifier.probability(levels).astype(np.float64).mean(0)
        vectors = maker.embedder(levels).vectors if maker.embedder else np.zeros((0, 0), np.float32)
        request = _sure(maker, probability, names)
        people.append(Person(name, tuple(label for label, _ in listed), request, vectors))
        maker.progress("gallery", place + 1, len(images))
    return people


def table_people(path: Path, vocabulary: Vocabulary, names: Sequence[str]) -> tuple[list[Person], LeftOut]:
    """People of whom only attributes are known, a row each.

    Args:
        path: a label table; see :func:`cfgan.data.table.read_labels`.
        vocabulary: of the model; other columns are left out.
        names: the attributes to match.

    Raises:
        DataError: a table that cannot be used, or a name that cannot stand in one.
    """
    table = read_labels(path, vocabulary=vocabulary, ignore_unknown=True, field="gallery")
    listed = table.files or table.person
    if listed is None:
        raise DataError(f"{path.name} has no column of names; call it 'name'.", field="gallery", value=path)
    people = []
    for name, row in zip(listed, table.labels, strict=True):
        values = dict(zip(table.vocabulary.names, np.sign(np.nan_to_num(row)).tolist(), strict=True))
        request = {each: values[each] for each in names if values.get(each)}
        people.append(Person(checked_name(name), (), request, np.zeros((0, 0), np.float32)))
    return people, table.left_out


def _sure(maker: FaceMaker, probability: npt.NDArray[np.float64], names: Sequence[str]) -> Request:
    """The values that a person's images pass the bundle's gate for; of those that exclude each other, the surest."""
    bundle = maker.bundle
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


def _nearest(person: Person, face: Face) -> tuple[str, float | None]:
    """The person's image that is most like a face, by its name alone, and the similarity."""
    names = [Path(file).name for file in person.files]
    if not len(person.vectors) or not len(face.vector):
        return (names[0] if names else ""), None
    distance = np.linalg.norm(person.vectors - face.vector, axis=1)
    return names[int(distance.argmin())], -float(distance.min())


def _copy(maker: FaceMaker, people: Sequence[Person]) -> None:
    user_images = maker.plan.user_images
    for person in people:
        folder = maker.writer.out / "gallery" / person.name
        for file in person.files:
            make_folder(folder)
            if user_images is not None:
                write_bytes(folder / Path(file).name, (user_images / file).read_bytes())
