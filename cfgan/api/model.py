"""A model as Python sees it: open it by name, ask it for faces, let it read images."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from cfgan.api.faces import Batch, Faces
from cfgan.api.plans import Request, plan_of, settings_of
from cfgan.api.words import in_python
from cfgan.attributes.spec import Plan
from cfgan.errors import CfganWarning, ConfigError
from cfgan.io.extras import require_package
from cfgan.io.files import user_path
from cfgan.io.progress import Progress, silent
from cfgan.model.bundle import Bundle, open_bundle
from cfgan.model.default import DEFAULT

if TYPE_CHECKING:
    from cfgan.api.readings import Readings
    from cfgan.generate.projection.result import Projection
    from cfgan.generate.sampling import Sampler


class Model:
    """A generator with the classifiers that check what it makes; opened by :func:`cfgan.load`.

    Args:
        bundle: what is on the disk.
        device: where to compute: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N"; "torch:cpu" or
            "onnxruntime:cpu" where the engine matters.

    Example:
        >>> model.name, model.attributes[:3], model.size
        ('tiny', ('Red', 'Round', 'Striped'), 16)
    """

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        self.bundle = bundle
        self.device = device

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.bundle.name

    @property
    def digest(self) -> str:
        """What names this very model in everything made with it."""
        return self.bundle.digest

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that can be asked for."""
        return self.bundle.vocabulary.names

    @property
    def size(self) -> int:
        """Side of an image in pixels."""
        return self.bundle.size

    @property
    def card(self) -> str:
        """The model card, Markdown: what it is, what it was trained on, and every figure measured on it."""
        return self.bundle.file("README.md").read_text(encoding="utf-8")

    def __repr__(self) -> str:
        return f"<Model {self.name}: {len(self.attributes)} attributes, {self.size} x {self.size} pixels>"

    @overload
    def generate(
        self,
        request: Request | None = None,
        *,
        spec: str | Path | Mapping[str, Any] | None = None,
        out: None = None,
        count: int | None = None,
        seed: int | None = None,
        unspecified: Request | None = None,
        vary: str | Sequence[str] | None = None,
        threshold: float | None = None,
        precision: float | None = None,
        max_draws: int | None = None,
        verify: bool = True,
        truncation: float | str | None = None,
        same_latents: bool | None = None,
        progress: Progress | None = None,
    ) -> Faces: ...

    @overload
    def generate(
        self,
        request: Request | None = None,
        *,
        spec: str | Path | Mapping[str, Any] | None = None,
        out: str | Path,
        count: int | None = None,
        seed: int | None = None,
        unspecified: Request | None = None,
        vary: str | Sequence[str] | None = None,
        threshold: float | None = None,
        precision: float | None = None,
        max_draws: int | None = None,
        verify: bool = True,
        truncation: float | str | None = None,
        same_latents: bool | None = None,
        progress: Progress | None = None,
    ) -> Batch: ...

    @in_python(attrs="request")
    def generate(
        self,
        request: Request | None = None,
        *,
        spec: str | Path | Mapping[str, Any] | None = None,
        out: str | Path | None = None,
        count: int | None = None,
        seed: int | None = None,
        unspecified: Request | None = None,
        vary: str | Sequence[str] | None = None,
        threshold: float | None = None,
        precision: float | None = None,
        max_draws: int | None = None,
        verify: bool = True,
        truncation: float | str | None = None,
        same_latents: bool | None = None,
        progress: Progress | None = None,
    ) -> Faces | Batch:
        """Make faces that show what is asked for.

        The same request and seed give the same faces, in memory and in a folder. What draws ran out for is missing:
        then ``complete`` is False, and a :class:`cfgan.CfganWarning` says so.

        Args:
            request: ``"Male,-Eyeglasses"``, ``"any"``, a list of such items, or a mapping name -> True, False, -1..1.
            spec: instead, a spec file, the name of a shipped one, or what such a file holds. The settings below win.
            out: a folder, for a batch with manifest, spec and checksums; an unfinished one is gone on with.
            count: faces wanted; 32 by default.
            seed: 0 by default.
            unspecified: attributes that are not asked for: "sample" (as in real faces), "zero", or a request for some.
            vary: attributes of which every combination is made, in equal numbers.
            threshold: probability that each requested value must reach, 0..1; by default the bundle's gate decides.
            precision: instead, how often the verifier must be right on real faces that pass it, 0..1.
            max_draws: draws after which a request gives up; 50 a face by default, 1,000 at least.
            verify: False keeps every draw.
            truncation: standard deviations at which latents are cut off, or "none"; by default the bundle's.
            same_latents: whether draw i has the same latent for each request of a seed; by default the bundle's rule.
            progress: called with stage, done, total and a remark.

        Raises:
            InputError: request, spec, setting or folder cannot be used; says which value, and the nearest valid one.
            BundleError: a file of the bundle is damaged.
            StorageError: the disk refused; what is stored stays, and the same call goes on from there.
            StoppedError: Ctrl-C while a folder is filled; the same call goes on from there.

        Example:
            >>> faces = model.generate("Red,-Cat", count=4, seed=1)             # in memory
            >>> batch = model.generate("Red,-Cat", count=4, seed=1, out="reds")  # a folder
            >>> [face.png for face in faces] == [face.png for face in batch]
            True
            >>> len(model.generate({"Red": True, "Round": 0.5}, count=2))
            2
        """
        settings = settings_of(
            count, seed, unspecified, vary, threshold, precision, max_draws, verify, truncation, same_latents
        )
        plan = plan_of(self.bundle.vocabulary, self.bundle.latents, request, spec, settings)
        return self._faces(plan, progress) if out is None else self._batch(plan, user_path(out, field="out"), progress)

    @in_python(attrs="request")
    def verify(
        self,
        paths: str | Path | Sequence[str | Path],
        request: str | None = None,
        *,
        by: str = "verifier",
        crop: str = "center",
        align: bool = False,
        recursive: bool = True,
        progress: Progress | None = None,
    ) -> Readings:
        """Read the attributes of any images, generated here or not.

        Without ``align`` faces should fill the picture as in the images that the model was trained on.

        Args:
            paths: images, folders of images, batch folders, tar and Parquet files with images; one or several.
            request: only these attributes, and whether an image shows all of it: "Male,-Smiling".
            by: who reads: "verifier", or "judge" where the bundle has one.
            crop: how images are made square: "center", "none" (squeezed), or "celeba" (the box of its aligned images).
            align: find the largest face of each picture and bring it into CelebA's frame first; a picture without one
                cannot be read. Needs the extra ``cfgan[identity]``.
            recursive: whether subfolders are gone into.
            progress: called with stage, done, total and a remark.

        Returns:
            The readings. Images that could not be read are among them, with the reason.

        Raises:
            InputError: no image there, or a reader, crop or request that cannot be used.
            ConfigError: ``align`` without the extra.

        Example:
            >>> _ = model.generate("Red", count=4, seed=1, out="red")
            >>> readings = model.verify("red", "Red")
            >>> len(readings), readings.meets.tolist()
            (4, [True, True, True, True])
            >>> list(readings.to_pandas().columns)
            ['file', 'verifier.Red', 'seen.Red', 'meets', 'error']
        """
        from cfgan.api.readings import read_images

        several = [paths] if isinstance(paths, str | Path) else list(paths)
        return read_images(
            self.bundle,
            several,
            request,
            by,
            crop=crop,
            align=align,
            recursive=recursive,
            device=self.device,
            progress=progress,
        )

    @in_python(edit="edits")
    def project(
        self,
        photo: str | Path | bytes,
        edits: Sequence[str] = (),
        *,
        align: bool = True,
        steps: int | None = None,
        seed: int = 0,
        out: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Projection:
        """Find a photo again among what the model can draw, and edit it there. Only photos of people who agreed.

        Needs the extra ``cfgan[train]``, and ``cfgan[identity]`` to align and to say whether the person is kept.

        Args:
            photo: a JPEG, PNG, WebP or BMP file, or its bytes.
            edits: requests such as "Smiling,-Eyeglasses", an image each.
            align: find the largest face and bring it into CelebA's frame first; False takes the largest central square.
            steps: of the optimisation, 1 or more; none: 25 where the model has an encoder to begin from, else 100.
            seed: of the draws that it begins from without one.
            out: a folder for the images and figures; nothing is stored without one.
            progress: called with stage, done, total and a remark.

        Raises:
            InputError: photo, edit, model or folder cannot be used; a photo without a face is a DataError.
            ConfigError: an extra is missing.
            StorageError: the disk refused; nothing is left half written.

        Example:
            >>> _ = model.generate("Red", count=1, seed=1)[0].image.save("face.png")
            >>> found = model.project("face.png", ["-Red", "Cat"], align=False, steps=2)
            >>> [image.request for image in found.edits]
            ['-Red', 'Cat']
        """
        require_package("torch", "train", "projecting a photo", field="project", error=ConfigError)
        from cfgan.generate.projection.project import project_photo

        return project_photo(
            self.bundle,
            photo if isinstance(photo, bytes) else user_path(photo, field="photo"),
            edits,
            align=align,
            steps=steps,
            seed=seed,
            out=None if out is None else user_path(out, field="out"),
            device=self.device,
            progress=progress or silent,
        )

    @cached_property
    def _sampler(self) -> Sampler:
        from cfgan.generate.sampling import Sampler

        return Sampler(self.bundle, self.device)

    def _faces(self, plan: Plan, progress: Progress | None) -> Faces:
        from cfgan.generate.job import check_plan
        from cfgan.generate.memory import draw_faces

        warn(check_plan(plan, self.bundle))
        faces = Faces(draw_faces(self._sampler, plan, progress=progress), plan, self.attributes)
        warn(missing(faces))
        return faces

    def _batch(self, plan: Plan, out: Path, progress: Progress | None) -> Batch:
        from cfgan.generate.job import check_plan, generate

        warn(check_plan(plan, self.bundle))
        generate(self.bundle, plan, out, device=self.device, progress=progress)
        batch = Batch(out)
        warn(missing(batch))
        return batch


@in_python(bundle="name_or_path")
def load(name_or_path: str | Path = DEFAULT, *, device: str = "auto") -> Model:
    """Open a model: a shipped one by name, or the folder of a bundle. Networks are loaded once something computes.

    Args:
        name_or_path: "celeba128", "celeba64", "digits32", "anime64", or a folder.
        device: where to compute: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N"; "torch:cpu" or
            "onnxruntime:cpu" where the engine matters.

    Raises:
        InputError: no such bundle, with the nearest names.
        BundleError: it is damaged, or of another format.

    Example:
        >>> cfgan.load("celeba128")
        <Model celeba128: 40 attributes, 128 x 128 pixels>
    """
    return Model(open_bundle(name_or_path), device)


def missing(faces: Faces | Batch) -> list[str]:
    """What there is to say of faces that were not found."""
    if faces.complete:
        return []
    return [ran_out(len(faces), faces.wanted, faces.draws)]


def ran_out(found: int, wanted: int, draws: int) -> str:
    """Why there are fewer faces than were asked for."""
    return f"draws ran out: {found:,} of {wanted:,} faces were found in {draws:,} draws."


def warn(sentences: Sequence[str], level: int = 5) -> None:
    """Say them to whoever called, ``level`` calls up."""
    for sentence in sentences:
        warnings.warn(sentence, CfganWarning, stacklevel=level)
