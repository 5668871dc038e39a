"""A model on disk: ``config.json``, ``*.safetensors``, ``README.md`` (model card) and ``manifest.json`` (sha256 sums).

Opening one reads no weights and imports no torch; the networks are loaded when they are asked for, each after its
checksum was compared. Only safetensors are ever read, never a pickle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from cfgan.attributes.latents import LatentRule
from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import BundleError, InputError, VocabularyError, nearest
from cfgan.io.files import (
    is_safe_name,
    json_bytes,
    read_json_object,
    real_path,
    sha256_of,
    user_path,
    write_bytes,
    write_json,
)
from cfgan.io.folders import anything, replace_folder, require_ours
from cfgan.io.reading import library_errors, load_tensors, read_regular
from cfgan.model.calibration import Calibration
from cfgan.model.classifiers import NETWORKS, Classifier, Validation, read_validation
from cfgan.model.config import checked_config
from cfgan.model.default import DEFAULT
from cfgan.model.hub import fetch, is_address
from cfgan.model.realism import RealismStatement, realism_statement
from cfgan.networks.shape import GanShape

if TYPE_CHECKING:
    from torch import nn

    from cfgan.networks.classifier import AttributeClassifier
    from cfgan.networks.encoder import Encoder
    from cfgan.networks.feature_heads import FeatureHeads
    from cfgan.networks.judge import Judge

M = TypeVar("M", bound="nn.Module")

FORMAT = "cfgan-bundle/1"

MAX_BYTES = 1 << 32
"""Bytes of the largest file of a bundle that is read."""


@dataclass(frozen=True)
class Bundle:
    """An opened bundle.

    Args:
        path: its folder.
        config: ``config.json``.
        sums: file name -> sha256 as ``manifest.json`` says.
        vocabulary: the attributes.
        calibrations: role -> calibration of the classifier in it.
        digest: sha256 of ``manifest.json``; names this model in everything made with it.
    """

    path: Path
    config: Mapping[str, Any]
    sums: Mapping[str, str]
    vocabulary: Vocabulary
    calibrations: Mapping[str, Calibration]
    digest: str

    @property
    def name(self) -> str:
        return str(self.config["name"])

    @property
    def of_faces(self) -> bool:
        """Whether its images are faces, so that looking for faces in them makes sense."""
        return bool(self.config.get("faces", True))

    @property
    def size(self) -> int:
        """Side of an image in pixels."""
        return int(self.config["generator"]["size"])

    @property
    def latents(self) -> LatentRule:
        """How its latents are drawn where a spec does not say."""
        return LatentRule.from_dict(self.config.get("latents", {}))

    @property
    def gates_requests(self) -> bool:
        """Whether draws are accepted by how sure the verifier is of real faces that carry the *whole* request."""
        return bool(self.config.get("gate") == "request")

    @property
    def realism(self) -> RealismStatement:
        """How believable its draws are, as measured when it was built."""
        return realism_statement(self.config)

    @property
    def z_dim(self) -> int:
        """Length of a latent."""
        return int(self.config["generator"]["z_dim"])

    def file(self, name: str) -> Path:
        """Path of one file after its checksum was compared. Raises BundleError."""
        return _checked(self.path, self.sums, name)

    def verify(self) -> None:
        """Compare every file with its checksum, and the folder with the list. Raises BundleError."""
        for name in self.sums:
            self.file(name)
        present = {p.name for p in self.path.iterdir() if p.is_file()} - {"manifest.json"}
        if extra := sorted(present - set(self.sums)):
            raise BundleError(f"bundle {self.path} holds {extra[0]}, which manifest.json does not list.")

    def prior(self) -> Prior:
        """The prior over conditions, loaded once. Raises BundleError."""
        return self._prior

    @cached_property
    def _prior(self) -> Prior:
        path = self.file("prior.safetensors")
        with library_errors(path, lambda text: BundleError(f"bundle {self.path}: the prior does not load: {text}")):
            return Prior.from_arrays(self.vocabulary, load_tensors(path))

    @property
    def shape(self) -> GanShape:
        """What generator and discriminator are built from."""
        return GanShape(**self.config["generator"])

    def generator(self) -> nn.Module:
        """The averaged generator, in eval mode, on the CPU. Raises BundleError."""
        from cfgan.networks.families import make_generator

        return self._load("generator", lambda: make_generator(self.shape))

    def discriminator(self) -> nn.Module:
        """The discriminator, for fine-tuning. Raises BundleError."""
        from cfgan.networks.families import make_discriminator

        return self._load("discriminator", lambda: make_discriminator(self.shape))

    @property
    def calibration(self) -> Calibration:
        """Of the verifier."""
        return self.calibrations["verifier"]

    @property
    def judge_calibration(self) -> Calibration | None:
        """Of the judge, None in a bundle without one."""
        return self.calibrations.get("judge")

    @cached_property
    def classifiers(self) -> Mapping[str, Classifier]:
        """Role -> classifier: the verifier, then the judge where there is one."""
        return {
            role: Classifier(role, calibration, self._loader(role), self.validation)
            for role, calibration in self.calibrations.items()
        }

    def verifier(self) -> AttributeClassifier:
        """The verifier's network, in eval mode, on the CPU. Raises BundleError."""
        return cast("AttributeClassifier", self.classifiers["verifier"].load())

    def guide(self) -> AttributeClassifier | None:
        """The classifier that pulled the generator, for going on with its training; None where none is kept.

        It never gates and never reports: the generator was trained to please it.

        Raises:
            BundleError: a file is damaged.
        """
        if "guide" not in self.config:
            return None
        return cast("AttributeClassifier", self._load("guide", lambda: NETWORKS["verifier"](self.config["guide"])))

    def heads(self) -> FeatureHeads | None:
        """The discriminator's heads over frozen features, for going on with the training; None where none are kept.

        Raises:
            BundleError: a file is damaged.
        """
        if "heads" not in self.config:
            return None
        from cfgan.networks.feature_heads import FeatureHeads, HeadsShape

        return self._load("heads", lambda: FeatureHeads(HeadsShape.from_dict(self.config["heads"])))

    def encoder(self) -> Encoder | None:
        """What guesses how the generator draws a photo, in eval mode, on the CPU; None in a bundle without one.

        Raises:
            BundleError: a file is damaged.
        """
        if "encoder" not in self.config:
            return None
        from cfgan.networks.encoder import Encoder, EncoderShape

        return self._load("encoder", lambda: Encoder(EncoderShape.from_dict(self.config["encoder"]["shape"])))

    def judge(self) -> Judge | None:
        """The judge's network, in eval mode, on the CPU; None in a bundle without one. It reports and never gates.

        Raises:
            BundleError: a file is damaged.
        """
        found = self.classifiers.get("judge")
        return cast("Judge", found.load()) if found is not None else None

    def validation(self) -> Validation | None:
        """What verifier and judge read in held-out real images; None in a bundle that does not keep it.

        Raises:
            BundleError: the file is damaged.
        """
        return self._validation

    @cached_property
    def _validation(self) -> Validation | None:
        if "validation.safetensors" not in self.sums:
            return None
        path = self.file("validation.safetensors")
        with library_errors(path, lambda text: BundleError(f"bundle {self.path}: no validation readings: {text}")):
            return read_validation(path, self.vocabulary)

    def _loader(self, role: str) -> Callable[[], nn.Module]:
        return lambda: self._load(role, lambda: NETWORKS[role](self.config[role]))

    def _load(self, name: str, make: Callable[[], M]) -> M:
        from cfgan.networks.loading import load_network

        path = self.file(f"{name}.safetensors")
        with library_errors(path, lambda text: BundleError(f"bundle {self.path}: the {name} does not load: {text}")):
            return load_network(path, make)


def _checked(folder: Path, sums: Mapping[str, str], name: str) -> Path:
    path = folder / name
    if name not in sums:
        raise BundleError(f"bundle {folder} has no {name}.")
    try:
        if sha256_of(path, MAX_BYTES) == sums[name]:
            return path
    except OSError as error:
        raise BundleError(f"bundle {folder} is damaged: {name} cannot be read ({error.strerror}).") from None
    raise BundleError(f"bundle {folder} is damaged: {name} is not as manifest.json says.")


def shipped_bundles() -> dict[str, Path]:
    """Name -> folder of the bundles in the package."""
    folder = Path(__file__).parent / "weights"
    return {path.parent.name: path.parent for path in sorted(folder.glob("*/manifest.json"))}


def open_bundle(name_or_path: str | Path = DEFAULT) -> Bundle:
    """Open a bundle by path, a shipped one by name, or one on the Hugging Face Hub by ``owner/name@revision``.

    Raises:
        InputError: no such bundle, with the nearest names; or a folder that is none.
        ConfigError: an address on the Hub, and an extra is missing.
        BundleError: damaged, incomplete, or of another format.
    """
    path = user_path(name_or_path, field="bundle")
    shipped = shipped_bundles()
    if not (path / "manifest.json").is_file() and str(name_or_path) in shipped:
        path = shipped[str(name_or_path)]
    if not path.exists() and is_address(str(name_or_path)):
        path = fetch(str(name_or_path))
    if not path.is_dir():
        raise InputError(
            f"there is no folder and no shipped bundle {str(name_or_path)!r}.",
            field="bundle",
            value=name_or_path,
            nearest=nearest(path.name, shipped) or list(shipped),
        )
    try:
        manifest = read_regular(path / "manifest.json")
        sums = read_json_object(path / "manifest.json")["sha256"]
        if not all(is_safe_name(name) and isinstance(digest, str) for name, digest in sums.items()):
            raise ValueError("unsafe file name")
    except FileNotFoundError:
        raise InputError(f"{path} is not a bundle: manifest.json is missing.", field="bundle", value=path) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"bundle {path} is damaged: manifest.json cannot be read ({error}).") from None
    try:
        config = read_json_object(_checked(path, sums, "config.json"))
        if config.get("format") != FORMAT:
            raise BundleError(f"bundle {path} has format {config.get('format')!r}; this version reads {FORMAT}.")
        vocabulary, calibrations = checked_config(config)
    except (ValueError, KeyError, TypeError, AttributeError, VocabularyError) as error:
        raise BundleError(f"bundle {path} is damaged: config.json does not validate ({error}).") from None
    return Bundle(path, config, sums, vocabulary, calibrations, hashlib.sha256(manifest).hexdigest())


def write_bundle(out: Path, config: Mapping[str, Any], weights: Mapping[str, bytes], card: str) -> Bundle:
    """Write a bundle beside its place, then move it there, and open it.

    Args:
        out: new or empty folder, or a bundle that is replaced.
        config: content of ``config.json`` (format is added).
        weights: file name -> safetensors bytes.
        card: Markdown of the model card.

    Raises:
        FolderError: the folder holds something else.
        StorageError: the disk refused; an old bundle stays as it was.
    """
    about = {"config.json": json_bytes({"format": FORMAT, **config}), "README.md": card.encode("utf-8")}
    write_files(out, {**about, **weights})
    return open_bundle(out)


def write_files(out: Path, files: Mapping[str, bytes], check: Callable[[Bundle], None] | None = None) -> None:
    """Write the files of a bundle and their manifest beside its place, then move them there.

    Args:
        out: new or empty folder, or a bundle that is replaced.
        files: file name -> content.
        check: looks at the bundle before it is moved, and raises where it is not to be.
    """
    out = real_path(out)

    def fill(folder: Path) -> None:
        for name, data in files.items():
            write_bytes(folder / name, data)
        write_json(folder / "manifest.json", {"sha256": {name: sha256_of(folder / name) for name in sorted(files)}})
        if check is not None:
            check(open_bundle(folder))

    replace_folder(out, fill, _foreign, field="out")


def require_bundle_or_unused(out: Path) -> None:
    """Raise FolderError if a folder holds anything but a bundle of ours, or anything beside it."""
    require_ours(out, _foreign, field="out")


def _foreign(out: Path) -> str | None:
    """What stands in a folder that is no file of a bundle."""
    try:
        ours = str(read_json_object(out / "config.json").get("format", "")).startswith("cfgan-bundle/")
    except ValueError:
        ours = False
    if not ours:
        return anything(out) or "folders"
    try:
        listed = {*read_json_object(out / "manifest.json")["sha256"]}
    except (ValueError, KeyError, TypeError):
        listed = {"config.json", "README.md", *(path.name for path in out.glob("*.safetensors"))}
    return next(iter(sorted({path.name for path in out.iterdir()} - listed - {"manifest.json"})), None)
