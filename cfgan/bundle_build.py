"""Putting trained parts together into a bundle, measured, with a model card."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cfgan.bundle import Bundle, require_bundle_or_unused, write_bundle
from cfgan.calibration import classifier_figures, fit_calibration
from cfgan.errors import InputError
from cfgan.evaluation.accuracy import plain, unfiltered_accuracy
from cfgan.files import read_json_object
from cfgan.training.prior import load_prior
from cfgan.yaml_files import parse_yaml, read_text_limited

_CARD = Path(__file__).parent / "templates" / "model_card.md.j2"


def build_bundle(
    out: Path,
    name: str,
    gan: Path,
    verifier: Path,
    prior: Path,
    *,
    data: str,
    licence: str,
    draws: int = 2720,
    progress: Callable[[int, int], None] | None = None,
) -> Bundle:
    """Build a bundle from a GAN run, a verifier run and a prior file.

    The verifier is calibrated on the validation split that its run kept. The card's figures on generated faces are
    measured with the finished bundle.

    Args:
        out: the bundle's folder.
        name: its name.
        gan, verifier: run folders.
        prior: file of the fitted prior.
        data: what it was trained on, for the card.
        licence: of the weights, for the card.
        draws: unfiltered draws behind the figures on generated faces.
        progress: called with (draws done, draws in all).

    Raises:
        InputError: a part is missing or the parts' vocabularies differ.
    """
    out = out.resolve()
    require_bundle_or_unused(out)
    about_gan, about_verifier = _about(gan, "gan", "gan"), _about(verifier, "verifier", "classifier")
    fitted = load_prior(prior)
    vocabularies = {json.dumps(part["vocabulary"]["names"]) for part in (about_gan, about_verifier)}
    if vocabularies != {json.dumps(list(fitted.vocabulary.names))}:
        raise InputError("generator, verifier and prior have different vocabularies.", field="gan", value=gan)
    if hashlib.sha256(_read(verifier / "model.safetensors")).hexdigest() in about_gan.get("guides", []):
        raise InputError(
            "this classifier has guided the generator; a gate that it was trained against proves nothing.",
            field="verifier",
            value=verifier,
        )
    try:
        with np.load(verifier / "validation.npz", allow_pickle=False) as kept:
            logits, labels = kept["logits"], kept["labels"]
    except (OSError, ValueError, KeyError):
        raise InputError(f"{verifier} has no validation.npz.", field="verifier", value=verifier) from None
    settings = {part: _settings(folder) for part, folder in (("gan", gan), ("verifier", verifier))}
    training = {
        "images": about_gan["images"],
        "seconds": _seconds(gan),
        "verifier_images": _last_images(verifier),
        "verifier_seconds": _seconds(verifier),
        "settings": settings,
    }
    config: dict[str, Any] = {
        "name": name,
        "licence": licence,
        "data": data,
        "vocabulary": fitted.vocabulary.to_dict(),
        "generator": about_gan["shape"],
        "verifier": {
            "shape": about_verifier["shape"],
            "calibration": fit_calibration(logits, labels).to_dict(),
            "figures": plain(classifier_figures(logits, labels, fitted.vocabulary.names)),
        },
        "training": training,
    }
    weights = {
        "generator.safetensors": _read(gan / "generator.safetensors"),
        "discriminator.safetensors": _read(gan / "discriminator.safetensors"),
        "verifier.safetensors": _read(verifier / "model.safetensors"),
        "prior.safetensors": _read(prior),
    }
    with tempfile.TemporaryDirectory() as scratch:  # what stands at ``out`` stays until the new one is measured
        bundle = write_bundle(Path(scratch) / "bundle", config, weights, "being measured")
        measured = unfiltered_accuracy(bundle, draws, 0, progress=progress)
        config["measured"] = {"draws": draws, "seed": 0, "unfiltered": plain(measured)}
        return write_bundle(out, config, weights, model_card(config, bundle))


def model_card(config: Mapping[str, Any], bundle: Bundle) -> str:
    """The model card as Markdown (Mitchell et al., "Model Cards for Model Reporting", 2019)."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters["pct"] = lambda value: "-" if value is None else f"{100 * value:.1f}"
    figures = config["verifier"]["figures"].values()

    def mean(key: str) -> float | None:
        values = [row[key] for row in figures if row[key] is not None]
        return float(np.mean(values)) if values else None

    means = {key: mean(key) for key in ("accuracy", "majority", "balanced_accuracy", "auc", "calibration_error")}
    from cfgan.networks.classifier import count_parameters

    sizes = {
        part: count_parameters(load().requires_grad_(True))
        for part, load in (("generator", bundle.generator), ("discriminator", bundle.discriminator))
    }
    sizes["verifier"] = count_parameters(bundle.verifier().requires_grad_(True))
    template = environment.from_string(_CARD.read_text(encoding="utf-8"))
    return template.render(**config, means=means, sizes=sizes, thresholds=bundle.calibration.threshold.tolist())


def _about(run: Path, field: str, kind: str) -> dict[str, Any]:
    try:
        about = read_json_object(run / "model.json")
        if about["kind"] != kind:
            raise ValueError(f"it is a {about['kind']} run")
        return {**about, "vocabulary": {**about["vocabulary"]}, "shape": {**about["shape"]}}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{run} holds no trained {kind} ({error}).", field=field, value=run) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).", field=path.stem, value=path) from None


def _settings(run: Path) -> dict[str, Any]:
    """The run's resolved configuration, without what is local to a machine."""
    values = parse_yaml(read_text_limited(run / "config.yaml"), name="config.yaml")
    local = {"images", "threads", "device", "save_images", "sample_images", "log_images", "tensorboard", "kind"}
    kept = {key: value for key, value in values.items() if key not in local}
    if kept.get("guide"):
        kept["guide"] = Path(kept["guide"]).name
    if (run / "changes.jsonl").exists():
        kept["changes"] = _without_paths([json.loads(line) for line in _read(run / "changes.jsonl").splitlines()])
    return kept


def _without_paths(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was changed in a run, with guides named by their folder alone."""
    for entry in changes:
        for key, pair in entry["changes"].items():
            if key == "guide":
                entry["changes"][key] = [Path(value).name if value else None for value in pair]
    return changes


def _log(run: Path) -> list[dict[str, Any]]:
    lines = _read(run / "stats.jsonl").decode("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _last_images(run: Path) -> int:
    return int(_log(run)[-1]["images"])


def _seconds(run: Path) -> int:
    """Time spent in training steps, from the run's own log."""
    seconds, before = 0.0, 0
    for row in _log(run):
        seconds += (row["images"] - before) / row["images_per_second"]
        before = row["images"]
    return round(seconds)
