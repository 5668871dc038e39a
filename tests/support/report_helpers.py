"""Bundles with made-up readings of real faces, for tests of reports."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from helpers import make_bundle
from safetensors.numpy import save

import cfgan.reports.folder
import cfgan.verify.reader
from cfgan.attributes.prior import Prior
from cfgan.attributes.spec import make_plan
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import StorageError
from cfgan.generate.job import generate
from cfgan.model.bundle import Bundle, write_bundle
from cfgan.model.calibration import Calibration
from cfgan.model.engine import Engine, Network
from cfgan.reports.batch.output import report_schema
from cfgan.reports.batch.report import Report, build_report
from cfgan.verify.reader import Reader

Make = Callable[..., Path]
"""Called with a folder's name and the settings of a spec."""


def with_readings(bundle: Bundle, folder: Path) -> Bundle:
    """The bundle with readings of 600 made-up real faces, in which both readers are nearly always right."""
    rng = np.random.default_rng(0)
    labels = rng.choice([-1, 1], (600, len(bundle.vocabulary)))
    files = {name: bundle.file(name).read_bytes() for name in bundle.sums if name.endswith(".safetensors")}
    readings = {name: labels * 3.0 + rng.normal(size=labels.shape) for name in ("verifier", "judge")}
    arrays = {name: logits.astype(np.float16) for name, logits in readings.items()}
    files["validation.safetensors"] = save({"labels": labels.astype(np.int8), **arrays})
    return write_bundle(folder, json.loads(json.dumps(dict(bundle.config))), files, "# tiny")


def judged_bundle(folder: Path, vocabulary: Vocabulary, prior: Prior) -> Bundle:
    """A bundle of tiny random networks with a judge and with readings."""
    return with_readings(make_bundle(folder / "plain", vocabulary, prior, with_judge=True), folder / "bundle")


def batch_maker(folder: Path, bundle: Bundle) -> Make:
    """What makes a batch of some spec, each once."""
    made = dict[str, Path]()

    def batch(name: str, **values: Any) -> Path:
        key = json.dumps([name, values], sort_keys=True)
        if key not in made:
            made[key] = folder / str(len(made)) / name
            generate(bundle, make_plan({"seed": 3, **values}, bundle.vocabulary), made[key], device="cpu")
        return made[key]

    return batch


class Exchanged:
    """A network whose attributes stand in another order."""

    def __init__(self, network: Network, order: list[int]) -> None:
        self._network, self._order = network, order

    def logits(self, levels: np.ndarray) -> np.ndarray:
        return self._network.logits(levels)[:, self._order]


def judge_with(monkeypatch: pytest.MonkeyPatch, order: list[int] | None) -> None:
    """The verifier's word as the judge's, under its own names or with the attributes' names exchanged."""

    def readers(bundle: Bundle, engine: Engine) -> list[Reader]:
        network, calibration = engine.classifier("verifier"), bundle.calibration
        first = Reader("verifier", network, calibration)
        if order is None:
            return [first, Reader("judge", network, calibration)]
        parts = (part[order] for part in (calibration.slope, calibration.intercept, calibration.threshold))
        return [first, Reader("judge", Exchanged(network, order), Calibration(*parts))]

    monkeypatch.setattr(cfgan.verify.reader, "readers_of", readers)


def check_all_or_nothing(write: Callable[[Path], object], out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report is written to ``out``; on a full disk it stays as it was, and none comes to stand beside it."""
    write(out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(path: Path, data: bytes) -> None:
        if path.suffix == ".csv":
            raise OSError(28, "No space left on device")
        path.write_bytes(data)

    monkeypatch.setattr(cfgan.reports.folder, "write_bytes", full)
    for folder in (out, out.parent / "new"):
        with pytest.raises(StorageError, match="the disk is full"):
            write(folder)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def report_on(*folders: Path, bundle: Bundle, **options: Any) -> Report:
    report = build_report(folders, bundle, device="cpu", **options)
    jsonschema.Draft202012Validator(report_schema()).validate(report.data)
    return report


def sign_again(folder: Path) -> None:
    """Make the checksums of a batch fit whatever somebody did to it."""
    lines = (folder / "manifest.csv").read_text().splitlines()
    for place, line in enumerate(lines[1:], 1):
        parts = line.split(",")
        parts[3] = hashlib.sha256((folder / parts[0]).read_bytes()).hexdigest()
        lines[place] = ",".join(parts)
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    names = [line.split("  ")[1] for line in (folder / "checksums.sha256").read_text().splitlines()]
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "checksums.sha256").write_text("".join(sums))
