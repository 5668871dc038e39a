"""What a finished test set says of itself: pairs or items, attributes, protocol, manifest, datasheet."""

from __future__ import annotations

import io
import json
import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cfgan.attributes.request import format_request
from cfgan.data.decode import load_rgb
from cfgan.io.cells import CellWriter
from cfgan.io.files import write_bytes, write_json, write_text
from cfgan.io.png import encode_png, grid
from cfgan.io.yaml import dump_yaml
from cfgan.stats.rates import Rate
from cfgan.testsets.building.captured import captured_faces
from cfgan.testsets.building.designs import Built
from cfgan.testsets.building.faces import FaceMaker
from cfgan.testsets.building.nearest import RULE
from cfgan.testsets.building.quality import MEASURES
from cfgan.testsets.building.regions import FIGURES
from cfgan.testsets.building.writer import Face
from cfgan.testsets.captures import Capture, captures_of
from cfgan.testsets.folder import (
    ATTRIBUTES,
    DATASHEET,
    MANIFEST,
    PROTOCOL,
    SHEET,
    SPEC,
    person_of,
    write_items,
    write_pairs,
)
from cfgan.testsets.scores.bootstrap import Subjects
from cfgan.testsets.scores.operating_points import smallest_rate
from cfgan.verify.real_faces import real_faces

_SHEET_SIDE = 8  # faces across and down on the contact sheet, about
_TEMPLATE = Path(__file__).parent / "datasheet.md.j2"


def describe(maker: FaceMaker, built: Built) -> dict[str, Any]:
    """Write everything but the images into the set's folder. Returns the protocol. Raises StorageError."""
    protocol = _protocol(maker, built)
    rates = attribute_rates(maker)

    def write(out: Path) -> None:
        if maker.plan.design == "detection":
            write_items(out, built.items)
        else:
            write_pairs(out, built.pairs)
        write_text(out / ATTRIBUTES, _attributes(maker))
        if (sheet := _sheet(maker)) is not None:
            write_bytes(out / SHEET, sheet)
        write_json(out / PROTOCOL, protocol)
        write_text(out / SPEC, dump_yaml(maker.plan.resolved))
        write_text(out / DATASHEET, _datasheet(maker, built, protocol, rates))
        write_json(out / MANIFEST, _manifest(maker, protocol))

    maker.writer.finish(write)
    return protocol


def _faces(maker: FaceMaker) -> Iterator[Face]:
    for faces in maker.writer.faces.values():
        yield from faces


def _protocol(maker: FaceMaker, built: Built) -> dict[str, Any]:
    plan = maker.plan
    images = sum(len(faces) for faces in maker.writer.faces.values())
    counts: dict[str, Any]
    if plan.design == "detection":
        labels = Counter(item.label for item in built.items if item.file)
        slots = sum(not item.file for item in built.items)
        strata = Counter(item.stratum for item in built.items)
        counts = {"items": len(built.items), **dict(sorted(labels.items())), "slots": slots, "strata": dict(strata)}
        how = "CSV with the columns item,score, a row for every item that has a file; more is more likely generated"
    else:
        mated = Counter(pair.mated for pair in built.pairs)
        counts = {
            "pairs": len(built.pairs),
            "mated": mated["1"],
            "nonmated": mated["0"],
            "presumed": mated["presumed"],
            "strata": dict(Counter(pair.stratum for pair in built.pairs)),
        }
        how = "CSV with the columns pair,score, a row for every pair; more is more alike"
    protocol: dict[str, Any] = {
        "folds": plan.model.folds,
        # Whom the user's own images show is not known.
        "subject_disjoint": plan.design != "detection" or plan.user_images is None,
        "counts": {**counts, "subjects": maker.writer.subjects, "images": images},
        "unmet": built.unmet,
        "scores": f"{how}; an empty score is a failure to acquire.",
        "draws": maker.writer.tallies,
    }
    if (own := maker.user_images) is not None and own.framing is not None:
        protocol["user_images"] = {"framing": own.framing, "left_out": own.left_out}
    if (about := maker.identity.about()) is not None:
        protocol["embedder"] = about
        protocol["screening"] = built.screening
    if ranks := [pair.rank for pair in built.pairs if pair.rank is not None]:
        protocol["nearest"] = {
            "rule": RULE,
            "candidates": len(maker.writer.stored("enrolled")) - 1,
            "median_rank": statistics.median(ranks),
            "largest_rank": max(ranks),
            "most_used": max(Counter(pair.b for pair in built.pairs if pair.rank is not None).values()),
        }
    if built.pairs:
        protocol["smallest_rates"] = _least_fmr(built)
    if captures := captured_faces(maker):
        protocol["captures"] = captures
    if survival := _survival(maker):
        protocol["survival"] = survival
    return protocol


def _sheet(maker: FaceMaker) -> bytes | None:
    """The first faces at a glance: where faces were changed, a row a face, it and what became of it.

    None in detection sets, whose images must not be told apart by looking at where they stand.
    """
    if maker.plan.design == "detection":
        return None
    by_base: dict[str, list[str]] = {}
    for face in _faces(maker):
        by_base.setdefault(face.of or face.file, []).append(face.file)
    changed = [files for files in by_base.values() if len(files) > 1]
    columns = max((len(files) for files in changed), default=1)
    whole = [files for files in changed if len(files) == columns] or list(by_base.values())
    rows = _SHEET_SIDE * (max(1, _SHEET_SIDE // columns) if columns > 1 else _SHEET_SIDE)
    shown = [np.asarray(load_rgb(maker.writer.out / file)).transpose(2, 0, 1) for row in whole[:rows] for file in row]
    if not shown:
        return None
    across = columns * max(1, _SHEET_SIDE // columns) if columns > 1 else _SHEET_SIDE
    about = {"synthetic": True, "bundle": maker.writer.header["bundle"], "made_from": "the first faces of this set"}
    return encode_png(grid(np.stack(shown), across), about)


def _holds_real_images(maker: FaceMaker) -> bool:
    user_images = maker.plan.user_images is not None
    return user_images and (maker.plan.design == "detection" or bool(maker.plan.resolved.get("copy_gallery")))


def _survival(maker: FaceMaker) -> dict[str, dict[str, Any]]:
    """Change -> how many faces it was tried on, and in how many it took effect and the face stayed the same one."""
    found = {}
    for role, tally in maker.writer.tallies.items():
        if "plain_survived" in tally:
            faces = maker.writer.stored(role)
            tried = tally["done"]
            by_file = {face.file: face for each in maker.writer.faces.values() for face in each}
            strengths = [face.strength for face in faces]
            found[role] = {
                "tried": tried,
                "plain": Rate(tally["plain_survived"], tried).to_dict(),
                "kept": Rate(tally["survived"], tried).to_dict(),
                "plain_moved": tally["plain_moved"],
                "verified": tally["verified"],
                "moved": tally["moved"],
                "in_place": tally["in_place"],
                "region": _region(maker, role),
                "refused": {
                    "verifier": tried - tally["verified"],
                    "judge": tally["verified"] - tally["moved"],
                    "region": tally["moved"] - tally["in_place"],
                    "no_face": tally["no_face"],
                    "other_person": tally["in_place"] - tally["no_face"] - tally["survived"],
                },
                "identity": maker.identity.kept([by_file[face.of] for face in faces], faces, tally["in_place"]),
                "median_strength": statistics.median(strengths) if strengths else None,
            }
    return found


def _region(maker: FaceMaker, role: str) -> dict[str, Any] | None:
    """The reader that had to see a change in its place; None where there is none."""
    reader = maker.regions.get(role)
    if reader is None:
        return None
    figures: dict[str, Any] = json.loads(FIGURES.read_text(encoding="utf-8"))
    return {key: figures[role][key] for key in ("threshold", "auc", "sure_as", "real_without_above")}


def attribute_rates(maker: FaceMaker) -> list[dict[str, Any]]:
    """How often verifier and judge see each requested value, a row a role and value, beside real faces with it."""
    bundle = maker.bundle
    real = real_faces(bundle)
    thresholds = {role: classifier.calibration.threshold for role, classifier in bundle.classifiers.items()}
    rows = []
    for role, faces in _by_kind(maker).items():
        values = sorted({(n, v) for face in faces for n, v in face.requested.items() if abs(v) == 1})
        for name, value in sorted(values, key=lambda each: bundle.vocabulary.index(each[0])):
            i = bundle.vocabulary.index(name)
            row: dict[str, Any] = {"role": role, "name": name, "value": value}
            for reader, threshold in thresholds.items():
                asked = [face for face in faces if face.requested.get(name) == value and getattr(face, reader)]
                seen = sum((getattr(face, reader)[i] >= threshold[i]) == (value > 0) for face in asked)
                row[reader] = Rate(int(seen), len(asked)).to_dict() if asked else None
                row[f"real_{reader}"] = None
                if real is not None and reader in real.seen and (rate := real.rate(reader, name, value)).n:
                    row[f"real_{reader}"] = rate.to_dict()
            rows.append(row)
    return rows


def _by_kind(maker: FaceMaker) -> dict[str, list[Face]]:
    """The faces of each role, those of a gallery's people together."""
    kinds: dict[str, list[Face]] = {}
    for role, faces in maker.writer.faces.items():
        if faces and faces[0].capture:
            continue  # shows what its base shows, as well as the change lets it be seen
        kinds.setdefault("imposters" if maker.plan.design == "gallery" else role, []).extend(faces)
    return kinds


def _draws(maker: FaceMaker) -> dict[str, dict[str, int]]:
    """What the draws of each role came to, those of a gallery's people together."""
    kinds: dict[str, Counter[str]] = {}
    for role, tally in maker.writer.tallies.items():
        if "draws" in tally:
            kinds.setdefault("imposters" if maker.plan.design == "gallery" else role, Counter()).update(tally)
    return {role: dict(tally) for role, tally in kinds.items()}


def _attributes(maker: FaceMaker) -> str:
    names = maker.bundle.vocabulary.names
    requested = [n for n in names if any(n in face.requested for face in _faces(maker))]
    readers = ["verifier", *(["judge"] if any(face.judge for face in _faces(maker)) else [])]
    captures = {change.name: change for change in captures_of(maker.plan.resolved)}
    measured = any(face.quality for face in _faces(maker))
    out = io.StringIO()
    writer = CellWriter(out, paths=1)
    writer.writerow(
        ["file", "subject", "seed", "draw", "role", "of", "strength", "face_found", "sha256"]
        + (["capture", "capture_level", "capture_value", "capture_unit"] if captures else [])
        + [f"requested.{name}" for name in requested]
        + [f"condition.{name}" for name in names]
        + [f"{reader}.{name}" for reader in readers for name in names]
        + [f"quality.{name}" for name in MEASURES if measured]
    )
    for face in _faces(maker):
        found = "" if face.found is None else int(face.found)
        row: list[Any] = [face.file, face.subject, face.seed, face.draw, face.role, face.of]
        row += [f"{face.strength:g}" if face.of and not face.capture else "", found, face.digest]
        if captures:
            row += _capture_cells(captures.get(face.capture))
        row += [f"{face.requested[n]:g}" if n in face.requested else "" for n in requested]
        row += [f"{v:g}" for v in face.condition] or [""] * len(names)
        for reader in readers:
            row += list(getattr(face, reader)) or [""] * len(names)
        if measured:
            row += ["" if value is None else f"{value:g}" for value in face.quality] or [""] * len(MEASURES)
        writer.writerow(row)
    return out.getvalue()


def _capture_cells(capture: Capture | None) -> list[Any]:
    if capture is None:
        return [""] * 4
    return [capture.kind.name, capture.level, f"{capture.value:g}", capture.kind.unit]


def _manifest(maker: FaceMaker, protocol: dict[str, Any]) -> dict[str, Any]:
    header = maker.writer.header
    return {
        "format": header["format"],
        "design": maker.plan.design,
        "name": maker.plan.model.name or maker.plan.design,
        # The user's own images may lie among the generated ones: attributes.csv and items.csv say which.
        "synthetic": "in part" if _holds_real_images(maker) else True,
        "bundle": header["bundle"],
        "embedder": header["embedder"],
        "control": header["control"],
        "cfgan": header["cfgan"],
        "licence": maker.bundle.config.get("licence", ""),
        "counts": protocol["counts"],
        "header": header,
    }


def _datasheet(maker: FaceMaker, built: Built, protocol: dict[str, Any], rates: list[dict[str, Any]]) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"pct": _percent, "share": lambda rate: "-" if rate is None else f"{100 * rate:.1f} %"}
    plan, config = maker.plan, maker.bundle.config
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        plan=plan,
        model=plan.model,
        header=maker.writer.header,
        bundle=maker.bundle,
        data=config.get("data", ""),
        licence=config.get("licence", ""),
        protocol=protocol,
        counts=protocol["counts"],
        unmet=built.unmet,
        notes=built.notes,
        rates=rates,
        draws=_draws(maker),
        real_images=_holds_real_images(maker),
        shown=format_request(plan.request),
        least=protocol.get("smallest_rates", {}),
        alike=_alike(built),
        control=_alike(built, control=True),
    )


def _least_fmr(built: Built) -> dict[str, float]:
    """Stratum -> the false match rate that its non-mated comparisons can show at best: the rule of three over those of
    them that share no subject, as a score report counts them."""
    subjects = Subjects([person_of(pair.a) for pair in built.pairs], [person_of(pair.b) for pair in built.pairs])
    strata = np.asarray([pair.stratum if pair.mated == "0" else None for pair in built.pairs], dtype=object)
    found = {name: smallest_rate(subjects.independent(strata == name)) for name in dict.fromkeys(strata) if name}
    return {str(name): round(rate, 6) for name, rate in found.items()}


def _alike(built: Built, *, control: bool = False) -> dict[str, dict[str, float]]:
    """Stratum and kind -> median and extremes of an embedder's similarity."""
    found: dict[str, list[float]] = {}
    for pair in built.pairs:
        value = pair.control if control else pair.similarity
        if value is not None:
            kind = "non-mated" if pair.mated == "0" else "presumed mated" if pair.mated == "presumed" else "mated"
            found.setdefault(f"{pair.stratum}, {kind}", []).append(value)
    return {
        key: {"n": len(listed), "least": min(listed), "median": statistics.median(listed), "most": max(listed)}
        for key, listed in found.items()
    }


def _percent(rate: dict[str, Any] | None) -> str:
    if rate is None or not rate["n"]:
        return "-"
    low, high = rate["interval"]
    return f"{100 * rate['rate']:.1f} % ({100 * low:.0f}-{100 * high:.0f}) of {rate['n']:,}"
