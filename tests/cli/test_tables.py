"""At 80 and at 120 columns every table shows each of its cells whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from data_helpers import plant
from helpers import make_bundle, small_store
from nsfwjs_helpers import use_small_package
from rich.table import Table
from score_helpers import draw_pairs, make_set, simulate, write_scores
from typer.testing import CliRunner

from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.testsets.folder import subject_of
from cfgan.testsets.scores.identification import identification_protocol
from cfgan_cli.app import app
from cfgan_cli.tables import print_table

pytestmark = pytest.mark.slow

NAMES = ("Red", "Round", "Wearing_A_Very_Wide_Hat")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundle with a judge, store, planted data set, photos with labels, test set and scores of two systems."""
    folder = tmp_path_factory.mktemp("tables")
    counts = 500 + 500 * np.eye(3, dtype=np.int64)
    prior = Prior(Vocabulary(NAMES), np.zeros(3), np.zeros((3, 3)), counts, np.full((3, 3), 2000), 2000)
    make_bundle(folder / "bundle", Vocabulary(NAMES), prior, with_judge=True)
    small_store(folder, NAMES)
    plant(folder)
    photos = folder / "celeba" / "img_align_celeba"
    rows = [f"{path.name},{k % 2},{k // 2 % 2},{k // 4 % 2}" for k, path in enumerate(sorted(photos.iterdir()))]
    (folder / "read.csv").write_text(f"file,{','.join(NAMES)}\n" + "\n".join(rows) + "\n")
    pairs = draw_pairs(100)
    make_set(folder / "set", pairs)
    for system, file in enumerate(("a.csv", "b.csv")):
        scores = [float(score) for score in simulate(pairs, system, weakness="Eyeglasses", by=1.5)]
        write_scores(folder / file, [pair.pair for pair in pairs], scores)
    people = [pair for pair in draw_pairs(60, ("random",), folds=1) if int(subject_of(pair.a)[1:]) <= 40]
    protocol = identification_protocol(make_set(folder / "people", people))
    scores = np.random.default_rng(0).normal(size=(len(protocol.probes), len(protocol.enrolled)))
    np.save(folder / "matrix.npy", scores.astype(np.float32))
    shown(
        "testset build",
        [matched(folder), "--bundle", folder / "bundle", "--no-identity", "--out", folder / "built"],
        80,
    )
    return folder


Arguments = Callable[[Path, Path], list[object]]

COMMANDS: dict[str, Arguments] = {
    "attributes": lambda made, tmp: [],
    "generate": lambda made, tmp: ["--bundle", made / "bundle", "-a", "Red", "-n", 4, "--out", tmp / "o"],
    "generate --spec": lambda made, tmp: [several(tmp), "--bundle", made / "bundle", "--out", tmp / "o"],
    "balance": lambda made, tmp: (
        [made / "store", "--bundle", made / "bundle", "--equalize", "--attributes"]
        + [",".join(NAMES), "--out", tmp / "o", "--dry-run"]
    ),
    "data stats": lambda made, tmp: [made / "drawn", "--labels", made / "labels.csv"],
    "verify": lambda made, tmp: (
        [made / "celeba" / "img_align_celeba", "--bundle", made / "bundle"] + ["--labels", made / "read.csv"]
    ),
    "evaluate": lambda made, tmp: (
        [made / "bundle", "--data", made / "store", "--split", "train", "-n", 100]
        + ["--each", 12, "--no-detector", "--extractor", "judge", "--nsfwjs", made / "package", "--attrs", "Red,-Round"]
    ),
    "testset list": lambda made, tmp: [],
    "testset build": lambda made, tmp: [matched(tmp), "--bundle", made / "bundle", "--no-identity", "--out", tmp / "o"],
    "testset info": lambda made, tmp: [made / "built"],
    "testset score": lambda made, tmp: [made / "set", made / "a.csv", "--resamples", 100],
    "testset score --resamples 100": lambda made, tmp: [made / "set", made / "a.csv", made / "b.csv"],
    "testset identify": lambda made, tmp: [made / "people", made / "matrix.npy"],
    "testset plan": lambda made, tmp: ["--fmr", "0.001", "--groups", 4],
    "verify --calibrate": lambda made, tmp: (
        [made / "read.csv", made / "celeba" / "img_align_celeba", "--bundle", made / "bundle"]
        + ["--calibration", tmp / "thresholds.json"]
    ),
    "bundle list": lambda made, tmp: [],
    "spec list": lambda made, tmp: [],
    "train verifier": lambda made, tmp: (
        ["--data", made / "store", "--out", tmp / "run", "--set", "widths=[4,8]", "--set", "images=16"]
        + ["--set", "batch=4", "--set", "threads=1"]
    ),
    "train gan --help-settings": lambda made, tmp: [],
    "train judge --help-settings": lambda made, tmp: [],
    "bundle info": lambda made, tmp: [made / "bundle"],
}


def matched(tmp: Path) -> Path:
    path = tmp / "set.yaml"
    path.write_text(
        "design: matched\nattributes: Red\npairs: 6\nfolds: 2\nchange: [Round]\nlevels: [random, matched]\n"
    )
    return path


def several(tmp: Path) -> Path:
    path = tmp / "spec.yaml"
    path.write_text(
        "count: 2\nrequests:\n"
        "- {attributes: 'Red,Wearing_A_Very_Wide_Hat'}\n- {attributes: '-Red,-Wearing_A_Very_Wide_Hat'}\n"
    )
    return path


def shown(command: str, arguments: list[object], columns: int) -> str:
    result = CliRunner().invoke(app, [*command.split(), *map(str, arguments)], env={"COLUMNS": str(columns)})
    assert result.exit_code in (0, 3), result.output
    return result.stdout


def words(text: str) -> set[str]:
    """What is shown, but for what differs from run to run."""
    return {word for line in text.splitlines() if not re.search(r"\d s\b", line) for word in line.split()}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_cell_is_cut(command: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if command == "evaluate":
        monkeypatch.setenv("CFGAN_CACHE", str(tmp_path / "cache"))
        use_small_package(made / "package", monkeypatch)
    texts = {}
    for columns in (80, 120, 500):
        folder = tmp_path / f"{columns:03d}"
        folder.mkdir()
        texts[columns] = shown(command, COMMANDS[command](made, folder), columns).replace(str(folder), "")
    for columns in (80, 120):
        text = texts[columns]
        assert "…" not in text and not words(texts[500]) - words(text), words(texts[500]) - words(text)


@pytest.mark.parametrize("columns", [20, 40, 80, 120])
def test_a_table_is_as_wide_as_the_terminal_at_most(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    table = Table("name", *(f"figure {k}" for k in range(9)), "remark")
    for column in table.columns[1:-1]:
        column.justify = "right"
    table.add_row("n" * 90, *(f"{k}2345.67 (1.2 to 3.4)" for k in range(9)), "a sentence of a few words")
    print_table(table)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= columns and "…" not in text
    joined = "".join(text.split())
    assert joined.count("n") >= 90 and all(f"{k}2345.67" in text for k in range(9)) and "sentence" in joined


def walk(command: Any, path: str = "") -> list[str]:
    below = getattr(command, "commands", {})
    return [path, *(found for name, inner in below.items() for found in walk(inner, f"{path} {name}".strip()))]


@pytest.mark.parametrize("columns", [80, 120])
def test_no_help_is_cut(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in walk(typer.main.get_command(app)):
        text = CliRunner().invoke(app, [*path.split(), "--help"], env={"COLUMNS": str(columns)}).stdout
        usage, _, rest = text.partition("\n")
        assert usage.startswith("Usage:") and "…" not in rest, (path, rest)
        assert "..." not in rest.partition("\nCommands:")[2], (path, rest)
        assert max(map(len, text.splitlines())) <= columns, path


@pytest.mark.parametrize("command", ["evaluate", "data import"])
def test_options_stand_whole_in_the_help(command: str) -> None:
    text = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "80"}).stdout
    found = typer.main.get_command(app)
    for name in command.split():
        found = found.commands[name]  # type: ignore[attr-defined]
    assert all(
        option in text
        for each in found.params
        if not getattr(each, "hidden", False)
        for option in each.opts
        if option.startswith("--")
    )
