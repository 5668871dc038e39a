"""Putting trained parts together into a bundle, measured, with a model card."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cfgan.assemble.encoder import card_section
from cfgan.assemble.hub import card_head
from cfgan.assemble.onnx_check import check_graphs
from cfgan.assemble.onnx_networks import graphs_of
from cfgan.assemble.parts import Parts, assemble
from cfgan.assemble.run_files import read_log
from cfgan.evaluation.accuracy import plain, unfiltered_accuracy
from cfgan.evaluation.card import Plan, default_requests, measure
from cfgan.evaluation.extractor_names import extractors_for, realism_extractors
from cfgan.evaluation.identity import IdentityExtractor
from cfgan.external.detector import FaceDetector
from cfgan.external.opening import open_external_classifiers
from cfgan.io.files import real_path
from cfgan.io.progress import Progress, named, silent
from cfgan.io.yaml import read_text_limited
from cfgan.model.bundle import Bundle, require_bundle_or_unused, write_bundle
from cfgan.model.classifiers import NETWORKS
from cfgan.networks.devices import pick_device
from cfgan.reports.model.curves import training_curves
from cfgan.reports.model.distances import distance_histograms
from cfgan.reports.model.samples import before_and_after, can_be_compared, sample_sheet, sheet_count

if TYPE_CHECKING:
    from torch import nn

_SUBJECTIVE = ("Attractive", "Big_Nose", "Young")
_COMMON = 2 / 3  # share of the training images from which on a value is an imbalance that the card names
_CARD = Path(__file__).parent / "model_card.md.j2"


def build_bundle(
    out: Path,
    parts: Parts,
    *,
    draws: int = 2720,
    attached: Sequence[Path] = (),
    face_api: Path | None = None,
    nsfwjs: Path | None = None,
    privacy_images: int = Plan.privacy_images,
    progress: Progress = silent,
) -> Bundle:
    """Build a bundle from a GAN run, classifiers and a prior, measure it and write its card.

    Args:
        out: the bundle's folder.
        parts: what it is built from; with its store, everything that :func:`cfgan.evaluation.card.measure` measures
            against real images goes into the card.
        draws: unfiltered draws behind the figures on generated faces.
        attached: Markdown files that the card ends with.
        face_api: an unpacked npm package with two more external classifiers (:mod:`cfgan.external.face_api`).
        nsfwjs: an unpacked npm package with two networks that took no part (:mod:`cfgan.external.nsfwjs`).
        privacy_images: training, held-out and generated faces, each, that are compared by face embedding; 0 for none.
        progress: called while it lasts.

    Raises:
        InputError: a part is missing, the parts' vocabularies differ, or a classifier has guided the generator.
        ConfigError: an extra that measuring against real images needs is missing: evaluate, identity.
    """
    out = real_path(out)
    require_bundle_or_unused(out)
    notes = [read_text_limited(path, field="attach").strip() for path in attached]
    config, files = assemble(parts)
    faces = parts.store is not None and config.get("faces", True)
    detector = FaceDetector() if faces else None
    identity = IdentityExtractor() if faces and privacy_images else None
    external_classifiers, _ = open_external_classifiers(face_api) if faces else ([], [])
    outside = realism_extractors(nsfwjs, pick_device("auto")) if parts.store is not None else []
    files |= graphs_of(config, files)
    files["training.svg"] = training_curves(read_log(parts.gan))
    with tempfile.TemporaryDirectory() as scratch:  # what stands at ``out`` stays until the new one is measured
        bundle = write_bundle(Path(scratch) / "bundle", config, files, "being measured")
        check_graphs(bundle)
        files["samples.png"] = sample_sheet(bundle)
        if parts.keep is not None and can_be_compared(parts.keep, bundle):
            files["before_after.png"] = before_and_after(parts.keep, bundle)
        measured = unfiltered_accuracy(bundle, draws, 0, progress=named(progress, "measuring"))
        config["measured"] = {"draws": draws, "seed": 0, "unfiltered": plain(measured)}
        if parts.store is not None:
            names = ["judge"] if "judge" in config else []
            chosen = extractors_for(bundle, [*names, "efficientnet-lite0"], pick_device("auto"))
            plan = Plan(draws=draws, requests=default_requests(bundle), privacy_images=privacy_images)
            found = measure(
                bundle,
                parts.store,
                plan,
                chosen,
                outside=outside,
                detector=detector,
                identity=identity,
                external_classifiers=external_classifiers,
                progress=progress,
            )
            config["evaluation"] = plain({key: value for key, value in found.items() if key != "bundle"})
            if panels := _distances(config["evaluation"]):
                files["distances.svg"] = distance_histograms(panels)
        return write_bundle(out, config, files, model_card(config, bundle, notes, files))


def _distances(evaluation: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What distances to training images were measured by, and the figures."""
    kinds = {"memorisation": "features of the {}", "privacy": "face embedding, {}"}
    return {
        title.format(evaluation[key]["extractor"]): evaluation[key] for key, title in kinds.items() if key in evaluation
    }


def model_card(
    config: Mapping[str, Any], bundle: Bundle, notes: Sequence[str] = (), pictures: Container[str] = ()
) -> str:
    """The model card as Markdown (Mitchell et al., "Model Cards for Model Reporting", 2019), with a head for the Hub.

    Args:
        config: of the bundle.
        bundle: whose networks are counted.
        notes: Markdown that the card ends with.
        pictures: names of the files beside the card.
    """
    from jinja2 import Environment, StrictUndefined

    from cfgan.networks.classifier import count_parameters

    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters["pct"] = lambda value: "-" if value is None else f"{100 * value:.1f}"
    environment.filters["three"] = lambda value: "-" if value is None else f"{value:.3f}"
    roles = [role for role in NETWORKS if role in config]
    loads: dict[str, Callable[[], nn.Module]] = {"generator": bundle.generator, "discriminator": bundle.discriminator}
    loads |= {role: bundle.classifiers[role].load for role in roles}
    card = environment.from_string(_CARD.read_text(encoding="utf-8")).render(
        **{"evaluation": None, "faces": True, **config},
        roles=roles,
        parts={role: config[role] for role in roles},
        means={role: _means(config[role]["figures"]) for role in roles},
        sizes={part: count_parameters(load().requires_grad_(True)) for part, load in loads.items()},
        thresholds={role: config[role]["calibration"]["threshold"] for role in roles},
        subjective=[name.lower().replace("_", " ") for name in _SUBJECTIVE if name in bundle.vocabulary.names],
        common=_common(bundle),
        notes=notes,
        pictures=pictures,
        sheet=sheet_count(bundle.size),
    )
    return card_head(config) + card + card_section(config)


def _common(bundle: Bundle) -> list[str]:
    """The values that most training images share, commonest first, as the card names them: "Young 78 %"."""
    prior = bundle.prior()
    labelled = prior.known.diagonal() > 0
    order = np.argsort(-prior.marginals, kind="stable")
    return [
        f"{bundle.vocabulary.names[i].replace('_', ' ')} {100 * prior.marginals[i]:.0f} %"
        for i in order
        if labelled[i] and prior.marginals[i] >= _COMMON
    ][:3]


def _means(figures: Mapping[str, Mapping[str, float | None]]) -> dict[str, float | None]:
    def mean(key: str) -> float | None:
        values = [row[key] for row in figures.values()]
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None

    return {key: mean(key) for key in ("accuracy", "majority", "balanced_accuracy", "auc", "calibration_error")}
