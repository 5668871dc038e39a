"""Everything that is measured about a bundle, in one go: realism, what readers see, accuracy of requests, diversity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cfgan.attributes.request import Request, format_request, parse_request
from cfgan.attributes.vocabulary import CELEBA
from cfgan.data.store import PackedDataset
from cfgan.errors import InputError
from cfgan.evaluation import agreement as reading
from cfgan.evaluation.diversity import within_requests
from cfgan.evaluation.external import external_agreement
from cfgan.evaluation.extractors import Extractor, extract
from cfgan.evaluation.fidelity import intra_attribute_fd, measure_fidelity
from cfgan.evaluation.memorisation import closeness, nearest_distances
from cfgan.evaluation.realism import measure_realism
from cfgan.evaluation.reference import reference_features, reference_rows
from cfgan.evaluation.requests import RequestSet, balanced, from_prior, rare, repeated
from cfgan.evaluation.result import FORMAT
from cfgan.external.classifier import ExternalClassifier
from cfgan.external.detector import FaceDetector
from cfgan.generate.sampling import latents
from cfgan.io.progress import Progress, named, silent
from cfgan.model.bundle import Bundle
from cfgan.model.engine import Generator
from cfgan.model.engines import open_engine
from cfgan.verify.reader import readers_of

Levels = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]

_BATCH = 32
_WHOLE = 256  # draws of each whole request


@dataclass(frozen=True)
class Plan:
    """What to measure, and on how many draws.

    Args:
        draws: faces for fidelity, and requests drawn from the prior.
        each: draws for and against each attribute alone.
        rare_requests: how many rare pairs are asked for, ``each`` times each.
        requests: whole requests of several attributes, 256 draws each.
        privacy_images: how many training, held-out and generated faces, each, are compared by face embedding.
        split: of the store, which the generated faces are compared with.
        seed: of everything.
    """

    draws: int = 10_000
    each: int = 34
    rare_requests: int = 20
    requests: tuple[Request, ...] = ()
    privacy_images: int = 3000
    split: str = "validation"
    seed: int = 0


_CELEBA_REQUESTS = (
    "Male,Smiling,Eyeglasses",
    "-Male,Smiling,Eyeglasses",
    "Male,-Young,Gray_Hair",
    "-Male,Young,Blond_Hair,Wavy_Hair",
    "Male,Wearing_Hat",
    "-Male,Wearing_Hat,Smiling",
    "Male,Bald,Eyeglasses",
    "Male,Mustache,-Smiling",
)


def default_requests(bundle: Bundle) -> tuple[Request, ...]:
    """The whole requests that a card has figures for: a fixed list for CelebA's attributes, none for others."""
    if bundle.vocabulary.names != CELEBA.names:
        return ()
    return tuple(parse_request(text, bundle.vocabulary) for text in _CELEBA_REQUESTS)


def measure(
    bundle: Bundle,
    store: PackedDataset,
    plan: Plan,
    extractors: Sequence[Extractor],
    *,
    outside: Sequence[Extractor] = (),
    detector: FaceDetector | None = None,
    identity: Extractor | None = None,
    external_classifiers: Sequence[ExternalClassifier] = (),
    device: str = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure a bundle against the real images of a store. Nothing is filtered.

    For fidelity the generator is given the labels of the real images themselves, so that the marginals of the
    attributes are the same on both sides and only the images differ.

    Args:
        bundle: the model.
        store: packed real images that the bundle's vocabulary labels.
        plan: what to measure.
        extractors: over whose features fidelity is measured.
        outside: networks that took no part, over which realism is measured.
        detector: of faces; left out when None.
        identity: a face embedder, by which generated faces are compared with training images too; or None.
        external_classifiers: external ones, which look for the one attribute that each knows.
        device: where to compute.
        progress: called while it lasts.

    Returns:
        Plain figures. NaN where there is nothing to measure.

    Raises:
        InputError: the store has other attributes, another size or no images of that split.
    """
    engine = open_engine(bundle, device)
    real, labels = _real(bundle, store, plan)
    render, prior = engine.generator(), bundle.prior()
    readers = readers_of(bundle, engine)
    names = bundle.vocabulary.names

    def draw(drawn: RequestSet, stage: str) -> Levels:
        return draw_levels(render, drawn, named(progress, stage))

    cut = bundle.latents.truncation
    sets = {
        "prior": from_prior(prior, plan.draws, bundle.z_dim, plan.seed, cut),
        "balanced": balanced(prior, plan.each, bundle.z_dim, plan.seed + 1, cut),
        "rare": rare(prior, plan.rare_requests, plan.each, bundle.z_dim, plan.seed + 2, cut),
    }
    for k, request in enumerate(plan.requests):
        sets[format_request(request)] = repeated(prior, request, _WHOLE, bundle.z_dim, plan.seed + 3 + k, cut)
    count = min(plan.draws, len(real))
    z = latents(plan.seed, range(count), bundle.z_dim, cut)
    chosen = np.searchsorted(store.rows(plan.split), reference_rows(store, plan.split, count, plan.seed))
    matched = RequestSet([{}] * count, np.nan_to_num(labels[chosen]), z)

    result: dict[str, Any] = {
        "format": FORMAT,
        "bundle": {"name": bundle.name, "digest": bundle.digest},
        "data": {"digest": store.digest, "split": plan.split, "images": len(real), "size": store.size},
        "seed": plan.seed,
    }
    faces = draw(matched, "drawing")
    realism = measure_realism(
        store,
        plan.split,
        faces,
        outside,
        detector=detector,
        crops=bundle.of_faces,
        trained_over=bundle.config.get("training", {}).get("features", ()),
        seed=plan.seed,
        progress=progress,
    )
    result["realism"] = realism.to_dict()
    if realism.faces is not None:
        result["detector"] = asdict(realism.faces)
    result["fidelity"], features = {}, []
    for extractor in extractors:
        figures, fake = _fidelity(extractor, store, plan, faces, matched.conditions, names, progress)
        result["fidelity"][extractor.name] = figures
        features.append(fake)
    if external_classifiers:
        held = (real[chosen], labels[chosen])
        result["witnesses"] = external_agreement(
            external_classifiers, bundle.vocabulary, (faces, matched.conditions), held, progress
        )

    pixels = {name: draw(drawn, f"drawing, {name}") for name, drawn in sets.items()}
    result["accuracy"] = {}
    for reader in readers:
        show = named(progress, f"{reader.name} reads")
        on_real = reader.seen(real, show)
        seen = {name: reader.seen(levels, show) for name, levels in pixels.items()}
        single = reading.single_attributes(bundle.vocabulary, sets["balanced"], seen["balanced"], on_real, labels)
        result["accuracy"][reader.name] = {
            "prior": reading.agreement(bundle.vocabulary, sets["prior"], seen["prior"], on_real, labels),
            "single": single,
            "single_gap": {word: reading.mean_of(single, (word,), "gap") for word in ("yes", "no")},
            "rare": reading.requested_values(bundle.vocabulary, sets["rare"], seen["rare"]),
            "requests": {
                format_request(request): reading.whole_request(
                    bundle.vocabulary, request, seen[format_request(request)], on_real, labels
                )
                for request in plan.requests
            },
        }
    if extractors:
        first = extractors[0]
        generated = extract(first, pixels["balanced"], progress=named(progress, f"{first.name}: diversity"))
        known = reference_features(store, plan.split, first)
        result["diversity"] = {
            "extractor": first.name,
            **within_requests(bundle.vocabulary, sets["balanced"], generated, known, labels, plan.seed),
        }
        if plan.split != "train" and len(store.rows("train")):
            result["memorisation"] = _copies(first, store, plan, features[0], None, progress)
    if identity is not None and plan.split != "train" and len(store.rows("train")):
        few = np.random.default_rng([plan.seed, 1]).permutation(len(faces))[: plan.privacy_images]
        vectors = extract(identity, faces[np.sort(few)], progress=named(progress, f"{identity.name}: generated"))
        result["privacy"] = _copies(identity, store, plan, vectors, plan.privacy_images, progress)
    return result


def _copies(
    extractor: Extractor, store: PackedDataset, plan: Plan, generated: Features, count: int | None, progress: Progress
) -> dict[str, Any]:
    """How near generated faces, given as features (N, D), and held-out ones are to training images, ``count`` at most
    of each kind of real ones."""

    def features(split: str, what: str) -> Features:
        show = named(progress, f"{extractor.name}: {what}")
        return reference_features(store, split, extractor, count=count, seed=plan.seed, progress=show)

    training, held_out = features("train", "training images"), features(plan.split, "real")
    found = closeness(nearest_distances(generated, training), nearest_distances(held_out, training))
    return {"extractor": extractor.name, "training_images": len(training), **found}


def _real(bundle: Bundle, store: PackedDataset, plan: Plan) -> tuple[Levels, npt.NDArray[np.float32]]:
    if store.vocabulary.names != bundle.vocabulary.names:
        raise InputError(f"its attributes are not those of {bundle.name}.", field="data", value=store.path)
    if store.size != bundle.size:
        raise InputError(
            f"its images are {store.size} pixels, those of {bundle.name} {bundle.size}.", field="data", value=store.path
        )
    rows = store.rows(plan.split)
    if len(rows) < 2:
        raise InputError(f"the store has no {plan.split} images.", field="split", value=plan.split)
    return np.asarray(store.images[rows]), np.asarray(store.labels[rows])


def draw_levels(render: Generator, drawn: RequestSet, progress: Progress | None = None) -> Levels:
    """Generated faces as pixel levels, uint8 (N, 3, H, W)."""
    parts = []
    for start in range(0, len(drawn), _BATCH):
        part = slice(start, start + _BATCH)
        parts.append(render(drawn.z[part], drawn.conditions[part]))
        if progress:
            progress("drawing", min(start + _BATCH, len(drawn)), len(drawn))
    return np.concatenate(parts) if parts else np.zeros((0, 3, 1, 1), np.uint8)


def _fidelity(
    extractor: Extractor,
    store: PackedDataset,
    plan: Plan,
    faces: Levels,
    conditions: npt.NDArray[np.float32],
    names: tuple[str, ...],
    progress: Progress,
) -> tuple[dict[str, Any], Features]:
    """Figures over one extractor, and the features of the generated faces."""

    def show(what: str) -> Progress:
        return named(progress, f"{extractor.name}: {what}")

    fake = extract(extractor, faces, progress=show("generated"))
    real = reference_features(store, plan.split, extractor, progress=show("real"))
    other = "train" if plan.split != "train" else "validation"
    others = None
    if len(store.rows(other)) >= len(fake):
        others = reference_features(store, other, extractor, count=len(fake), progress=show("other real"))
    progress(f"{extractor.name}: comparing", 0, 1)
    figures = measure_fidelity(extractor.name, real, fake, others=others, seed=plan.seed).to_dict()
    labels = np.asarray(store.labels[store.rows(plan.split)])
    figures["attributes"] = intra_attribute_fd(names, real, labels, fake, conditions, floor=True, seed=plan.seed)
    progress(f"{extractor.name}: comparing", 1, 1)
    return figures, fake
