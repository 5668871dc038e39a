"""The folder of a projection.

::

    projection.png                   the photo as the model draws it
    edit-1.png, edit-2.png ...       the edits, in the order they were asked for
    projection.json                  what was measured; the photo itself is not kept
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cfgan.io.files import read_json_object, real_path, write_bytes, write_json
from cfgan.io.folders import anything, replace_folder, require_ours

FORMAT = "cfgan-projection/1"
ABOUT, PROJECTION = "projection.json", "projection.png"

_OURS = re.compile(r"projection\.(png|json)|edit-[1-9][0-9]*\.png")


def require_unused_or_older(out: Path) -> None:
    """Refuse a folder for a projection before anything is computed.

    Raises:
        FolderError: it holds something other than an older projection.
        InputError: it lies inside a folder that is checked as a whole.
    """
    require_ours(real_path(out), _foreign)


def write_projection(out: Path, images: Sequence[bytes], about: Mapping[str, Any]) -> None:
    """Write a projection and its edits beside their place, then move them there: all or nothing.

    Args:
        out: new, empty, or an older projection, which is replaced.
        images: PNG files, the projection first.
        about: goes into the JSON file.

    Raises:
        FolderError: the folder holds something else.
        StorageError: the disk refused; what stood there stays.
    """

    def fill(folder: Path) -> None:
        for k, data in enumerate(images):
            write_bytes(folder / (f"edit-{k}.png" if k else PROJECTION), data)
        write_json(folder / ABOUT, {"format": FORMAT, **about})

    replace_folder(real_path(out), fill, _foreign)


def _foreign(out: Path) -> str | None:
    """What stands in a folder that no projection put there."""
    try:
        ours = str(read_json_object(out / ABOUT).get("format", "")).startswith("cfgan-projection/")
    except ValueError:
        ours = False
    if not ours:
        return anything(out)
    return next(iter(sorted(path.name for path in out.iterdir() if not _OURS.fullmatch(path.name))), None)
