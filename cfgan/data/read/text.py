"""Opening a table that is text, compressed or not."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO


def open_text(path: Path) -> IO[str]:
    """A UTF-8 text file, also .gz, for reading: no byte order mark, line ends as they stand."""
    if path.name.casefold().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")
