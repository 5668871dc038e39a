"""CSV tables of a report."""

from __future__ import annotations

import io
from typing import Any

from cfgan.io.cells import CellWriter


def to_csv(rows: list[dict[str, Any]]) -> bytes:
    """UTF-8, a column for every key that any row has."""
    titles = list(dict.fromkeys(key for row in rows for key in row))
    buffer = io.StringIO()
    writer = CellWriter(buffer)
    writer.writerow(titles)
    writer.writerows([row.get(title, "") for title in titles] for row in rows)
    return buffer.getvalue().encode("utf-8")
