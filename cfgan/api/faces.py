"""Generated faces as Python sees them: a sequence, in memory or in a batch folder, with a table of what is known."""

from __future__ import annotations

import abc
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from cfgan.errors import FolderError
from cfgan.generate.batch import manifest_rows, read_batch
from cfgan.generate.batch_check import check_batch
from cfgan.io.cells import CellWriter
from cfgan.io.files import make_folder, user_path, write_bytes
from cfgan.io.png import grid

if TYPE_CHECKING:
    import pandas as pd

    from cfgan.attributes.spec import Plan
    from cfgan.generate.memory import MemoryWriter


class SyntheticImage(PngImageFile):
    """A generated image that stays marked as synthetic when it is saved as PNG, JPEG or WebP."""

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        """As :meth:`PIL.Image.Image.save`, with the marks of the file that it came from."""
        ending = Path(getattr(fp, "name", fp)).suffix.lower() if isinstance(getattr(fp, "name", fp), str | Path) else ""
        kind = format or Image.registered_extensions().get(ending, "")
        if kind.upper() == "PNG":
            params.setdefault("pnginfo", self._marks())
        elif kind.upper() in ("JPEG", "WEBP"):
            params.setdefault("xmp", self.info.get("xmp", b""))
        super().save(fp, format, **params)

    def _marks(self) -> PngInfo:
        info = PngInfo()
        if "cfgan" in self.text:
            info.add_text("cfgan", str(self.text["cfgan"]))
        info.add_itxt("XML:com.adobe.xmp", self.info.get("xmp", b"").decode("utf-8"))
        return info


@dataclass(frozen=True, eq=False)
class Face:
    """One generated face.

    Args:
        file: its name in a batch folder.
        draw: number of the draw that gave it.
        seed: of its request; seed and draw name the face among all that a model makes for a request.
        requested: attribute -> value that was asked for.
        condition: every attribute -> value that the generator was given, -1..1.
        probability: every attribute -> the verifier's calibrated probability that the image shows it, 0..1.
        png: the image's file, which says that it is synthetic, and by which model, request and draw.

    Example:
        >>> face = model.generate("Red", count=4, seed=1)[0]
        >>> face.condition["Red"], face.requested
        (1.0, {'Red': 1.0})
        >>> 0 <= face.probability["Red"] <= 1
        True
        >>> face.image.size
        (16, 16)
        >>> face.image.save("first.png")
    """

    file: str
    draw: int
    seed: int
    requested: Mapping[str, float]
    condition: Mapping[str, float]
    probability: Mapping[str, float]
    png: bytes

    @property
    def image(self) -> Image.Image:
        """The image as Pillow has it, RGB. Saved as PNG, JPEG or WebP it stays marked as synthetic."""
        return SyntheticImage(io.BytesIO(self.png))

    def save(self, path: str | Path) -> None:
        """Write the PNG file as a batch folder holds it. Raises StorageError."""
        path = user_path(path, field="path")
        make_folder(path.parent)
        write_bytes(path, self.png)

    def _repr_png_(self) -> bytes:
        return self.png


class FaceSequence(Sequence[Face]):
    """What faces in memory and those of a batch folder have in common.

    Args:
        wanted: faces that were asked for.
        draws: draws that it took.
    """

    wanted: int
    draws: int

    @property
    def complete(self) -> bool:
        """Whether every face asked for was found."""
        return len(self) >= self.wanted

    @overload
    def __getitem__(self, index: int) -> Face: ...

    @overload
    def __getitem__(self, index: slice) -> list[Face]: ...

    def __getitem__(self, index: int | slice) -> Face | list[Face]:
        if isinstance(index, slice):
            return [self._face(i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"there are {len(self)} faces")
        return self._face(index % len(self))

    @abc.abstractmethod
    def _face(self, index: int) -> Face: ...

    @abc.abstractmethod
    def to_pandas(self) -> pd.DataFrame:
        """A row a face, with the columns of a batch's ``manifest.csv``."""

    def sheet(self, columns: int = 8, most: int = 64) -> Image.Image:
        """The first faces at a glance, in rows of ``columns``."""
        if not len(self):
            raise ValueError("there is no face to show")
        pixels = [np.asarray(face.image.convert("RGB")).transpose(2, 0, 1) for face in self[:most]]
        return Image.fromarray(np.ascontiguousarray(grid(np.stack(pixels), columns).transpose(1, 2, 0)))

    def _repr_png_(self) -> bytes | None:
        if not len(self):
            return None
        buffer = io.BytesIO()
        self.sheet().save(buffer, "PNG")
        return buffer.getvalue()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self):,} of {self.wanted:,} faces from {self.draws:,} draws>"


class Faces(FaceSequence):
    """Faces in memory, as :meth:`cfgan.Model.generate` gives them: the same as in a batch folder of the same request.

    Example:
        >>> faces = model.generate("Red,-Cat", count=4, seed=1)
        >>> len(faces), faces.complete
        (4, True)
        >>> faces.to_pandas()["condition.Cat"].tolist()
        [-1, -1, -1, -1]
        >>> faces.sheet(columns=2).size
        (38, 38)
    """

    def __init__(self, drawn: MemoryWriter, plan: Plan, names: Sequence[str]) -> None:
        self.wanted = plan.count
        self.draws = sum(tally.next_draw for tally in drawn.tallies)
        self._drawn, self._plan, self._names = drawn, plan, tuple(names)

    def __len__(self) -> int:
        return len(self._drawn.kept)

    def _face(self, index: int) -> Face:
        kept = self._drawn.kept[index]
        row = kept.face.row(kept.png)
        return Face(
            row["file"],
            row["draw"],
            row["seed"],
            dict(self._plan.cells[kept.cell].request),
            dict(zip(self._names, row["condition"], strict=True)),
            dict(zip(self._names, row["verifier"], strict=True)),
            kept.png,
        )

    def to_pandas(self) -> pd.DataFrame:
        """A row a face, with the columns of a batch's ``manifest.csv``."""
        import pandas as pd

        text = io.StringIO()
        writer = CellWriter(text, paths=1)
        rows = ((kept.cell, kept.face.row(kept.png)) for kept in self._drawn.kept)
        requests = [cell.request for cell in self._plan.cells]
        titles = [cell.name for cell in self._plan.cells] if len(requests) > 1 else None
        writer.writerows(manifest_rows(rows, self._names, requests, titles))
        text.seek(0)
        return pd.read_csv(text)


class Batch(FaceSequence):
    """A finished batch folder. Images are read when they are asked for.

    Args:
        path: the folder.

    Raises:
        FolderError: no batch folder, unfinished, or damaged.

    Example:
        >>> batch = model.generate("Red", count=4, seed=1, out="red")
        >>> batch.check()                       # nothing is missing, nothing was changed
        []
        >>> cfgan.Batch("red")[3].requested     # opened again
        {'Red': 1.0}
        >>> list(batch.to_pandas().columns[:4])
        ['file', 'draw', 'seed', 'sha256']
    """

    def __init__(self, path: str | Path) -> None:
        self.path = user_path(path, field="batch")
        self.about: dict[str, Any] = read_batch(self.path)
        self.wanted = int(self.about["wanted"])
        self.draws = int(self.about["draws"])

    def __len__(self) -> int:
        return int(self.about["accepted"])

    @cached_property
    def _rows(self) -> list[dict[str, str]]:
        try:
            with (self.path / "manifest.csv").open(encoding="utf-8", newline="") as handle:
                return list(csv.DictReader(handle))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise FolderError(f"{self.path}/manifest.csv cannot be read ({error}).", field="batch") from None

    def _face(self, index: int) -> Face:
        try:
            row = self._rows[index]
            png = (self.path / "images" / Path(row["file"]).name).read_bytes()
            values = [_values(row, part) for part in ("requested.", "condition.", "verifier.")]
            return Face(row["file"], int(row["draw"]), int(row["seed"]), values[0], values[1], values[2], png)
        except (OSError, IndexError, KeyError, ValueError) as error:
            raise FolderError(f"{self.path} is damaged ({error}).", field="batch", value=self.path) from None

    def to_pandas(self) -> pd.DataFrame:
        """``manifest.csv``: a row a face."""
        import pandas as pd

        return pd.read_csv(self.path / "manifest.csv")

    def check(self) -> list[str]:
        """Compare every file with its checksum; one line a problem, none when all is there and unchanged."""
        return check_batch(self.path)


def _values(row: Mapping[str, str], part: str) -> dict[str, float]:
    """Attribute -> value of the columns whose titles begin so; empty cells are left out."""
    return {key.removeprefix(part): float(cell) for key, cell in row.items() if key.startswith(part) and cell}
