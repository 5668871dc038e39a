"""The JSON file in which the figures of an evaluation are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cfgan.io.folders import starts_with
from cfgan.io.outputs import OutputFile

FORMAT = "cfgan-evaluation/1"


def result_file(out: Path, *, force: bool = False) -> OutputFile:
    """A file that figures may be written to: new, or an older one of figures, or with ``force`` any file.

    Raises:
        InputError: as :class:`~cfgan.io.outputs.OutputFile`.
    """
    return OutputFile(out, lambda path: starts_with(path, _text({"format": FORMAT}).rstrip(b"\n}")), force=force)


def write_result(target: OutputFile, result: Mapping[str, Any]) -> None:
    """Write plain figures as indented JSON. Raises as :meth:`OutputFile.open`."""
    target.write(_text({"format": FORMAT, **result}))


def _text(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
