"""The official CelebA layout on disk, complete or partial (Liu et al., ICCV 2015).

Expected in the folder: ``list_attr_celeba.txt`` (count, names, rows of +-1), ``list_eval_partition.txt`` (0 train,
1 validation, 2 test) and ``img_align_celeba/`` with the aligned 178 x 218 images. Ids need be neither complete nor
consecutive.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.decode import CROP, IMAGE_SIZE
from cfgan.data.labelled_images import LabelledImages
from cfgan.errors import DataError
from cfgan.io.delimited import open_plain
from cfgan.io.files import is_safe_name
from cfgan.io.reading import library_errors


def _read_lines(path: Path, field: str = "celeba") -> list[str]:
    if not path.exists():
        raise DataError(f"{path.name} is missing from {path.parent}.", field=field, value=path)
    with library_errors(path, lambda text: DataError(text, field=field, value=path)), open_plain(path) as handle:
        return handle.read().splitlines()


def read_attribute_file(
    path: Path, *, field: str = "celeba", plain_names: bool = False
) -> tuple[Vocabulary, dict[str, npt.NDArray[np.int8]]]:
    """Parse ``list_attr_celeba.txt``, with or without a byte order mark.

    Args:
        path: the file.
        field: the option that names it, for messages.
        plain_names: whether a name with folders is an error.

    Returns:
        The vocabulary and file name -> int8 (A,) of +-1.

    Raises:
        DataError: the first lines are malformed, or a row has the wrong length, a value other than 1 or -1, a
            repeated file name; names the line.
    """
    lines = _read_lines(path, field)
    if len(lines) < 3 or not lines[0].strip().isdigit():
        raise DataError(f"{path.name} line 1: the number of rows is expected.", field=field, value=path)
    vocabulary = Vocabulary.of(lines[1].split())
    rows: dict[str, npt.NDArray[np.int8]] = {}
    problems: list[str] = []
    for number, line in enumerate(lines[2:], start=3):
        if not line.strip():
            continue
        name, *values = line.split()
        if len(values) != len(vocabulary):
            problems.append(f"line {number} ({name}): {len(values)} values instead of {len(vocabulary)}")
        elif bad := [v for v in values if v not in ("1", "-1")]:
            problems.append(f"line {number} ({name}): value {bad[0]!r} is neither 1 nor -1")
        elif name in rows:
            problems.append(f"line {number}: {name} is listed twice")
        elif plain_names and not is_safe_name(name):
            problems.append(f"line {number}: {name!r} is not a plain file name")
        else:
            rows[name] = np.asarray([int(v) for v in values], dtype=np.int8)
    if not problems and len(rows) != int(lines[0]):
        problems.append(f"line 1 says {int(lines[0])} rows, there are {len(rows)}")
    if problems:
        raise DataError(f"{path.name}: {_listed(problems)}", field=field, value=path)
    return vocabulary, rows


def read_celeba(folder: Path) -> LabelledImages:
    """Read labels and split of a CelebA folder, in the order of the label file.

    Raises:
        DataError: a file of the layout is missing or malformed, or rows of the two tables do not match.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}.", field="celeba", value=folder)
    if not (folder / "img_align_celeba").is_dir():
        raise DataError(f"img_align_celeba is missing from {folder}.", field="celeba", value=folder)
    vocabulary, rows = read_attribute_file(folder / "list_attr_celeba.txt", plain_names=True)
    split: dict[str, int] = {}
    problems: list[str] = []
    for number, line in enumerate(_read_lines(folder / "list_eval_partition.txt"), start=1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 2 or parts[1] not in ("0", "1", "2"):
            problems.append(f"line {number}: a file name and 0, 1 or 2 are expected, not {line.strip()[:40]!r}")
        else:
            split[parts[0]] = int(parts[1])
    problems += [f"{name} has labels but no split" for name in rows if name not in split]
    if problems:
        raise DataError(f"list_eval_partition.txt: {_listed(problems)}", field="celeba", value=folder)
    return LabelledImages(
        folder=folder / "img_align_celeba",
        files=tuple(rows),
        labels=np.stack(list(rows.values())).astype(np.float32),
        split=np.asarray([split[name] for name in rows], dtype=np.uint8),
        vocabulary=vocabulary,
        crop=CROP,
        image_size=IMAGE_SIZE,
    )


def _listed(problems: list[str], most: int = 5) -> str:
    more = f"; and {len(problems) - most} more" if len(problems) > most else ""
    return "; ".join(problems[:most]) + more + "."
