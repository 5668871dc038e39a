"""The parts of a bundle: trained runs, or what an older bundle already has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save

from cfgan.assemble.encoder import FILE as ENCODER
from cfgan.assemble.encoder import kept_encoder, other_than_encoded
from cfgan.assemble.run_files import (
    Floats,
    average_file,
    in_half,
    last_images,
    read_about,
    read_file,
    read_readings,
    read_settings,
    read_weights,
    training_seconds,
)
from cfgan.attributes.latents import LatentRule
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.store import PackedDataset
from cfgan.errors import InputError, unknown
from cfgan.evaluation.accuracy import plain
from cfgan.model.bundle import Bundle
from cfgan.model.calibration import classifier_figures, fit_calibration
from cfgan.model.config import GATES
from cfgan.training.classifier import predict
from cfgan.training.data import load_split
from cfgan.training.prior import load_prior

_KINDS = {"verifier": "classifier", "judge": "judge"}
"""Role of a classifier -> kind of the run that trains one."""
_OPTIONAL = ("judge",)
"""Roles that a bundle may do without."""


@dataclass(frozen=True)
class Parts:
    """What a bundle is put together from.

    Args:
        gan: run folder of the generator.
        verifier, judge: run folders of the classifiers.
        prior: file of the fitted prior.
        keep: a bundle from which everything comes that is not given otherwise.
        name: of the bundle.
        data: what it was trained on, for the card.
        licence: of the weights, for the card.
        guide: run folder of the classifier that pulled the generator; training can then go on from the bundle alone.
        store: real images, in which kept classifiers read the validation split if that is not known of them.
        faces: whether the images are faces; None: as in the bundle that is kept, else yes.
        latents: how latents are drawn, as :class:`cfgan.attributes.latents.LatentRule` holds it; None: as once.
        gate: "request" or "value", what a draw must be as sure as; None: as once, "value".
        heads: whether the discriminator's heads over frozen features are kept, for going on with the training.
        average: half-life in images of the weight average that becomes the generator; none: the run's first.
    """

    gan: Path
    verifier: Path | None = None
    judge: Path | None = None
    prior: Path | None = None
    keep: Bundle | None = None
    name: str | None = None
    data: str | None = None
    licence: str | None = None
    store: PackedDataset | None = None
    guide: Path | None = None
    faces: bool | None = None
    latents: dict[str, Any] | None = None
    gate: str | None = None
    heads: bool = True
    average: int | None = None


def assemble(parts: Parts) -> tuple[dict[str, Any], dict[str, bytes]]:
    """``config.json`` and the weights of a bundle.

    Verifier and judge are calibrated on the validation split that their runs kept.

    Raises:
        InputError: a part is missing, the parts' vocabularies differ, or a classifier has guided the generator.
    """
    keep = parts.keep
    about = read_about(parts.gan, "gan", "gan")
    gan_vocabulary, size = Vocabulary.from_dict(about["vocabulary"]), int(about["shape"]["size"])
    same_names = keep is None or keep.vocabulary.names == gan_vocabulary.names
    fits = _fits(keep, about)
    if not fits:
        _require_own(parts, ("verifier", "data") if same_names else ("verifier", "prior", "data"))
    elif keep is not None and keep.size != size:
        _require_own(parts, ("data",))
    weights = {
        "generator.safetensors": read_weights(parts.gan, about, average_file(parts.gan, about, parts.average)),
        "discriminator.safetensors": in_half(read_weights(parts.gan, about, "discriminator.safetensors")),
    }
    prior = load_prior(parts.prior) if parts.prior else _kept(keep, "prior").prior()
    weights["prior.safetensors"] = read_file(parts.prior or _kept(keep, "prior").file("prior.safetensors"))
    vocabularies = {"prior": prior.vocabulary, "gan": gan_vocabulary}
    config: dict[str, Any] = {
        "name": parts.name or _kept(keep, "name").name,
        "licence": parts.licence or _kept(keep, "licence").config["licence"],
        "data": parts.data or _kept(keep, "data").config["data"],
        "vocabulary": prior.vocabulary.to_dict(),
        "generator": about["shape"],
    }
    faces = parts.faces if parts.faces is not None else keep is None or keep.of_faces
    if not faces:
        config["faces"] = False
    # How draws are made and accepted belongs to the model: what an older one makes stays as it is.
    for rule, value in (("latents", parts.latents), ("gate", parts.gate)):
        if value is not None:
            config[rule] = value
    config["training"] = _training(parts.gan, about, keep)
    if parts.average is not None:
        config["training"]["average"] = parts.average
    readings: dict[str, tuple[Floats, Floats]] = {}
    for role, kind in _KINDS.items():
        run: Path | None = getattr(parts, role)
        if run is not None:
            model = read_about(run, role, kind)
            data = read_weights(run, model, "model.safetensors")
            vocabularies[role] = Vocabulary.from_dict(model["vocabulary"])
            readings[role] = read_readings(run, model, role)
            history = {"images": last_images(run), "seconds": training_seconds(run), "settings": read_settings(run)}
            described = {"shape": model["shape"], "training": history}
            described |= _measured(*readings[role], prior.vocabulary)
        elif keep is not None and fits and role in keep.config:
            described, data = dict(keep.config[role]), read_file(keep.file(f"{role}.safetensors"))
            described["shape"] = _shape_for(keep, role, size)
            described.setdefault("training", _older_training(keep, role))
            if (known := _readings_of_kept(keep, role, parts.store, size)) is not None:
                readings[role] = known
                described |= _measured(*known, prior.vocabulary)
        elif role in _OPTIONAL:
            continue
        else:
            _kept(keep, role)
        config[role], weights[f"{role}.safetensors"] = described, data
    if parts.heads and "heads" in about:
        config["heads"], weights["heads.safetensors"] = (
            about["heads"],
            read_weights(parts.gan, about, "heads.safetensors"),
        )
    if (guide := _guide(parts, config["training"]["guides"], fits, size)) is not None:
        config["guide"], weights["guide.safetensors"] = guide
    if (encoder := kept_encoder(keep, weights)) is not None:
        config["encoder"], weights[ENCODER] = encoder
    if "verifier" in readings:
        weights["validation.safetensors"] = _validation(readings)
    for part, vocabulary in vocabularies.items():
        if vocabulary.names != prior.vocabulary.names:
            raise InputError(f"the {part} has another vocabulary than the prior.", field=part)
    for role in _KINDS:
        data = weights.get(f"{role}.safetensors", b"")
        if hashlib.sha256(data).hexdigest() in config["training"]["guides"]:
            raise InputError(
                f"this {role} has guided the generator; a classifier that it was trained against proves nothing.",
                field=role,
                value=getattr(parts, role),
            )
    _require_outside_judge(config, parts)
    return config, weights


def not_kept(parts: Parts) -> dict[str, str]:
    """The parts of the kept bundle that a bundle of this run does without, such as "judge" -> why.

    Raises:
        InputError: there is no such run.
    """
    keep = parts.keep
    about = read_about(parts.gan, "gan", "gan")
    if keep is None:
        return {}
    left = {}
    made = {"generator": read_weights(parts.gan, about, average_file(parts.gan, about, parts.average))}
    if parts.verifier is not None:
        model = read_about(parts.verifier, "verifier", "classifier")
        made["verifier"] = read_weights(parts.verifier, model, "model.safetensors")
    if (other := other_than_encoded(keep, made)) is not None:
        left["encoder"] = f"has learnt with another {other}"
    if _fits(keep, about):
        return left
    same_names = keep.vocabulary.names == Vocabulary.from_dict(about["vocabulary"]).names
    why = "reads images of another size" if same_names else "knows other attributes"
    return left | {part: why for part in (*_OPTIONAL, "guide") if part in keep.config and getattr(parts, part) is None}


def _fits(keep: Bundle | None, about: Mapping[str, Any]) -> bool:
    """Whether a bundle's classifiers read a run's pictures: the same attributes, images of the same size or of a
    multiple of it, which they read as averages."""
    if keep is None:
        return True
    names = Vocabulary.from_dict(about["vocabulary"]).names
    return keep.vocabulary.names == names and about["shape"]["size"] % keep.size == 0


def _shape_for(keep: Bundle, role: str, size: int) -> dict[str, Any]:
    """The shape of a kept classifier that reads images of ``size`` pixels as those that it has learnt on."""
    shape = dict(keep.config[role]["shape"])
    return shape if size == keep.size else {**shape, "reads": shape.get("reads") or keep.size}


def _require_own(parts: Parts, needed: Sequence[str]) -> None:
    """Raise InputError if something is missing that a bundle of other attributes or images cannot lend."""
    keep = _kept(parts.keep, "keep")
    other = "other attributes" if "prior" in needed else "images of another size"
    for part, how in (
        ("verifier", "`cfgan train verifier --data STORE`"),
        ("prior", "`cfgan train prior --data STORE`"),
        ("data", "in words, what the run was trained on"),
    ):
        if part in needed and getattr(parts, part) is None:
            text = f"give it too ({how}): {keep.name} has {other} than this run, and its {part} is of those."
            raise InputError(text, field=f"--{part}")


def _require_outside_judge(config: dict[str, Any], parts: Parts) -> None:
    """Raise InputError if the judge reads the very features that the generator was trained over."""
    trunk = config.get("judge", {}).get("shape", {}).get("trunk", "efficientnet-lite0")
    if "judge" in config and trunk in config["training"]["features"]:
        raise InputError(
            f"this judge reads {trunk}, whose features trained the generator; train one on others "
            "(`cfgan train judge --set trunk=mobilenet-v2`).",
            field="judge",
            value=parts.judge,
        )


def latent_rule(keep: Bundle | None, truncation: float | None, own: bool | None) -> dict[str, Any]:
    """How a new bundle's latents are drawn: as is said, else as the kept bundle does, else each request's own.

    Raises:
        InputError: a truncation that cannot be.
    """
    before = keep.latents if keep is not None else LatentRule(shared=False)
    try:
        rule = LatentRule(
            before.truncation if truncation is None else truncation, before.shared if own is None else not own
        )
    except ValueError as error:
        raise InputError(f"{error}.", field="--truncation", value=truncation) from None
    return rule.to_dict()


def gate_rule(keep: Bundle | None, gate: str | None) -> str:
    """What a new bundle's gate is made of: as is said, else as the kept bundle does, else the whole request.

    Raises:
        InputError: there is no such gate.
    """
    if gate is None:
        return "request" if keep is None or keep.gates_requests else "value"
    if gate not in GATES:
        raise unknown("gate", gate, GATES, field="--gate")
    return gate


def _guide(parts: Parts, guides: Sequence[str], fits: bool, size: int) -> tuple[dict[str, Any], bytes] | None:
    """Shape and weights of the guide, given or kept; one that has had no part in this generator is not kept."""
    if parts.guide is not None:
        about = read_about(parts.guide, "guide", "classifier")
        data = read_weights(parts.guide, about, "model.safetensors")
        if hashlib.sha256(data).hexdigest() not in guides:
            raise InputError("that classifier has not guided this generator.", field="guide", value=parts.guide)
        return {"shape": about["shape"]}, data
    if parts.keep is None or not fits or "guide" not in parts.keep.config:
        return None
    data = read_file(parts.keep.file("guide.safetensors"))
    if hashlib.sha256(data).hexdigest() not in guides:
        return None
    return {**parts.keep.config["guide"], "shape": _shape_for(parts.keep, "guide", size)}, data


def _kept(keep: Bundle | None, what: str) -> Bundle:
    if keep is None:
        raise InputError(f"give --{what}, or --keep a bundle that has it.", field=f"--{what}")
    return keep


def _readings_of_kept(keep: Bundle, role: str, store: PackedDataset | None, size: int) -> tuple[Floats, Floats] | None:
    """The same of a classifier that comes from a bundle: what it kept, or read now in a store's images.

    Raises:
        InputError: it has to read images of another size than once, and there are none.
    """
    validation = keep.validation()
    if size == keep.size and validation is not None and role in validation.logits:
        return validation.logits[role], validation.labels
    fitting = store is not None and store.vocabulary.names == keep.vocabulary.names and store.size == size
    if store is None or not fitting or not len(store.rows("validation")):
        if size == keep.size:
            return None
        text = f"give real images of {size} pixels: {keep.name}'s {role} has been measured at {keep.size} only."
        raise InputError(text, field="--measure-on")
    if role not in keep.classifiers:
        return None
    network: Any = keep.classifiers[role].load()
    network.shape = replace(network.shape, reads=_shape_for(keep, role, size).get("reads", 0))
    logits, labels = predict(network, load_split(store, "validation", torch.device("cpu")))
    return logits.numpy(), labels.numpy()


def _measured(logits: Floats, labels: Floats, vocabulary: Vocabulary) -> dict[str, Any]:
    """A classifier's calibration, and its figures on held-out real images."""
    return {
        "calibration": fit_calibration(logits, labels).to_dict(),
        "figures": plain(classifier_figures(logits, labels, vocabulary.names)),
    }


def _validation(readings: dict[str, tuple[Floats, Floats]]) -> bytes:
    """The file of held-out readings; classifiers that read other images than the verifier did are an error."""
    labels = readings["verifier"][1]
    arrays = {"labels": np.sign(np.nan_to_num(labels)).astype(np.int8)}
    for role, (logits, same) in readings.items():
        if same.shape != labels.shape or not np.array_equal(same, labels, equal_nan=True):
            raise InputError(f"{role} and verifier were measured on different images.", field=role)
        arrays[role] = np.asarray(logits, dtype=np.float16)
    return save(arrays)


def _training(gan: Path, about: dict[str, Any], keep: Bundle | None) -> dict[str, Any]:
    """What is known of the generator's training: of its run, and of the bundle that the run started from."""
    training: dict[str, Any] = {
        "images": about["images"],
        "seconds": training_seconds(gan),
        "guides": about.get("guides", []),
        "features": list(about.get("features", [])),
        "settings": read_settings(gan),
    }
    if start := about.get("start"):
        training["start"] = dict(start)
        training["images"] += start["images"]
        if keep is not None and keep.digest == start["digest"]:
            earlier = keep.config["training"]
            training["seconds"] += earlier["seconds"]
            training["start"]["settings"] = earlier["settings"].get("gan", earlier["settings"])
            if "start" in earlier:
                training["start"]["start"] = earlier["start"]
    return training


def _older_training(keep: Bundle, role: str) -> dict[str, Any]:
    """The record of a classifier's training where older bundles keep it."""
    training = keep.config["training"]
    if f"{role}_images" not in training:
        return {}
    return {
        "images": training[f"{role}_images"],
        "seconds": training[f"{role}_seconds"],
        "settings": training["settings"][role],
    }
