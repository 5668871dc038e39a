"""What external classifiers see in a bundle's faces, beside what the same ones see in real faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.evaluation.agreement import beside_real
from cfgan.external.classifier import ExternalClassifier, ask
from cfgan.external.detector import Boxes, FaceFinder, Levels
from cfgan.external.real_faces import RealReadings, count_readings
from cfgan.io.progress import Progress, silent, within

Labelled = tuple[Levels, npt.NDArray[np.floating[Any]]]
"""Faces uint8 (N, 3, H, W), and what they are to show, (N, A): above 0 the attribute, below 0 its absence."""


def external_agreement(
    external_classifiers: Sequence[ExternalClassifier],
    vocabulary: Vocabulary,
    generated: Labelled,
    real: Labelled,
    progress: Progress = silent,
) -> dict[str, dict[str, Any]]:
    """How often external classifiers see an attribute as it was asked for, and as it is labelled in real faces.

    Args:
        external_classifiers: those whose attribute the vocabulary lacks are left out.
        vocabulary: the A attributes.
        generated: faces with their conditions.
        real: held-out real faces with their labels.
        progress: called while it lasts.

    Returns:
        A classifier's name -> ``attribute``, ``source``, ``licence``, ``digest``; ``yes`` and ``no``, how often it sees
        what was asked for, or asked away: rate, interval (Wilson 95 %), n, ceiling (the rate on real faces), real (how
        many of those) and gap (ceiling minus rate); ``unsaid`` and ``unsaid_real``, faces that it has no word for.

    Raises:
        ConfigError: dlib is missing.
    """
    fitting = [classifier for classifier in external_classifiers if classifier.attribute in vocabulary.names]
    if not fitting:
        return {}
    drawn = _readings(fitting, vocabulary, generated, within(progress, after=": generated"))
    held = _readings(fitting, vocabulary, real, within(progress, after=": real"))
    return {
        classifier.name: {
            **{key: getattr(classifier, key) for key in ("attribute", "source", "licence", "digest")},
            "yes": beside_real(drawn[k].rate(1.0), held[k].rate(1.0)),
            "no": beside_real(drawn[k].rate(-1.0), held[k].rate(-1.0)),
            "unsaid": drawn[k].unsaid,
            "unsaid_real": held[k].unsaid,
        }
        for k, classifier in enumerate(fitting)
    }


def _readings(
    external_classifiers: Sequence[ExternalClassifier], vocabulary: Vocabulary, faces: Labelled, progress: Progress
) -> list[RealReadings]:
    levels, values = faces
    boxes: Boxes = FaceFinder()(levels, progress)
    found = []
    for classifier in external_classifiers:
        probability = ask(classifier, levels, boxes, progress)
        found.append(count_readings(classifier, probability, values[:, vocabulary.index(classifier.attribute)]))
    return found
