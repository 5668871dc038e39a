"""A report on batches, for whoever receives them: read again, drawn again, and compared with real faces.

The figures come from the images themselves, read by the bundle's verifier and by its judge, not from what the batch
says of itself; with the very model at hand, draws are also made again from their seeds, which gives unfiltered figures
and shows that the faces are what that model draws. Nothing depends on the date or the place: the same batches and the
same bundle give the same bytes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cfgan.errors import ConfigError, InputError
from cfgan.evaluation.accuracy import plain
from cfgan.io.files import real_path
from cfgan.io.progress import Progress, silent, within
from cfgan.model.bundle import Bundle, open_bundle, shipped_bundles
from cfgan.model.classifiers import NETWORKS
from cfgan.model.engine import Engine
from cfgan.model.engines import ENGINES, open_engine, split_device
from cfgan.reports.batch import verdict
from cfgan.reports.batch.duplicates import near_duplicates
from cfgan.reports.batch.examples import Picture, each_of, pictures_of
from cfgan.reports.batch.external import sentences
from cfgan.reports.batch.figures import FAILING, SHORT, BatchFigures, gated
from cfgan.reports.batch.folder import BatchFolder, Content, printable, read_folder
from cfgan.reports.batch.look import Look, Received, Report
from cfgan.reports.batch.reading import SAME, read_faces
from cfgan.reports.batch.sections import FORMAT, SECTIONS
from cfgan.reports.section import figures_of
from cfgan.stats.rates import LEAST
from cfgan.verify.real_faces import RealFaces, real_faces
from cfgan.version import __version__

if TYPE_CHECKING:
    from cfgan.external.classifier import ExternalClassifier
    from cfgan.verify.reader import Reader

__all__ = ["Report", "build_report"]

REDRAW = 2000
"""Draws of a cell that are made again by default."""


def build_report(
    folders: Sequence[Path],
    bundle: Bundle | None = None,
    *,
    redraw: int = REDRAW,
    external_classifiers: Sequence[ExternalClassifier] | None = None,
    missing: Sequence[str] = (),
    device: str = "auto",
    progress: Progress = silent,
) -> Report:
    """Check, read and judge some batches.

    Args:
        folders: batch folders.
        bundle: whose readers read the faces, and which draws again what it made itself; None: the shipped bundle that
            made one of the batches, else the default one.
        redraw: most draws of a cell that are made again; 0 for none.
        external_classifiers: external ones, which look too; None: nobody was asked to.
        missing: a sentence about each external classifier that is not at hand.
        device: where to compute.
        progress: called while it lasts.

    Raises:
        InputError: no folder, a folder twice, or one that is no finished batch.
        BundleError: the bundle is damaged.
        ConfigError: there are external classifiers, and dlib is missing.
    """
    if not folders:
        raise InputError("no batch is given.", field="batch")
    if len({real_path(path) for path in folders}) < len(folders):
        raise InputError("a batch is given twice.", field="batch")
    batches = [read_folder(path) for path in folders]
    bundle = bundle if bundle is not None else _shipped(batches)
    batches = [_fits_its_model(batch, bundle) for batch in batches]
    real = real_faces(bundle)
    names = _distinct([batch.name for batch in batches])
    engine = open_engine(bundle, device)
    readers = _readers(bundle, engine)
    shown = each_of(sum(len(batch.content.cells) for batch in batches if batch.content), bundle.size)
    read, data = [], []
    for k, (name, batch) in enumerate(zip(names, batches, strict=True), 1):
        data.append(_about(str(k), name, batch))
        if batch.content is not None:
            drawn_by = partial(_engine_of, batch, bundle, device, engine)
            item = _read(str(k), name, batch, batch.content, bundle, readers, drawn_by, redraw, shown, progress)
            read.append(item)
            data[-1] |= _read_facts(item)
            if "judge" in data[-1]["read_by"]:
                show = within(progress, before=f"{name}: ")
                data[-1]["nearest"] = near_duplicates(batch, batch.content, bundle, engine, show)
    any_own = any(item.own for item in read)
    deciding = "judge" if any("judge" in item.reading.thresholds for item in read) else "verifier"
    totals = BatchFigures(bundle.vocabulary, real, deciding, any_own)
    pictures: dict[str, list[Picture]] = {}
    for item in read:
        cells = []
        for k, cell in enumerate(item.reading.cells, 1):
            key = f"{item.id}.{k}"
            model = item.folder.about["header"]["bundle"]
            pictures[key] = pictures_of(item.folder, cell, item.content.vocabulary.names, shown, model)
            figures = totals.cell(cell, item.reading, item.content.vocabulary.names, own=item.own)
            cells.append({"id": key, **figures, "pictures": [picture.to_dict() for picture in pictures[key]]})
        data[int(item.id) - 1]["cells"] = cells
    overview = totals.overview()
    totals.settle()
    look = Look(read, bundle, real, deciding, any_own, external_classifiers, missing, progress)
    found = figures_of(SECTIONS, look)
    realism = bundle.realism
    exact = {reader: rate.to_dict() for reader, rate in totals.whole.items()}
    lines = verdict.summary(data, overview, deciding, exact, len(totals.tested))
    result = {
        "format": FORMAT,
        "cfgan": __version__,
        **verdict.judged(data, overview, deciding, len(totals.tested), None if realism.enough else realism.sentence),
        "summary": [*lines, realism.sentence, *sentences(found["witnesses"])],
        "bundle": _bundle_facts(bundle, real),
        "settings": {
            "redraw": redraw,
            "deciding": deciding,
            "compared": len(totals.tested),
            "short": SHORT,
            "failing": FAILING,
            "least_real": LEAST,
            "widest": verdict.WIDEST,
            "weak": verdict.WEAK,
            "same_levels": SAME,
        },
        "batches": data,
        "attributes": overview,
        "exact": exact,
        **found,
    }
    return Report(plain(result), pictures, _faces(read))


def _fits_its_model(batch: BatchFolder, bundle: Bundle) -> BatchFolder:
    """The batch; as one that is not what it says where it names the bundle at hand but has other attributes."""
    if batch.content is None or batch.about["header"]["bundle"]["digest"] != bundle.digest:
        return batch
    if batch.content.vocabulary.names == bundle.vocabulary.names:
        return batch
    return replace(batch, content=None, problems=["manifest.csv: not the attributes of the bundle that it names"])


def _shipped(batches: Sequence[BatchFolder]) -> Bundle:
    """The shipped bundle that made one of the batches, or the default one."""
    shipped = [open_bundle(path) for path in shipped_bundles().values()]
    wanted = {batch.about["header"]["bundle"]["digest"] for batch in batches if batch.content}
    return next((bundle for bundle in shipped if bundle.digest in wanted), None) or open_bundle()


def _readers(bundle: Bundle, engine: Engine) -> dict[str, Reader]:
    from cfgan.verify.reader import readers_of

    return {reader.name: reader for reader in readers_of(bundle, engine)}


def _engine_of(batch: BatchFolder, bundle: Bundle, device: str, engine: Engine) -> Engine:
    """The engine that made a batch, where it is at hand, else the one that reads it; those of older versions were made
    by torch."""
    made_by = str(batch.about["header"].get("engine", "torch"))
    wanted, place = split_device(device)
    if wanted == "auto" and made_by in ENGINES and made_by != engine.name:
        with contextlib.suppress(ConfigError, InputError):
            return open_engine(bundle, f"{made_by}:{place}")
    return engine


def _distinct(names: list[str]) -> list[str]:
    """Names with a number where folders of several places have the same."""
    return [f"{name} ({k})" if names.count(name) > 1 else name for k, name in enumerate(names, 1)]


def _about(number: str, name: str, batch: BatchFolder) -> dict[str, Any]:
    header = batch.about["header"]
    whole = batch.content is not None
    return {
        "id": number,
        "name": name,
        "digest": batch.digest,
        "bundle": {key: printable(header["bundle"][key]) for key in ("name", "digest")} if whole else None,
        "cfgan": printable(str(header.get("cfgan", ""))),
        "licence": printable(str(batch.about.get("licence", ""))),
        "wanted": batch.about["wanted"] if whole else None,
        "accepted": batch.about["accepted"] if whole else None,
        "draws": sum(faces.tally.next_draw for faces in batch.content.cells) if batch.content else None,
        "spec": header["spec"] if whole else None,
        "problems": batch.problems,
        "notes": batch.notes,
        "left_out": [],
        "read_by": [],
        "redrawn": None,
        "twins": 0,
        "nearest": None,
        "cells": [],
    }


def _read(
    number: str,
    name: str,
    batch: BatchFolder,
    content: Content,
    bundle: Bundle,
    readers: Mapping[str, Reader],
    drawn_by: Callable[[], Engine],
    redraw: int,
    shown: int,
    progress: Progress,
) -> Received:
    """Read a batch with whatever of the bundle fits it, and say what had to be left out."""
    made_by = batch.about["header"]["bundle"]
    own = made_by["digest"] == bundle.digest
    left_out, sampler, fitting = [], None, dict(readers)
    if own:
        if redraw:
            from cfgan.generate.sampling import Sampler

            sampler = Sampler(bundle, drawn_by())
        else:
            left_out.append("No draw was made again, as was asked for: unfiltered figures by the judge are left out.")
    else:
        left_out.append(
            f"The model that made it ({made_by['name']}, {made_by['digest'][:12]}) is not at hand: no draw could be "
            "made again, so unfiltered figures by the judge, rejected faces and the proof that this model draws these "
            "faces are left out, and the verifier's word is the batch's own: the manifest, and what passed the gate."
        )
        fitting.pop("verifier", None)
        first = next((faces.files[0] for faces in content.cells if faces.files), None)
        size = batch.pixels([first]).shape[-1] if first else bundle.size
        if content.vocabulary.names != bundle.vocabulary.names or size != bundle.size:
            fitting = {}
            left_out.append(f"{bundle.name} has other attributes or another size, so its judge cannot read it either.")
    if "judge" not in readers:
        left_out.append(f"{bundle.name} has no judge: nobody but the verifier has read the faces.")
    if fitting and "validation.safetensors" not in bundle.sums:
        left_out.append(f"{bundle.name} does not keep what its readers saw in real faces: there is no ceiling.")
    reading = read_faces(
        batch,
        content,
        fitting,
        sampler,
        redraw=redraw,
        shown=shown,
        size=bundle.size if fitting else None,
        progress=within(progress, before=f"{name}: "),
    )
    return Received(number, name, batch, content, reading, own, left_out)


def _read_facts(item: Received) -> dict[str, Any]:
    again = [cell.redrawn for cell in item.reading.cells if cell.redrawn is not None]
    redrawn = None
    if again:
        differences = [float(value) for part in again for value in part.difference]
        redrawn = {
            "draws": sum(len(part.kept) for part in again),
            "of": sum(cell.faces.tally.next_draw for cell in item.reading.cells),
            "compared": len(differences),
            "same": sum(value <= SAME for value in differences),
            "largest_difference": max(differences, default=0.0),
            "gate_differs": int(sum((part.gate != part.kept).sum() for part in again)),
        }
    read_by = [role for role in NETWORKS if role in item.reading.cells[0].kept]
    if not item.own:
        read_by.remove("verifier")
    return {"left_out": item.left_out, "read_by": read_by, "redrawn": redrawn, "twins": item.reading.duplicates}


def _bundle_facts(bundle: Bundle, real: RealFaces | None) -> dict[str, Any]:
    return {
        "name": bundle.name,
        "digest": bundle.digest,
        "licence": str(bundle.config.get("licence", "")),
        "judge": "judge" in bundle.classifiers,
        "real_faces": len(real.labels) if real else None,
    }


def _faces(read: Sequence[Received]) -> list[dict[str, Any]]:
    """Each delivered face with what each reader says of what was asked for."""
    rows = []
    for item in read:
        names = item.content.vocabulary.names
        for k, cell in enumerate(item.reading.cells, 1):
            for place, (file, draw) in enumerate(zip(cell.faces.files, cell.faces.draws, strict=True)):
                row: dict[str, Any] = {"batch": item.name, "cell": f"{item.id}.{k}", "file": file, "draw": int(draw)}
                for name, value in gated(cell.faces.cell).items():
                    row[f"requested.{name}"] = int(value)
                    for reader, p in cell.kept.items():
                        row[f"{reader}.{name}"] = round(float(p[place, names.index(name)]), 5)
                rows.append(row)
    return rows
