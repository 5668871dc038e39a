"""Data sets that come out of a Python package instead of a folder: scikit-learn's digits, torchvision's classes."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.decode import picture
from cfgan.data.labelled_images import SPLITS, LabelledImages
from cfgan.data.read.classes import attribute_name, class_vocabulary, one_hot
from cfgan.data.read.splits import Shares, split_named
from cfgan.data.sources.base import Options, Source, from_images
from cfgan.errors import DataError, nearest

SKLEARN = ("digits",)
"""Image data sets that lie in scikit-learn itself."""

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_ELSE = {"CelebA": " The folder of a part of it is read without torchvision: name the folder itself as the source."}
_PARTS = ("train", "val", "valid", "validation", "test")  # what `split` may be called


def read_sklearn(name: str, options: Options) -> Source:
    """``sklearn:digits``; see :func:`sklearn_digits`."""
    return from_images("sklearn", f"sklearn:{name}", sklearn_digits(name, options.shares))


def read_torchvision(name: str, options: Options) -> Source:
    """``torchvision:NAME``; see :func:`torchvision_set`."""
    table = torchvision_set(name, options.root, options.shares, download=options.download)
    return from_images("torchvision", f"torchvision:{name}", table)


def sklearn_digits(name: str, shares: Shares) -> LabelledImages:
    """The 1,797 digits of 8 x 8 pixels and 17 greys that scikit-learn holds; nothing is fetched.

    E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998; CC BY
    4.0. The attributes are ``0`` ... ``9``.

    Raises:
        DataError: another name than "digits".
    """
    if name not in SKLEARN:
        raise DataError(
            f"scikit-learn holds no images {name!r}.", field="SOURCE", value=name, nearest=nearest(name, SKLEARN)
        )
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.round(np.asarray(found.images) * (255 / 16)).astype(np.uint8)  # N 8 8
    files = tuple(f"digit-{i:04d}.png" for i in range(len(images)))
    rows = {file: i for i, file in enumerate(files)}
    return LabelledImages(
        folder=Path(),
        files=files,
        labels=one_hot(found.target.tolist(), 10),
        split=shares.split(files),
        vocabulary=class_vocabulary(
            {"digit": [str(k) for k in range(10)]}, hints={word: str(k) for k, word in enumerate(_WORDS)}
        ),
        opener=lambda file: Image.fromarray(images[rows[file]]).convert("RGB"),
        sound=True,
    )


def torchvision_set(name: str, root: Path | None, shares: Shares, *, download: bool = False) -> LabelledImages:
    """A data set of ``torchvision.datasets`` by the name of its class.

    A class that takes ``train`` gives its training part and, as test part, the rest; one that takes ``split`` gives
    those of train, val and test that it knows. Where it has no validation part, :class:`Shares` takes one out of the
    training part; where it has no parts at all, all three.

    Args:
        name: such as ``MNIST`` or ``CelebA``.
        root: the folder that the class reads, and downloads into.
        shares: of what is held out where the class does not say.
        download: let the class fetch what is not there. Otherwise nothing is fetched.

    Raises:
        DataError: torchvision is missing, has no such class, or the class refuses; targets that are neither classes
            nor rows of attributes.
    """
    kind = _class_named(name)
    takes = set(inspect.signature(kind).parameters)
    if "root" in takes and root is None:
        raise DataError(f"{name} reads a folder; name it.", field="--root", value=name)
    arguments: dict[str, Any] = {"root": str(root)} if "root" in takes else {}
    if "download" in takes:
        arguments["download"] = download
    elif download:
        raise DataError(f"{name} cannot be downloaded.", field="--download", value=name)
    parts = _parts(kind, name, arguments, takes)
    where = [(part, i) for part, data in parts.items() for i in range(len(data))]
    files = tuple(f"{part}-{i:06d}.png" for part, i in where)
    targets = [_target(parts[part], i) for part, i in where]
    vocabulary, labels = _labels(next(iter(parts.values())), targets, name)
    index = dict(zip(files, where, strict=True))

    def opened(file: str) -> Image.Image:
        part, i = index[file]
        image = parts[part][i][0]
        if not isinstance(image, Image.Image):
            raise DataError(f"{name} gives a {type(image).__name__}, not an image.")
        return picture(image)

    split = np.asarray([split_named(part or "train", field="SOURCE", where=name) for part, _ in where], dtype=np.uint8)
    drawn, stated = shares.split(files), set(np.unique(split).tolist())
    if SPLITS["validation"] not in stated:
        free = SPLITS["train"] if len(stated) > 1 else None
        held = drawn == SPLITS["validation"]
        split = (
            drawn if free is None else np.where((split == free) & held, SPLITS["validation"], split).astype(np.uint8)
        )
    return LabelledImages(Path(), files, labels, split, vocabulary, opener=opened)


def _class_named(name: str) -> Any:
    try:
        datasets = importlib.import_module("torchvision.datasets")
    except (ImportError, RuntimeError, AttributeError) as error:
        raise DataError(
            f"torchvision cannot be imported ({error}); install the one that belongs to your torch: "
            "pip install 'cfgan[vision]'.",
            field="SOURCE",
            value=name,
        ) from None
    known = [key for key, value in vars(datasets).items() if inspect.isclass(value) and not key.startswith("_")]
    if name not in known:
        close = nearest(name, known)
        raise DataError(f"torchvision has no data set {name!r}.", field="SOURCE", value=name, nearest=close)
    return getattr(datasets, name)


def _parts(kind: Any, name: str, arguments: dict[str, Any], takes: set[str]) -> dict[str, Any]:
    """Part -> data set; the empty name where the class has no parts."""
    if "train" in takes:
        return {
            part: _make(kind, name, {**arguments, "train": value}) for part, value in (("train", True), ("test", False))
        }
    if "split" not in takes:
        return {"": _make(kind, name, arguments)}
    found, refused = {}, None
    for part in _PARTS:
        try:
            found[part] = kind(**arguments, split=part)
        except ValueError as error:  # how torchvision says that it has no such part
            refused = error
        except (RuntimeError, OSError, TypeError) as error:
            raise DataError(f"{name}: {error}{_ELSE.get(name, '')}", field="SOURCE", value=name) from None
    if not found:
        raise DataError(f"{name}: {refused}", field="SOURCE", value=name)
    return found


def _make(kind: Any, name: str, arguments: dict[str, Any]) -> Any:
    try:
        return kind(**arguments)
    except (RuntimeError, OSError, TypeError, ValueError) as error:
        raise DataError(f"{name}: {error}", field="SOURCE", value=name) from None


def _target(data: Any, i: int) -> Any:
    """The label of one image, without decoding it where the data set keeps its labels in a list."""
    for key in ("targets", "attr", "labels", "_labels"):
        kept = getattr(data, key, None)
        if kept is not None and len(kept) == len(data):
            return kept[i]
    return data[i][1]


def _labels(data: Any, targets: Sequence[Any], name: str) -> tuple[Vocabulary, Any]:
    """Vocabulary and labels (N, A): of class numbers, or of rows of 0/1."""
    values = [np.asarray(target) for target in targets]
    if all(value.ndim == 0 and np.issubdtype(value.dtype, np.integer) for value in values):
        numbers = np.asarray(values, dtype=np.int64)
        low, count = int(numbers.min()), int(numbers.max()) + 1
        titles = [str(title) for title in getattr(data, "classes", ())]
        if low < -1 or (titles and count > len(titles)):
            raise DataError(f"{name}: a class number is out of range.", field="SOURCE", value=name)
        names = [attribute_name(title) for title in titles] or [str(k) for k in range(count)]
        return class_vocabulary({"class": names}), one_hot(numbers.tolist(), len(names))
    if all(value.ndim == 1 and len(value) == len(values[0]) for value in values):
        rows = np.stack(values).astype(np.float32)
        titles = [str(title) for title in getattr(data, "attr_names", ()) if str(title)]
        names = titles or [f"attribute_{k}" for k in range(rows.shape[1])]
        if len(names) == rows.shape[1] and np.isin(rows, (0, 1)).all():
            return Vocabulary.of(names), np.where(rows > 0, 1, -1).astype(np.float32)
    raise DataError(f"{name}: its targets are neither classes nor rows of 0 and 1.", field="SOURCE", value=name)
