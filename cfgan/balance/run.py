"""Balancing a data set: plan, generate what is missing, and write one label table of real and synthetic images.

::

    labels.csv              every image with its labels; see :mod:`cfgan.balance.table`
    labels.parquet          the same, if asked for
    synthetic/              the generated faces: a batch folder (:mod:`cfgan.generate.batch`)
    real/                   links to the real images, if asked for
    balance.json            target, plan, bundle, seed, counts before and after, what was reached
    checksums.sha256        of all of these but the links, in the format of sha256sum

Real files are never changed, and no row is ever dropped. Synthetic rows stand in the train split only. Until the folder
is finished, ``progress.json`` says whose it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cfgan.attributes.request import format_request
from cfgan.balance.data import BalanceData
from cfgan.balance.plan import Job, plan_figures
from cfgan.balance.table import BATCH, read_synthetic, require_parquet, write_csv, write_parquet
from cfgan.balance.target import achieved
from cfgan.data.labelled_images import SPLITS
from cfgan.errors import FolderError, InputError
from cfgan.generate.job import generate
from cfgan.generate.summary import Summary
from cfgan.io.files import (
    make_folder,
    read_json_object,
    real_path,
    sha256_of,
    storage_errors,
    write_json,
    write_text,
)
from cfgan.io.folders import something_else
from cfgan.io.progress import Progress
from cfgan.io.reading import read_regular
from cfgan.io.resumable import StateFolder
from cfgan.model.bundle import Bundle
from cfgan.model.engines import open_engine
from cfgan.version import __version__

FORMAT = "cfgan-balance/1"
LINKS = ("symlink", "hard")
_ABOUT, _SUMS, _REAL = "balance.json", "checksums.sha256", "real"


@dataclass(frozen=True)
class Result:
    """What came of a balance.

    Args:
        out: the folder.
        about: content of ``balance.json``.
        summary: of the batch; None where nothing was missing.
        repeated: whether it was finished before.
    """

    out: Path
    about: Mapping[str, Any]
    summary: Summary | None
    repeated: bool

    @property
    def complete(self) -> bool:
        """Whether every planned face was found."""
        return self.summary is None or self.summary.complete


def balance(
    bundle: Bundle,
    job: Job,
    out: Path,
    *,
    link: str | None = None,
    parquet: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> Result:
    """Carry a job out, or go on with one that was stopped.

    Args:
        bundle: the model that the job was prepared with.
        job: see :func:`prepare`.
        out: new or empty folder, or this same balance.
        link: "symlink" or "hard": links in ``real/``; None: real images stay where they are, named by relative path.
        parquet: write the table as Parquet too.
        device: where to compute.
        progress: called with faces accepted and wanted, and the draws as the remark.

    Returns:
        What came of it; when draws ran out it holds fewer faces than planned and ``complete`` is false.

    Raises:
        InputError: Parquet without pyarrow, links to a packed store, another kind of link.
        FolderError: the folder holds something else, another balance, or a damaged one.
        StorageError: the disk refused; what is stored stays and can be resumed.
        StoppedError: a stop was asked for; run again to resume.
    """
    if parquet:
        require_parquet()
    if link is not None and link not in LINKS:
        raise InputError(f"one of {', '.join(LINKS)} is expected.", field="--link", value=link, nearest=LINKS)
    if link is not None and job.data.folder is None:
        raise InputError("a packed store or shards have no files to link.", field="--link", value=link)
    header = _header(bundle, job, link, parquet)
    folder = StateFolder(out, header, "another balance (other data, target, settings or bundle)", _SUMS)
    if not folder.complete and job.faces is not None:
        # A damaged bundle or a wrong device is found before anything is written.
        for part in ("generator", "verifier", "prior"):
            bundle.file(f"{part}.safetensors")
        open_engine(bundle, device)
    with folder.locked():
        finished = folder.complete
        if finished:
            _require_sound(folder)
        else:
            folder.save()
        summary = generate(bundle, job.faces, out / BATCH, device=device, progress=progress) if job.faces else None
        if not finished:
            _write(bundle, job, out, header, link, parquet, summary)
            folder.finish()
    return Result(out, read_json_object(out / _ABOUT), summary, finished)


def _header(bundle: Bundle, job: Job, link: str | None, parquet: bool) -> dict[str, Any]:
    """What identifies a balance: a folder with another header is never written into."""
    header = {
        "format": FORMAT,
        "cfgan": __version__,
        "bundle": {"name": bundle.name, "digest": bundle.digest},
        "data": {"digest": job.data.digest, "kind": "store" if job.data.folder is None else "files"},
        "spec": job.spec.model_dump(exclude_defaults=True)
        | {"seed": job.spec.seed, "free_labels": job.spec.free_labels},
        "link": link,
        "parquet": parquet,
    }
    loaded: dict[str, Any] = json.loads(json.dumps(header))
    return loaded


def _require_sound(folder: StateFolder) -> None:
    """Raise FolderError unless a finished folder holds this balance, undamaged."""
    out = folder.out
    try:
        header = read_json_object(out / _ABOUT)["header"]
    except (ValueError, KeyError):
        raise something_else(out, _ABOUT, field="out") from None
    folder.require_same(header)
    if problems := check_balance(out):
        raise FolderError(
            f"{out} was this balance, but is damaged ({problems[0]}); remove that folder, or choose another --out.",
            field="out",
            value=out,
        )


def check_balance(out: Path) -> list[str]:
    """Compare a finished folder with its checksums: one line a problem. Raises FolderError: no such folder."""
    try:
        lines = read_regular(out / _SUMS).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise FolderError(f"{out} is not a finished balance: {_SUMS} cannot be read.", field="out", value=out) from None
    problems = []
    for line in lines:
        digest, _, name = line.partition("  ")
        path = out / name
        if not path.is_file():
            problems.append(f"{name}: missing")
        elif sha256_of(path) != digest:
            problems.append(f"{name}: changed")
    return problems


def _write(
    bundle: Bundle,
    job: Job,
    out: Path,
    header: Mapping[str, Any],
    link: str | None,
    parquet: bool,
    summary: Summary | None,
) -> None:
    """Everything but the batch; the checksums go last."""
    data = job.data
    synthetic = []
    if summary is not None:
        synthetic = read_synthetic(out / BATCH, bundle, data.vocabulary, job.spec.free_labels)
    files = _real_names(data, out, link)
    if link is not None:
        _link(data, out, hard=link == "hard")
    write_csv(out / "labels.csv", data, files, synthetic)
    if parquet:
        write_parquet(out / "labels.parquet", data, files, synthetic)
    before = {format_request(need.request): need.have for need in job.plan.needs}
    added = {
        format_request(need.request): sum(need.request.items() <= row.request.items() for row in synthetic)
        for need in job.plan.needs
    }
    after = {text: count + added[text] for text, count in before.items()}
    why = list(job.plan.why)
    if summary is not None and not summary.complete:
        why.append(f"draws ran out: {summary.accepted:,} of {summary.wanted:,} faces were found.")
    splits = {word: int((data.split == number).sum()) for word, number in SPLITS.items()}
    about = {
        "header": header,
        "licence": bundle.config.get("licence", ""),
        "realism": bundle.realism.sentence,
        **plan_figures(job.plan),
        "before": before,
        "after": after,
        "achieved": achieved(job.plan.target, after),
        "why_not_exact": why,
        "complete": summary is None or summary.complete,
        "faces": {"wanted": job.plan.missing, "found": len(synthetic), "draws": summary.draws if summary else 0},
        "rows": {"real": splits, "synthetic": {"train": len(synthetic)}},
    }
    write_json(out / _ABOUT, about)
    names = ["balance.json", "labels.csv", *(["labels.parquet"] if parquet else [])]
    sums = [f"{sha256_of(out / name)}  {name}\n" for name in names]
    if summary is not None:
        batch = out / BATCH / "checksums.sha256"
        sums.append(f"{sha256_of(batch)}  {BATCH}/{batch.name}\n")
        lines = batch.read_text(encoding="utf-8").splitlines()
        sums += [f"{line[:64]}  {BATCH}/{line[66:]}\n" for line in lines]
    write_text(out / _SUMS, "".join(sums))


def _real_names(data: BalanceData, out: Path, link: str | None) -> list[str]:
    """How the table names the real images: by link, by relative path, or as the packed store does."""
    if data.folder is None:
        return list(data.files)
    prefix = _REAL if link is not None else Path(os.path.relpath(real_path(data.folder), real_path(out))).as_posix()
    return [f"{prefix}/{name}" for name in data.files]


def _link(data: BalanceData, out: Path, *, hard: bool) -> None:
    """Links to all real images; those that a stopped run made are there already."""
    folder = real_path(data.folder or Path())
    for name in data.files:
        place, file = out / _REAL / name, folder / name
        make_folder(place.parent)
        with storage_errors(place):
            if place.exists() and place.samefile(file):
                continue
            if hard:
                os.link(file, place)
            else:
                place.symlink_to(os.path.relpath(file, real_path(place.parent)))
