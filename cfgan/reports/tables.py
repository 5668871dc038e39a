"""CSV tables that are safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

_PLAIN = re.compile(r"-?\w[\w ,.=\-()]*")


def to_csv(rows: list[dict[str, Any]]) -> bytes:
    """UTF-8, a column for every key that any row has."""
    titles = list(dict.fromkeys(key for row in rows for key in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, titles, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _inert(value) for key, value in row.items()} for row in rows)
    return buffer.getvalue().encode("utf-8")


def _inert(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe in front: names come from other people."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") and not _PLAIN.fullmatch(value):
        return "'" + value
    return value
