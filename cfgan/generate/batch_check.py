"""Proving a batch folder complete and unchanged."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

from cfgan.data.decode import load_rgb
from cfgan.errors import DataError, FolderError
from cfgan.generate.batch import CHECKSUMS, SIDECAR, read_batch
from cfgan.io import journal
from cfgan.io.files import sha256_of
from cfgan.io.reading import open_text, read_regular

_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
_NAME = re.compile(r"(images/)?[A-Za-z0-9_]+\.[a-z0-9]+")


NOT_LISTED = f"not listed in {CHECKSUMS}"
"""How the problem of a file that does not belong to the batch ends."""


def check_batch(folder: Path) -> list[str]:
    """Compare a batch folder with its checksums, manifest and summary. Signatures: :mod:`cfgan.generate.signatures`.

    Returns:
        One line a problem; empty when every file is there, unchanged, decodable and accounted for.

    Raises:
        FolderError: not a finished batch folder.
    """
    if not (folder / CHECKSUMS).exists() or (folder / journal.NAME).exists():
        read_batch(folder)  # says whether it is no batch, or an unfinished one
        return [f"{CHECKSUMS}: missing"]
    problems: list[str] = []
    about: dict[str, Any] = {}
    try:
        about = read_batch(folder)
    except FolderError as error:
        problems.append(f"batch.json: {error}")
    sums: dict[str, str] = {}
    try:
        text = read_regular(folder / CHECKSUMS).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return [f"{CHECKSUMS}: unreadable"]
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None or not _NAME.fullmatch(match[2]):
            problems.append(f"{CHECKSUMS}: malformed line {line[:80]!r}")
        else:
            sums[match[2]] = match[1]
    for name, digest in sums.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            problems.append(f"{name}: missing")
        elif sha256_of(path) != digest:
            problems.append(f"{name}: changed")
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}
    problems += [f"{name}: {NOT_LISTED}" for name in sorted(present - set(sums) - {CHECKSUMS, SIDECAR})]
    problems += [f"{name}: missing from {CHECKSUMS}" for name in sorted(_REQUIRED - set(sums))]
    if not problems:
        problems += _check_manifest(folder, sums, about)
    return problems


_REQUIRED = {"manifest.csv", "spec.yaml", "batch.json"}


def _check_manifest(folder: Path, sums: dict[str, str], about: dict[str, Any]) -> list[str]:
    problems = []
    listed = set()
    try:
        with open_text(folder / "manifest.csv") as handle:
            rows = list(csv.DictReader(handle))
    except (csv.Error, UnicodeDecodeError, OSError):
        return ["manifest.csv: unreadable"]
    for row in rows:
        name = str(row.get("file"))
        if name in listed:
            problems.append(f"manifest.csv: {name} is listed twice")
        listed.add(name)
        if name not in sums or sums[name] != row.get("sha256"):
            problems.append(f"manifest.csv: {name} has another sha256 than {CHECKSUMS}")
            continue
        try:
            load_rgb(folder / name)
        except DataError as error:
            problems.append(str(error))
    images = {name for name in sums if name.startswith("images/")}
    problems += [f"{name}: not in manifest.csv" for name in sorted(images - listed)]
    if len(listed) != about.get("accepted"):
        problems.append(f"batch.json says {about.get('accepted')} faces, manifest.csv has {len(listed)}")
    return problems
