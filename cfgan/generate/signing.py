"""A signed copy of a batch: C2PA manifests by whoever holds a certificate.

In one form each image carries a manifest: it says of the image what the manifest.csv says, and goes with it wherever
the file goes. In the other, cheap one a single manifest lies beside the contact sheet, ``contact_sheet.c2pa``, where
C2PA tools look for it: it signs the sheet and names the sha256 of ``checksums.sha256``, which covers every other file.
The sidecar is covered by nothing, so that nothing has to hold its own hash.

The batch itself stays as it is: its bytes come again from its spec, those of a signature never do.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from cfgan.errors import FolderError
from cfgan.generate.batch import CHECKSUMS, IMAGE, SHEET, SIDECAR, Utf8, read_batch
from cfgan.generate.batch_check import check_batch
from cfgan.io.c2pa import Signer
from cfgan.io.cells import CellWriter
from cfgan.io.files import OURS, atomic_write, make_folder, real_path, sha256_of, write_bytes, write_json
from cfgan.io.folders import anything, replace_folder, require_ours
from cfgan.io.progress import Progress, silent
from cfgan.io.reading import open_text, read_regular

DRAW, FOLDER = "org.cfgan.draw", "org.cfgan.batch"
"""Labels of what a manifest says of an image, and of a whole folder."""

SIGNED = "signed"
"""Key in ``batch.json`` of a copy whose images are signed."""

_FILES = {"batch.json", CHECKSUMS, SHEET, SIDECAR, "images", "manifest.csv", "spec.yaml"}
_WORKERS = 4  # images signed and flushed at a time; the signing itself holds no interpreter lock
_BLOCK = 64  # images under way at most


def sign_batch(folder: Path, out: Path, signer: Signer, *, detached: bool = False, progress: Progress = silent) -> int:
    """Copy a finished batch and sign the copy, all or nothing.

    Args:
        folder: the batch; it must be complete and unchanged, and not signed.
        out: new, empty, or an older signed copy of the same batch, which is replaced.
        signer: whose signature.
        detached: sign the folder as a whole, once, and leave the images as they are.
        progress: told of images signed.

    Returns:
        Number of images signed, or covered by the signature.

    Raises:
        FolderError: the batch is none, unfinished, changed, signed already or empty; or ``out`` holds something else.
        InputError: ``out`` lies inside a folder that is checked as a whole.
        ConfigError: the certificate expired meanwhile, or the time stamp's authority went away.
        StorageError: the disk refused.
    """
    out, about = real_path(out), read_batch(folder)
    if is_said_signed(folder, about):
        raise FolderError(f"{folder} is signed already; sign the batch that it is a copy of.", field="folder")
    if not (folder / CHECKSUMS).is_file():
        raise FolderError(f"{folder} is damaged ({CHECKSUMS}: missing).", field="folder", value=folder)
    original = sha256_of(folder / CHECKSUMS)
    foreign = partial(_foreign, original)
    require_ours(out, foreign)
    if problems := check_batch(folder):
        raise FolderError(
            f"{folder} is damaged ({problems[0]}); a batch is signed as it was made.", field="folder", value=folder
        )
    if not about["accepted"] or not (folder / SHEET).exists():
        raise FolderError(f"{folder} has no faces to sign.", field="folder", value=folder)

    def fill(fresh: Path) -> None:
        if detached:
            _copy(folder, fresh, progress)
            png = read_regular(fresh / SHEET)
            write_bytes(fresh / SIDECAR, signer.detach(png, SHEET, {FOLDER: folder_assertion(fresh, about)}))
        else:
            _embed(folder, fresh, about, original, signer, progress)

    replace_folder(out, fill, foreign)
    return int(about["accepted"])


def is_said_signed(folder: Path, about: Mapping[str, Any]) -> bool:
    """Whether a batch says of itself that it is a signed copy."""
    return SIGNED in about or (folder / SIDECAR).exists()


def draw_assertion(row: Mapping[str, str], about: Mapping[str, Any], sha256: str) -> dict[str, Any]:
    """What a manifest says of an image.

    Args:
        row: of ``manifest.csv``.
        about: ``batch.json``.
        sha256: of the image before it was signed.

    Raises:
        KeyError, ValueError: a column is missing or no number.
    """
    wanted = {key.removeprefix("requested."): float(cell) for key, cell in row.items() if _is_wanted(key, cell)}
    named = {"name": row["request"]} if "request" in row else {}
    return {
        "file": row["file"],
        **_model(about),
        "request": {**named, "attributes": wanted},
        "seed": int(row["seed"]),
        "draw": int(row["draw"]),
        "sha256": sha256,
    }


def folder_assertion(folder: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest says of a whole folder. Raises OSError."""
    return {**_model(about), "images": about["accepted"], "checksums": sha256_of(folder / CHECKSUMS)}


def _model(about: Mapping[str, Any]) -> dict[str, Any]:
    header = about["header"]
    bundle = {key: str(header["bundle"][key]) for key in ("name", "digest")}
    return {"bundle": bundle, "cfgan": str(header["cfgan"]), "engine": str(header["engine"])}


def _is_wanted(key: str | None, cell: object) -> bool:
    return bool(cell) and key is not None and key.startswith("requested.")


def _foreign(original: str, out: Path) -> str | None:
    """What in a folder is not an older signed copy of the batch with these checksums."""
    try:
        about = read_batch(out)
        if not is_said_signed(out, about):
            return "a batch that is not signed"
        signed = about.get(SIGNED)
        if (signed["checksums"] if signed else sha256_of(out / CHECKSUMS)) != original:
            return "a signed copy of another batch"
        names = [path.name for path in out.iterdir() if path.name not in _FILES and not OURS.fullmatch(path.name)]
        images = [f"images/{path.name}" for path in (out / "images").iterdir() if not IMAGE.fullmatch(path.name)]
        return next(iter(sorted([*names, *images])), None)
    except (FolderError, OSError, KeyError, TypeError):
        return anything(out)


def _copy(folder: Path, fresh: Path, progress: Progress) -> None:
    lines = read_regular(folder / CHECKSUMS).decode("utf-8").splitlines()
    make_folder(fresh / "images")
    for number, line in enumerate(lines):
        digest, _, name = line.partition("  ")
        write_bytes(fresh / name, _unchanged(folder / name, digest))
        progress("copying", number + 1, len(lines))
    write_bytes(fresh / CHECKSUMS, read_regular(folder / CHECKSUMS))


def _embed(
    folder: Path, fresh: Path, about: Mapping[str, Any], original: str, signer: Signer, progress: Progress
) -> None:
    make_folder(fresh / "images")
    images = int(about["accepted"])
    with atomic_write(fresh / CHECKSUMS) as sums:
        # Row by row, so that memory does not grow with the batch.
        with atomic_write(fresh / "manifest.csv") as manifest:
            writer = CellWriter(Utf8(manifest), paths=1)  # cells that it has been over stay as they are
            for number, row in enumerate(_sign_images(folder, fresh, about, signer)):
                if not number:
                    writer.writerow(row)
                writer.writerow(row.values())
                sums.write(f"{row['sha256']}  {row['file']}\n".encode())
                progress("signing", number + 1, images)
        signed = {"images": images, "by": signer.name, "checksums": original}
        write_json(fresh / "batch.json", {**about, SIGNED: signed})
        for name in (SHEET, "spec.yaml"):
            write_bytes(fresh / name, read_regular(folder / name))
        for name in ("batch.json", SHEET, "manifest.csv", "spec.yaml"):
            sums.write(f"{sha256_of(fresh / name)}  {name}\n".encode())


def _sign_images(folder: Path, fresh: Path, about: Mapping[str, Any], signer: Signer) -> Iterator[dict[str, str]]:
    """Sign the images; gives each one's row of the manifest with the sha256 of the signed file."""

    def sign(row: dict[str, str]) -> dict[str, str]:
        png = _unchanged(folder / row["file"], row["sha256"])
        signed = signer.embed(png, Path(row["file"]).name, {DRAW: draw_assertion(row, about, row["sha256"])})
        write_bytes(fresh / row["file"], signed)
        return {**row, "sha256": hashlib.sha256(signed).hexdigest()}

    with ThreadPoolExecutor(_WORKERS) as pool, open_text(folder / "manifest.csv") as handle:
        reader = csv.DictReader(handle)
        while rows := list(islice(reader, _BLOCK)):
            yield from pool.map(sign, rows)


def _unchanged(path: Path, digest: str) -> bytes:
    """A file that was checked a moment ago. Raises FolderError if somebody changed it since."""
    data = read_regular(path)
    if hashlib.sha256(data).hexdigest() != digest:
        raise FolderError(f"{path} was changed meanwhile.", field="folder", value=path)
    return data
