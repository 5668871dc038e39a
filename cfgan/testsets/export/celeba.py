"""Export in the layout of CelebA (Liu et al., ICCV 2015), which ``cfgan data pack`` and many loaders read."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cfgan.data.decode import CROP, IMAGE_SIZE, load_rgb, to_square
from cfgan.data.labelled_images import SPLITS
from cfgan.errors import FolderError, InputError
from cfgan.io.files import atomic_write, make_folder, write_bytes, write_text
from cfgan.io.png import encode_jpeg
from cfgan.testsets.export.source import ExportOptions, Plan, Source, Tick, for_each, text_of
from cfgan.testsets.folder import ATTRIBUTES
from cfgan.testsets.tables import ImageRow, attribute_rows, csv_text

_REQUESTED, _VERIFIER = "requested.", "verifier."
_SEEN = 0.5  # calibrated probability from which an attribute is more likely there than not


class _Values:
    """+1 or -1 for each attribute of an image: what was requested, else what the verifier reads."""

    def __init__(self, columns: Sequence[str]) -> None:
        places = {title: k for k, title in enumerate(columns)}
        read = [title.removeprefix(_VERIFIER) for title in columns if title.startswith(_VERIFIER)]
        asked = [title.removeprefix(_REQUESTED) for title in columns if title.startswith(_REQUESTED)]
        self.names = tuple(dict.fromkeys([*read, *asked]))
        self._from = [(places.get(_REQUESTED + name), places.get(_VERIFIER + name)) for name in self.names]
        if not self.names:
            text = f"{ATTRIBUTES} has neither requested.* nor verifier.* columns."
            raise InputError(text, field="--format", value="celeba", nearest=["huggingface", "parquet"])
        if bad := [name for name in self.names if len(name.split()) != 1]:
            text = f"the attribute {bad[0]!r} has a space in its name; CelebA's files are split at spaces."
            raise InputError(text, field="--format", value="celeba", nearest=["huggingface", "parquet"])

    def of(self, row: ImageRow) -> tuple[list[int], int]:
        """The values, and how many of them were requested. Raises FolderError if one is not known."""
        values, requested = [], 0
        for name, (asked, read) in zip(self.names, self._from, strict=True):
            wanted = row.cells[asked] if asked is not None else ""
            probability = row.cells[read] if read is not None else ""
            try:
                if wanted and abs(value := float(wanted)) == 1:
                    values.append(int(value))
                    requested += 1
                elif 0 <= (seen := float(probability)) <= 1:
                    values.append(1 if seen >= _SEEN else -1)
                else:
                    raise ValueError
            except ValueError:
                text = f"{ATTRIBUTES}: {row.file}: {name} was neither requested (1 or -1) nor read (0 to 1)."
                raise FolderError(text, field="testset", value=row.file) from None
        return values, requested


def plan_celeba(source: Source, options: ExportOptions) -> Plan:
    """``celeba/`` with ``img_align_celeba/000001.jpg`` (178 x 218), labels, identities and split.

    Raises:
        InputError: a detection set, or an attribute's name that CelebA's files cannot hold.
        FolderError: an image without a value for an attribute.
    """
    if source.testset.design == "detection":
        text = "the layout has no place for what is an attack and what is bona fide."
        raise InputError(text, field="--format", value="celeba", nearest=["huggingface", "parquet"])
    table = _Values(source.columns)
    path = source.testset.path
    images = requested = 0
    subjects: dict[str, int] = {}
    for row in attribute_rows(path):
        images += 1
        requested += table.of(row)[1]
        subjects.setdefault(row.subject, len(subjects) + 1)

    def numbered() -> Iterator[tuple[str, ImageRow]]:
        return ((f"{number:06d}.jpg", row) for number, row in enumerate(attribute_rows(path), start=1))

    def write(folder: Path, tick: Tick) -> None:
        home = folder / "celeba"
        make_folder(home / "img_align_celeba")

        def one(item: tuple[str, ImageRow]) -> None:
            data = _aligned(source, item[1].file, options.quality)
            write_bytes(home / "img_align_celeba" / item[0], data)

        for_each(one, numbered(), tick)
        with atomic_write(home / "list_attr_celeba.txt") as handle:
            lines = io.TextIOWrapper(handle, encoding="utf-8", newline="\n", write_through=True)
            lines.write(f"{images}\n{' '.join(table.names)}\n")
            for name, row in numbered():
                lines.write(f"{name} {' '.join(f'{value:2d}' for value in table.of(row)[0])}\n")
            lines.detach()
        names = [name for name, _ in numbered()]
        left, top, right, bottom = CROP
        box = f"{left:4d} {top:4d} {right - left:6d} {bottom - top:6d}"
        files = {
            "list_eval_partition.txt": [f"{name} {SPLITS['test']}" for name in names],
            "identity_CelebA.txt": [f"{name} {subjects[row.subject]}" for name, row in numbered()],
            "list_bbox_celeba.txt": [str(images), "image_id x_1 y_1 width height", *(f"{n} {box}" for n in names)],
            "list_landmarks_align_celeba.txt": [str(images), _LANDMARKS, *(f"{n}{10 * '  -1'}" for n in names)],
        }
        for file, rows in files.items():
            write_text(home / file, "\n".join(rows) + "\n")
        write_text(folder / "names.csv", csv_text([("file", "of_the_set"), *((n, row.file) for n, row in numbered())]))

    total = images * len(table.names)
    return Plan(
        images,
        write,
        (
            "cfgan:       cfgan data pack THIS_FOLDER/celeba --out STORE",
            "torchvision: torchvision.datasets.CelebA(THIS_FOLDER, split='test'); it wants the real CelebA's files, so",
            "             make a subclass whose _check_integrity returns True",
        ),
        (
            f"{requested:,} of {total:,} values are what was requested, {total - requested:,} what the verifier reads: "
            f"1 where its calibrated probability is at least {_SEEN}.",
            f"Images are JPEG, quality {options.quality}, no chroma subsampling, 178 x 218 pixels: the face fills the "
            "178 x 178 box that is usually cut out, and the rows above and below repeat its edges.",
            "All images are in the test split. Landmarks are -1: they were not measured. The box is that of the face.",
            "Comparisons have no place in this layout; names.csv tells which file of the set each image is.",
        ),
        {"images": images, "attributes": len(table.names), "subjects": len(subjects), "requested_values": requested},
    )


_LANDMARKS = " ".join(
    f"{part}_{axis}" for part in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for axis in "xy"
)


def _aligned(source: Source, name: str, quality: int) -> bytes:
    image = load_rgb(source.checked(name))
    left, top, right, bottom = CROP
    square = to_square(image, right - left)
    width, height = IMAGE_SIZE
    padding = ((0, 0), (top, height - bottom), (left, width - right))
    framed: npt.NDArray[np.uint8] = np.pad(square, padding, mode="edge")
    return encode_jpeg(framed, text_of(image), quality=quality)
