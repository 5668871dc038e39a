"""How far drawn faces are from real ones, over networks that took no part in training or choosing.

Obedience is another matter: classifiers of attributes hardly see a torn eye. Each figure stands beside the same figure
of real images against other real images, at the same count: what no generator can be expected to better.
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.data.store import PackedDataset
from cfgan.errors import DataError
from cfgan.evaluation.crops import PARTS, PartExtractor
from cfgan.evaluation.extractors import Extractor, extract
from cfgan.evaluation.fidelity import equal_counts, frechet_distance, kid
from cfgan.evaluation.probe import probe_auc
from cfgan.evaluation.reference import reference_features, reference_rows
from cfgan.external.detector import FaceDetector
from cfgan.io.progress import Progress, named, silent

Levels = npt.NDArray[np.uint8]
Features = npt.NDArray[np.floating[Any]]

PROBED = 20
"""Images of each kind from which on a probe is fitted."""


@dataclass(frozen=True)
class Difference:
    """Drawn against real images, over one network. ``n`` images on each side, everywhere.

    Args:
        extractor: the network's name.
        digest: of its weights and preprocessing.
        n: images on each side.
        kid: kernel distance, unbiased; ``kid_error`` its standard error.
        kid_floor: of real from other real images; NaN where there are not enough of those, as in the other floors.
        distance: Fréchet distance, biased upwards at any finite n.
        probe_auc: area under the curve of a cross-fitted linear probe, 0.5 where it cannot tell; NaN of fewer than
            ``PROBED`` images.
        in_training: whether the generator was trained over these very features, which then flatter it.
    """

    extractor: str
    digest: str
    n: int
    kid: float
    kid_error: float
    kid_floor: float
    distance: float
    distance_floor: float
    probe_auc: float
    probe_auc_floor: float
    in_training: bool = False

    @property
    def distance_name(self) -> str:
        """What the Fréchet distance may be called: these are not the weights of FID."""
        return f"FD-{self.extractor}"

    def to_dict(self) -> dict[str, Any]:
        """Plain figures, ``distance_name`` among them."""
        return {"distance_name": self.distance_name, **asdict(self)}


@dataclass(frozen=True)
class FacesFound:
    """In how many of ``n`` drawn images a detector finds a face, and in how many of as many real ones."""

    name: str
    n: int
    faces: int
    real_faces: int


@dataclass(frozen=True)
class Realism:
    """Everything that says how real drawn faces look.

    Args:
        networks: whole images, one entry a network.
        faces: None where no detector looked.
        crops: eyes, mouth and background over the first network; none where the images are no aligned faces.
    """

    networks: tuple[Difference, ...]
    faces: FacesFound | None = None
    crops: dict[str, Difference] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain figures: ``networks`` by name, ``crops`` by part, ``faces`` if a detector looked."""
        figures: dict[str, Any] = {
            "networks": {each.extractor: each.to_dict() for each in self.networks},
            "crops": {part: each.to_dict() for part, each in self.crops.items()},
        }
        if self.faces is not None:
            figures["faces"] = asdict(self.faces)
        return figures


def difference(
    extractor: Extractor,
    real: Features,
    drawn: Features,
    others: Features | None,
    *,
    in_training: bool = False,
    seed: int = 0,
) -> Difference:
    """Figures of two sets of features, at equal counts: larger sets are drawn from by ``seed``.

    Args:
        extractor: whose features they are.
        real: (N, D).
        drawn: (M, D).
        others: (L, D) of other real images, for the floors; None: no floors.
        in_training: see :class:`Difference`.
        seed: of choices, subsets and folds.

    Raises:
        DataError: too few images, dimensions differ, values not finite.
    """
    sets = [real, drawn] if others is None else [real, drawn, others]
    n, (real, drawn, *rest) = equal_counts(sets, np.random.default_rng([seed, 3]))
    kernel, error = kid(real, drawn, seed=seed)
    floor = rest[0] if rest else None
    return Difference(
        extractor=extractor.name,
        digest=extractor.digest,
        n=n,
        kid=kernel,
        kid_error=error,
        kid_floor=math.nan if floor is None else kid(real, floor, seed=seed)[0],
        distance=frechet_distance(real, drawn),
        distance_floor=math.nan if floor is None else frechet_distance(real, floor),
        probe_auc=math.nan if n < PROBED else probe_auc(real, drawn, seed=seed),
        probe_auc_floor=math.nan if n < PROBED or floor is None else probe_auc(real, floor, seed=seed),
        in_training=in_training,
    )


def measure_realism(
    store: PackedDataset,
    split: str,
    drawn: Levels,
    extractors: Sequence[Extractor],
    *,
    detector: FaceDetector | None = None,
    crops: bool = True,
    trained_over: Container[str] = (),
    seed: int = 0,
    progress: Progress = silent,
) -> Realism:
    """Drawn images against the real ones of a split.

    The other split of the store, "train" or else "validation", gives the real images behind the floors; where it has
    fewer than there are drawn ones, there are no floors.

    Args:
        store: packed real images.
        split: that is compared with.
        drawn: uint8 (N, 3, S, S), with conditions as the split's labels are, or the attributes' shares differ too.
        extractors: networks that took no part; crops are measured over the first of them.
        detector: of faces; None: not looked for.
        crops: whether the images are faces in CelebA's frame, whose eyes and mouths are where ``PARTS`` says.
        trained_over: names or digests of the features that the generator was trained over.
        seed: of choices, subsets and folds.
        progress: called while it lasts.

    Raises:
        DataError: no image is drawn, the split is empty, or features are not finite.
    """
    if not len(drawn):
        raise DataError("no image is drawn.")
    other = "train" if split != "train" else "validation"
    floors = len(store.rows(other)) >= len(drawn)

    def measured(extractor: Extractor, in_training: bool) -> Difference:
        def told(what: str) -> Progress:
            return named(progress, f"{extractor.name}: {what}")

        fake = extract(extractor, drawn, progress=told("generated"))
        real = reference_features(store, split, extractor, progress=told("real"))
        rest = None
        if floors:
            rest = reference_features(store, other, extractor, count=len(drawn), seed=seed, progress=told("other real"))
        progress(f"{extractor.name}: comparing", 0, 1)
        found = difference(extractor, real, fake, rest, in_training=in_training, seed=seed)
        progress(f"{extractor.name}: comparing", 1, 1)
        return found

    def part_took(extractor: Extractor) -> bool:
        return extractor.name in trained_over or extractor.digest in trained_over

    networks = tuple(measured(each, part_took(each)) for each in extractors)
    parts = PARTS if crops and extractors else ()
    return Realism(
        networks,
        None if detector is None else _faces_found(detector, store, split, drawn, seed, progress),
        {part: measured(PartExtractor(extractors[0], part), part_took(extractors[0])) for part in parts},
    )


def _faces_found(
    detector: FaceDetector, store: PackedDataset, split: str, drawn: Levels, seed: int, progress: Progress
) -> FacesFound:
    """At equal counts, of either drawn by ``seed``."""
    rows = reference_rows(store, split, len(drawn), seed)
    some = np.sort(np.random.default_rng([seed, 4]).permutation(len(drawn))[: len(rows)])
    told = named(progress, "looking for faces")
    real = np.asarray(store.images[rows])
    return FacesFound(detector.name, len(rows), detector.count(drawn[some], told), detector.count(real, told))
