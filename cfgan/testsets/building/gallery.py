"""Imposters for the people of a gallery: each shows what that person shows, and is somebody else.

A gallery with several images of a person also gives true mated comparisons, and one of several people random imposters:
so that false non-matches, and thresholds of fixed false match rates, are those of real people.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from cfgan.testsets.building.pairing import fold_of, ring
from cfgan.testsets.building.user_images import UserImages, checked_name, is_table
from cfgan.testsets.building.writer import Face
from cfgan.testsets.folder import Mated, Pair, value_name
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
        vectors, control: float32 (n, D) of both embedders, of those images; empty without one.
    """

    name: str
    files: tuple[str, ...]
    request: Request
    vectors: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    control: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    @property
    def labels(self) -> list[str]:
        """How pairs name the images, ``gallery/PERSON/FILE``; one with an empty file where there is no image."""
        return [f"gallery/{self.name}/{Path(file).name}" for file in self.files] or [f"gallery/{self.name}/"]


def gallery(maker: FaceMaker) -> Built:
    """For each person imposters that match that person's attributes; see :class:`GalleryModel`.

    The strata: "gallery", a person against generated faces; "mated", two images of a person; "random", images of two
    people of one fold. No image of the gallery is copied unless ``copy_gallery`` asks for it. Against generated faces
    stands the person's image that is most like each, the first one without an embedder.

    Raises:
        DataError: an image or a row of the gallery cannot be used; names it.
    """
    model = maker.plan.model
    if not isinstance(model, GalleryModel) or maker.plan.user_images is None or maker.user_images is None:
        raise TypeError("not a gallery plan")
    built = Built()
    names = _matched_names(maker, model)
    people = _people(maker, maker.plan.user_images, maker.user_images, names, built)
    for place, person in enumerate(people):
        request = _joined(maker, person)
        cell = maker.plan.cell(person.name, request, model.imposters, _FIRST_CELL + place)
        faces = maker.subjects(f"imposters of {person.name}", cell, unlike=list(person.vectors))
        built.quota(f"imposters of {person.name}", model.imposters, len(faces))
        fold = fold_of(place, model.folds)
        values = tuple(value_name(name, value > 0) for name, value in request.items())
        for face in faces:
            image = _nearest(person, face)
            alike = [_alike(own, image, [each], 0) for own, each in _both(person, face)]
            _add(built, person.labels[image], face.file, "0", "gallery", person, fold, alike, values)
    _add_mated(built, people, model)
    _add_random(built, people, model)
    if model.copy_gallery:
        _copy(maker, maker.user_images, people)
    without = sum(not person.request for person in people)
    if without:
        built.notes.append(f"{without} of {len(people)} people show no attribute that the verifier is sure of.")
    return built


def _add(
    built: Built,
    a: str,
    b: str,
    mated: Mated,
    stratum: str,
    person: Person,
    fold: int,
    alike: Sequence[float | None],
    matched: tuple[str, ...] = (),
) -> None:
    similarity, control = alike
    name = f"p{len(built.pairs) + 1:06d}"
    built.pairs.append(Pair(name, a, b, mated, stratum, person.name, matched, (), (), similarity, fold, control))


def _add_mated(built: Built, people: Sequence[Person], model: GalleryModel) -> None:
    """Two images of a person, in an order that uses all of them about equally often."""
    for place, person in enumerate(people):
        couples = sorted(
            itertools.combinations(range(len(person.files)), 2), key=lambda pair: (pair[1] - pair[0], pair)
        )
        for i, k in couples[: model.mated]:
            alike = [_alike(own, i, own, k) for own in (person.vectors, person.control)]
            _add(built, person.labels[i], person.labels[k], "1", "mated", person, fold_of(place, model.folds), alike)
    if model.mated and not any(len(person.files) > 1 for person in people):
        built.notes.append("No person has two images: there is no mated comparison, so no FNMR and no EER.")


def _add_random(built: Built, people: Sequence[Person], model: GalleryModel) -> None:
    """Images of two people of one fold, whatever they show."""
    if not model.random or not all(person.files for person in people):
        return
    lonely = 0
    for fold in range(1, model.folds + 1):
        own = [place for place in range(len(people)) if fold_of(place, model.folds) == fold]
        lonely += len(own) == 1
        each = min(model.random, (len(own) - 1) // 2 or len(own) - 1)
        for number, (a, b) in enumerate(ring(own, own, each, lambda a, b: True)):
            one, other = people[a], people[b]
            i, k = number % len(one.files), number % len(other.files)
            sides = ((one.vectors, other.vectors), (one.control, other.control))
            alike = [_alike(first, i, second, k) for first, second in sides]
            _add(built, one.labels[i], other.labels[k], "0", "random", one, fold, alike)
    if lonely:
        built.notes.append(f"{lonely} folds have one person only and no random imposters: take fewer folds.")


def _alike(
    first: npt.NDArray[np.float32] | Sequence[npt.NDArray[np.float32]],
    i: int,
    second: npt.NDArray[np.float32] | Sequence[npt.NDArray[np.float32]],
    k: int,
) -> float | None:
    """Similarity of two embedded images; None where one is not embedded."""
    if not len(first) or not len(second) or not len(second[k]):
        return None
    return -float(np.linalg.norm(first[i] - second[k]))


def _both(person: Person, face: Face) -> tuple[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]], ...]:
    """Person and face, as the chooser sees them and as the control does."""
    return (person.vectors, face.vector), (person.control, face.control)


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


def _people(maker: FaceMaker, path: Path, own: UserImages, names: Sequence[str], built: Built) -> list[Person]:
    """The gallery's people in the order of their names, each with the values to match.

    A person none of whose images gave a face is left out, and is a quota that was not met.
    """
    if is_table(path):
        people, left_out = table_people(path, maker.bundle.vocabulary, names)
        built.notes += [f"{line}." for line in left_out.lines()]
        return people
    people = []
    images = own.people()
    for place, (name, listed) in enumerate(images.items()):
        maker.stop.raise_if_asked("the same command goes on")
        if not listed:
            built.quota(f"imposters of {name}, without a face", maker.plan.resolved["imposters"], 0)
            continue
        levels = np.stack([own.read(image) for image in listed])
        probability = maker.verifier.probability(levels).astype(np.float64).mean(0)
        vectors, control = (
            each(levels).vectors if each else np.zeros((0, 0), np.float32)
            for each in (maker.identity.chooser, maker.identity.control)
        )
        request = _sure(maker, probability, names)
        people.append(Person(name, tuple(label for label, _ in listed), request, vectors, control))
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
        people.append(Person(checked_name(name), (), request))
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


def _nearest(person: Person, face: Face) -> int:
    """The place of the person's image that is most like a face; the first where nothing is embedded."""
    if not len(person.vectors) or not len(face.vector):
        return 0
    return int(np.linalg.norm(person.vectors - face.vector, axis=1).argmin())


def _copy(maker: FaceMaker, own: UserImages, people: Sequence[Person]) -> None:
    for person in people:
        folder = maker.writer.out / "gallery" / person.name
        for file in person.files:
            make_folder(folder)
            write_bytes(folder / Path(file).name, own.copied(file))
