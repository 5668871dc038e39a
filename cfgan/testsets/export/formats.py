"""Exports of a test set in formats that existing evaluators read unchanged.

Every export is a folder with, beside the format's own files::

    README.txt          what it is, of which set, how to read it, what the format could not hold
    export.json         the same for programs
    checksums.sha256    sha256 of every other file, in the format of sha256sum

The same set and options give the same bytes (with the same versions of Pillow and pyarrow).
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL

from cfgan.errors import FolderError, InputError, nearest
from cfgan.io.files import read_json_object, real_path, sha256_of, write_json, write_text
from cfgan.io.folders import anything, replace_folder, require_ours
from cfgan.io.progress import Progress
from cfgan.io.signals import StopRequest
from cfgan.testsets.export.celeba import plan_celeba
from cfgan.testsets.export.pairs import plan_insightface, plan_lfw
from cfgan.testsets.export.source import ExportOptions, Plan, Source
from cfgan.testsets.export.tables import plan_huggingface, plan_parquet
from cfgan.testsets.folder import CHECKSUMS, Testset
from cfgan.testsets.tables import read_checksums, set_digest
from cfgan.version import __version__

FORMAT = "cfgan-export/1"
ABOUT, README = "export.json", "README.txt"


@dataclass(frozen=True)
class Format:
    """One format.

    Args:
        about: what it is, in a line.
        plan: checks whether a set fits into it. Nothing is written before the plan's ``write``.
        options: those of :class:`ExportOptions` that it takes.
    """

    about: str
    plan: Callable[[Source, ExportOptions], Plan]
    options: frozenset[str]


_AS_LISTS = {"presumed_as_mated", "balance", "gallery", "size", "quality", "margin", "align"}
FORMATS = {
    "lfw": Format("LFW's pairs.txt and folders of images", plan_lfw, frozenset(_AS_LISTS | {"images"})),
    "insightface": Format("a .bin of images and issame", plan_insightface, frozenset(_AS_LISTS)),
    "celeba": Format("CelebA's layout: labels, identities, aligned images", plan_celeba, frozenset({"quality"})),
    "huggingface": Format("an image folder with metadata.csv", plan_huggingface, frozenset()),
    "parquet": Format("Parquet tables, with the images if wanted", plan_parquet, frozenset({"with_images"})),
}


def export_testset(
    testset: Testset, kind: str, out: Path, options: ExportOptions | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Write a test set in another format: all of it or nothing.

    Args:
        testset: an opened test set; each image is compared with its checksum on the way.
        kind: one of :data:`FORMATS`.
        out: new or empty folder, or an older export, which is replaced.
        options: see there; each format takes some.
        progress: called with images done and in all.

    Returns:
        What ``export.json`` says: format, kind, set, options, counts, notes, versions.

    Raises:
        InputError: no such format, an option that it does not take, or a set that it cannot hold.
        FolderError: ``out`` holds something else, or the set is damaged.
        StoppedError: a stop was asked for; nothing was written.
        StorageError: the disk refused; an older export stays as it was.
    """
    if kind not in FORMATS:
        close = nearest(kind, FORMATS) or FORMATS
        raise InputError(f"{kind!r} is not a known format.", field="--format", value=kind, nearest=close)
    options = options or ExportOptions()
    options.check(kind, FORMATS[kind].options)
    out = real_path(out)
    require_ours(out, _foreign)
    plan = FORMATS[kind].plan(Source(testset, options.gallery), options)
    about = _about(testset, kind, options, plan)

    with StopRequest() as stop:

        def fill(folder: Path) -> None:
            done = 0

            def tick() -> None:
                nonlocal done
                done += 1
                stop.raise_if_asked("nothing was written")
                if progress:
                    progress("exporting", done, plan.steps)

            plan.write(folder, tick)
            write_json(folder / ABOUT, about)
            write_text(folder / README, _readme(about, plan))
            names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
            sums = [f"{sha256_of(folder / name)}  {name}\n" for name in names]
            write_text(folder / CHECKSUMS, "".join(sums))

        replace_folder(out, fill, _foreign)
    return about


def _foreign(out: Path) -> str | None:
    """What stands in a folder that no export of ours put there."""
    try:
        ours = str(read_json_object(out / ABOUT).get("format")) == FORMAT
        sums, problems = read_checksums(out) if ours else ({}, [])
    except (ValueError, FolderError):
        ours, sums, problems = False, {}, []
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir())
    if not ours or problems:
        return found[0] if found else anything(out)
    return next((name for name in found if name not in sums and name != CHECKSUMS), None)


def _about(testset: Testset, kind: str, options: ExportOptions, plan: Plan) -> dict[str, Any]:
    versions = {"cfgan": __version__, "pillow": PIL.__version__}
    if kind == "parquet":
        from importlib.metadata import version

        versions["pyarrow"] = version("pyarrow")
    return {
        "format": FORMAT,
        "kind": kind,
        "synthetic": not plan.real_faces,
        "testset": {"design": testset.design, "digest": set_digest(testset.path)},
        "licence": testset.manifest.get("licence"),
        "options": options.to_dict(),
        "counts": plan.counts,
        "notes": list(plan.notes),
        "versions": versions,
    }


def _readme(about: dict[str, Any], plan: Plan) -> str:
    kind, testset = about["kind"], about["testset"]
    what = "The faces were made by a trained model and show nobody"
    if testset["design"] == "detection":
        what += ", but for those that items call bona_fide. No file says which it is: a detector could win by that."
    else:
        what += ". " if about["synthetic"] else ", but for the enrolled ones, which are real. "
        what += "Each image that was made says so (IPTC DigitalSourceType trainedAlgorithmicMedia in its XMP)."
    what += f" This is an export ({kind}: {FORMATS[kind].about}) of a test set for imposter detection."
    facts = [
        f"Set:     {testset['design']}, sha256 of its checksums {testset['digest']}",
        f"Licence: {about['licence'] or 'not stated'}",
        f"Made by: cfgan {about['versions']['cfgan']}",
    ]
    notes = [
        line for note in plan.notes for line in textwrap.wrap(note, 110, initial_indent="- ", subsequent_indent="  ")
    ]
    title = "Synthetic faces: a test set"
    parts = [[title, "=" * len(title)], textwrap.wrap(what, 110), facts, ["Reading it:", *plan.reading], notes]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"
