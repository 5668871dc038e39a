"""Who signed a batch, and whether the signatures hold: see :mod:`cfgan.generate.signing`."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cfgan.errors import FolderError
from cfgan.generate.batch import SHEET, SIDECAR, read_batch
from cfgan.generate.signing import DRAW, FOLDER, SIGNED, draw_assertion, folder_assertion, is_said_signed
from cfgan.io.c2pa import Signature, SignatureReader, carries_manifest, without_manifest
from cfgan.io.reading import open_text, read_regular

_NAMED = 3  # signers named in one line
_GIVEN = ("file", "bundle", "request", "seed", "draw", "sha256")  # what a draw's assertion must say as the folder does


@dataclass
class Signatures:
    """The signatures of a batch.

    Args:
        faces: in the batch.
        signed: faces that are signed, or covered by the signature over the folder.
        trusted: of those, the ones whose certificate is trusted.
        detached: one signature over the folder.
        by: signer -> number of faces; the signer is what the certificate says, its holder chose it.
        problems: one line each.
    """

    faces: int
    signed: int = 0
    trusted: int = 0
    detached: bool = False
    by: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def sentence(self) -> str:
        """Who signed how much, and whether that is to be believed."""
        names = list(self.by)
        named = "; ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")
        what = "signed as a whole" if self.detached else f"{self.signed:,} of {self.faces:,} images signed"
        if self.trusted == self.signed:
            return f"{what} by {named}, certificate trusted"
        some = f"{self.trusted:,} certificates trusted" if self.trusted else "certificate not known to be trusted"
        return f"{what} by {named}, {some} (--trust FILE)"


def are_signatures_there(folder: Path) -> bool:
    """Whether a finished batch is signed, wholly or in part, or says so. Needs no C2PA library.

    Raises:
        FolderError: not a finished batch folder, or one that cannot be read.
    """
    if is_said_signed(folder, read_batch(folder)):
        return True
    try:
        return any(carries_manifest(path) for path in sorted((folder / "images").iterdir()))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise FolderError(f"{folder} cannot be read: {error.strerror}.", field="batch", value=folder) from None


def check_signatures(folder: Path, trust: Path | None = None) -> Signatures:
    """Validate the signatures of a batch that is otherwise complete and unchanged.

    Args:
        folder: the batch; :func:`cfgan.generate.batch_check.check_batch` has found nothing in it.
        trust: PEM file of the certificates that are trusted. With it, whatever is not signed by a trusted one is a
            problem.

    Raises:
        ConfigError: the C2PA library is missing, or ``trust`` holds no certificates.
        FolderError: the folder is none, or cannot be read.
    """
    reader = SignatureReader(trust)
    about = read_batch(folder)
    found = Signatures(faces=int(about["accepted"]))
    try:
        if (folder / SIDECAR).exists():
            _check_folder(folder, about, reader, found)
        else:
            _check_images(folder, about, reader, found)
    except OSError as error:
        raise FolderError(f"{folder} cannot be read: {error.strerror}.", field="batch", value=folder) from None
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise FolderError(f"{folder} is damaged ({error}).", field="batch", value=folder) from None
    if trust is not None and not found.problems and (untrusted := found.faces - found.trusted):
        by = f"; {', '.join(found.by)}" if found.by else ""
        found.problems.append(f"{untrusted:,} of {found.faces:,} images are not signed by whom {trust} trusts{by}")
    return found


def _check_folder(folder: Path, about: Mapping[str, Any], reader: SignatureReader, found: Signatures) -> None:
    found.detached = True
    signature = reader.read(read_regular(folder / SHEET), read_regular(folder / SIDECAR))
    fault = "it holds no manifest" if signature is None else signature.fault
    if signature is not None and fault is None:
        said, held = signature.assertions.get(FOLDER, {}), folder_assertion(folder, about)
        if said.get("checksums") != held["checksums"] or said.get("bundle") != held["bundle"]:
            fault = "it signs other checksums than those of this folder"
    if signature is None or fault is not None:
        found.problems.append(f"{SIDECAR}: {fault}")
        return
    found.by = {signature.by: found.faces}
    found.signed = found.faces
    found.trusted = found.faces if signature.trusted else 0


def _check_images(folder: Path, about: Mapping[str, Any], reader: SignatureReader, found: Signatures) -> None:
    by: Counter[str] = Counter()
    certificates: set[str] = set()
    with open_text(folder / "manifest.csv") as handle:
        for row in csv.DictReader(handle):
            if not carries_manifest(folder / row["file"]):
                if SIGNED in about:
                    found.problems.append(f"{row['file']}: not signed, but batch.json says that all images are")
                continue
            png = read_regular(folder / row["file"])
            signature = reader.read(png)
            fault = "its manifest cannot be read" if signature is None else _fault(png, signature, row, about)
            if signature is None or fault is not None:
                found.problems.append(f"{row['file']}: its signature does not hold: {fault}")
                continue
            by[signature.by] += 1
            certificates.add(signature.certificate)
            found.signed += 1
            found.trusted += signature.trusted
    found.by = dict(by.most_common())
    if len(certificates) > 1:
        found.problems.append(f"images are signed with {len(certificates):,} different certificates: {', '.join(by)}")


def _fault(png: bytes, signature: Signature, row: Mapping[str, str], about: Mapping[str, Any]) -> str | None:
    """Why the signature of an image does not hold in this batch; None if it does."""
    if signature.fault is not None or DRAW not in signature.assertions:
        return signature.fault or f"it says nothing of a draw ({DRAW})"
    said = signature.assertions[DRAW]
    # Without its manifest the image is, byte for byte, the one that the batch had.
    held = draw_assertion(row, about, hashlib.sha256(without_manifest(png)).hexdigest())
    other = [key for key in _GIVEN if said.get(key) != held[key]]
    return f"it is of an image with another {other[0]} than this folder says" if other else None
