"""What was given and not used: every column, row, image and folder level is counted and named, with the reason."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cfgan.io.cells import CellWriter
from cfgan.io.folders import starts_with
from cfgan.io.outputs import OutputFile

LISTED = 10
"""Names that a sentence lists."""

IGNORED = "as asked"
"""Why a column is left out that was named for it."""
ASKED = frozenset({IGNORED, *(f"listed again; --duplicates {which}" for which in ("first", "last", "majority"))})
"""Reasons that a person gave."""

_NOUNS = {"columns": "column", "rows": "row", "images": "image", "folders": "folder level"}


@dataclass(frozen=True)
class LeftOut:
    """Name -> why it was left out.

    Args:
        columns: of a label table.
        rows: of a label table, by the file that they name.
        images: files that were found.
        folders: parts of names that were not compared, or that say nothing.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)

    def __or__(self, other: LeftOut) -> LeftOut:
        return LeftOut(**{kind: {**getattr(self, kind), **getattr(other, kind)} for kind in _NOUNS})

    def lines(self, *kinds: str) -> list[str]:
        """A sentence for each kind of thing and reason, such as "2 columns left out (text, not labels): a, b".

        Args:
            kinds: fields that are spoken of; all when none is given.
        """
        found = []
        for kind, noun in _NOUNS.items():
            by_reason: dict[str, list[str]] = {}
            for name, reason in getattr(self, kind).items() if not kinds or kind in kinds else ():
                by_reason.setdefault(reason, []).append(name)
            for reason, names in by_reason.items():
                plural = "" if len(names) == 1 else "s"
                found.append(f"{len(names):,} {noun}{plural} left out ({reason}): {listed(names)}")
        return found

    def any_unasked(self) -> bool:
        """Whether anything is left out that nobody asked to leave out."""
        return any(reason not in ASKED for kind in _NOUNS for reason in getattr(self, kind).values())

    def to_dict(self) -> dict[str, Any]:
        """``columns``, ``rows``, ``images`` and ``folders``, each with its count and the first names and reasons."""
        return {
            kind: {"count": len(named), "names": dict(list(named.items())[:LISTED])}
            for kind in _NOUNS
            for named in (getattr(self, kind),)
        }


_HEADER = b"kind,name,reason\n"


def left_out_csv(left_out: LeftOut) -> bytes:
    """All of it as CSV: kind, name, reason."""
    text = io.StringIO()
    writer = CellWriter(text, paths=2)
    writer.writerow(("kind", "name", "reason"))
    for kind, noun in _NOUNS.items():
        writer.writerows((noun, name, reason) for name, reason in getattr(left_out, kind).items())
    return text.getvalue().encode("utf-8", "backslashreplace")


def left_out_file(path: Path, *, force: bool = False) -> OutputFile:
    """A file for it. Raises InputError as :class:`~cfgan.io.outputs.OutputFile`."""
    return OutputFile(path, lambda found: starts_with(found, _HEADER), force=force, field="--left-out")


def listed(names: list[str], most: int = LISTED) -> str:
    """ "a, b, ..." """
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
