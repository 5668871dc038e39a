"""No command replaces a file that is not its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from helpers import draw_celeba, make_bundle
from PIL import Image
from score_helpers import draw_pairs, make_set, simulate, write_scores
from typer.testing import CliRunner, Result

import cfgan_cli
from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import FolderError
from cfgan.model.bundle import Bundle
from cfgan.testsets.folder import open_testset, subject_of
from cfgan.testsets.scores.identification import identification_protocol
from cfgan.training.prior import save_prior
from cfgan_cli.app import app

pytestmark = pytest.mark.slow

_FOLDER = re.compile(r"[Ff]older")  # how the help of an --out that is a folder reads


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary, prior: Prior) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "tiny", vocabulary, prior)


def commands(bundle: Bundle, tmp_path: Path) -> dict[str, list[object]]:
    """Every command whose --out is a file, with arguments that would let it run."""
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "a.png")
    names = bundle.vocabulary.names
    rows = "\n".join(f"{k}.png,{','.join(str((k >> a) & 1) for a in range(len(names)))}" for k in range(40))
    (tmp_path / "labels.csv").write_text(f"file,{','.join(names)}\n{rows}\n")
    return {
        "verify": [tmp_path / "a.png", "--bundle", bundle.path],
        "evaluate": [bundle.path, "-n", 100],
        "train prior": ["--labels", tmp_path / "labels.csv"],
        "testset baseline": [tmp_path],
    }


def run(command: str, *arguments: object) -> Result:
    return CliRunner().invoke(app, [*command.split(), *map(str, arguments)])


@pytest.mark.parametrize(
    ("command", "suffix"),
    [("verify", ".csv"), ("verify", ".json"), ("verify", ".jsonl"), ("verify", ".parquet"), ("evaluate", ".json")]
    + [("train prior", ".safetensors"), ("testset baseline", ".csv")],
)
def test_what_a_person_has_stays(command: str, suffix: str, bundle: Bundle, tmp_path: Path) -> None:
    arguments = commands(bundle, tmp_path)[command]
    out = tmp_path / f"mine{suffix}"
    out.write_text("file,Red\na.png,1\n")
    result = run(command, *arguments, "--out", out)
    assert result.exit_code == 2 and "--out" in result.stderr and str(out) in result.stderr.replace("\n", "")
    assert out.read_text() == "file,Red\na.png,1\n"
    inside = run(command, *arguments, "--out", bundle.path / f"x{suffix}", "--force")
    assert inside.exit_code == 2 and "a bundle" in inside.stderr and not (bundle.path / f"x{suffix}").exists()
    if command == "testset baseline":
        return  # its result looks like a person's own: only --force replaces it
    for options in (["--force"], []) if command != "train prior" else (["--force"],):  # its own it writes again
        result = run(command, *arguments, "--out", out, *options)
        assert result.exit_code == 0, result.output


def test_a_bundle_s_own_file_is_not_replaced(bundle: Bundle, tmp_path: Path) -> None:
    before = (bundle.path / "config.json").read_bytes()
    assert run("evaluate", bundle.path, "-n", 100, "--out", bundle.path / "config.json", "--force").exit_code == 2
    assert (bundle.path / "config.json").read_bytes() == before


def test_only_a_prior_is_taken_for_a_prior(prior: Prior, tmp_path: Path) -> None:
    save_prior(prior, tmp_path / "p.safetensors")
    save_prior(prior, tmp_path / "p.safetensors")
    from safetensors.numpy import save_file

    from cfgan.errors import InputError

    save_file({"weights": np.zeros(3, np.float32)}, tmp_path / "theirs.safetensors")
    with pytest.raises(InputError, match="--force"):
        save_prior(prior, tmp_path / "theirs.safetensors")


def walk(command: Any, path: str = "") -> list[tuple[str, Any]]:
    if hasattr(command, "commands"):
        return [found for name, inner in command.commands.items() for found in walk(inner, f"{path} {name}".strip())]
    return [(path, command)]


WRITES = re.compile(
    r"[Tt]able of all readings|\b(a|one) JSON file|CSV file|file of scores|prior's file|thresholds: written"
)


def test_every_file_that_a_command_writes_can_be_forced(bundle: Bundle, tmp_path: Path) -> None:
    files = set()
    for path, command in walk(typer.main.get_command(app)):
        options = {option: parameter for parameter in command.params for option in parameter.opts}
        for name, option in options.items():
            if name.startswith("--") and WRITES.search(getattr(option, "help", None) or ""):
                files.add((path, name))
                assert "--force" in options, path
        if "--out" in options and (path, "--out") not in files:
            assert _FOLDER.search(getattr(options["--out"], "help", "")), path
    own = {("verify", "--calibration"), ("data stats", "--left-out"), ("data import", "--left-out")}
    own |= {("testset score", "--out"), ("testset identify", "--out")}  # of one system a folder, of two a file
    assert files == {(command, "--out") for command in commands(bundle, tmp_path)} | own


def test_tables_beside_the_main_output_replace_nothing_either(bundle: Bundle, tmp_path: Path) -> None:
    """The list of what was left out, thresholds, the comparison of two systems, identification."""
    photos, labels = photos_of(tmp_path), tmp_path / "given.csv"
    labels.write_text("file,Red\n" + "".join(f"{name}.png,{k % 2}\n" for k, name in enumerate("abcd")))
    for name in "bcd":
        (photos / f"{name}.png").write_bytes((photos / "a.png").read_bytes())
    pairs = [pair for pair in draw_pairs(60, ("random",), folds=1) if int(subject_of(pair.a)[1:]) <= 40]
    make_set(tmp_path / "set", pairs)
    names = [pair.pair for pair in pairs]
    for system in range(2):
        scores = [float(score) for score in simulate(pairs, system)]
        write_scores(tmp_path / f"{system}.csv", names, scores)
    protocol = identification_protocol(open_testset(tmp_path / "set"))
    np.save(tmp_path / "m.npy", np.zeros((len(protocol.probes), len(protocol.enrolled)), np.float32))
    mine = tmp_path / "mine.json"
    written: dict[str, list[object]] = {
        "data stats": [photos, "--labels", labels, "--no-images", "--left-out", mine],
        "data import": [photos, "--labels", labels, "--out", tmp_path / "store", "--size", 32, "--left-out", mine],
        "testset score": [tmp_path / "set", tmp_path / "0.csv", tmp_path / "1.csv", "--resamples", 100, "--out", mine],
        "testset identify": [tmp_path / "set", tmp_path / "m.npy", "--out", mine],
    }
    for command, arguments in written.items():
        mine.write_text("my own")
        refused = run(command, *arguments, "-q")
        assert refused.exit_code == 2 and "--force" in refused.stderr and mine.read_text() == "my own", command
        assert command != "data import" or not (tmp_path / "store").exists()
        for again in (["--force"], []):  # its own it writes again
            result = run(command, *arguments, "-q", *again)
            assert result.exit_code == 0 and mine.read_text() != "my own", (command, result.output)


def test_no_command_writes_a_file_around_the_check() -> None:
    around = re.compile(r"\b(write_(text|bytes|json)|atomic_write)\(|\bopen\(.*[\"'][wax]b?[\"']")
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in sorted(Path(next(iter(cfgan_cli.__path__))).glob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if around.search(line) and "os.devnull" not in line
    ]
    assert not found


def photos_of(folder: Path) -> Path:
    (folder / "photos").mkdir()
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(folder / "photos" / "a.png")
    return folder / "photos"


def writers_of_folders(bundle: Bundle, tmp_path: Path) -> dict[str, list[object]]:
    """Every command whose --out is a folder, with arguments that would let it run."""
    rows, photos = commands(bundle, tmp_path)["train prior"], photos_of(tmp_path)
    for k in range(40):
        (photos / f"{k}.png").write_bytes((photos / "a.png").read_bytes())
    data, spec = ["--data", tmp_path / "store"], tmp_path / "set.yaml"
    spec.write_text("design: matched\nattributes: Red\npairs: 6\nfolds: 2\nlevels: [random]\n")
    make_set(tmp_path / "set", [p for p in draw_pairs(9, ("random",), folds=1) if int(subject_of(p.a)[1:]) <= 6])
    about = ["--name", "n", "--data", "d", "--licence", "l"]
    return {
        "generate": ["--bundle", bundle.path, "-a", "Red", "-n", 2],
        "project": [photos / "a.png", "--bundle", bundle.path, "--no-align"],
        "balance": [photos, *rows, "--bundle", bundle.path, "--attribute", "Red", "--ratio", 0.6],
        "report batch": [tmp_path / "b", "--bundle", bundle.path],
        "report control": [bundle.path],
        "data stats": [photos, *rows],
        "data import": [photos, *rows, "--size", 32],
        "data align": [photos],
        "data draw": ["-n", 4],
        "data draw --folder": ["-n", 4],
        "data pack": [tmp_path / "celeba"],
        "testset build": [spec, "--bundle", bundle.path, "--no-identity"],
        "testset export": [tmp_path / "set", "--format", "lfw"],
        "testset score": [tmp_path / "set", tmp_path / "s.csv"],
        "testset identify": [tmp_path / "set"],
        "bundle build": ["--gan", tmp_path / "gan", "--keep", bundle.path, *about],
        "bundle add-graphs": [bundle.path],
        "bundle add-encoder": [bundle.path, "--encoder", tmp_path / "encoder"],
        "bundle pull": ["owner/name@main"],  # refused before anybody is asked
        "train encoder": [*data, "--bundle", bundle.path],
        **{f"train {kind}": data for kind in ("gan", "verifier", "judge")},
    }


def test_every_folder_that_a_command_writes_is_among_those(bundle: Bundle, tmp_path: Path) -> None:
    listed = {name.removesuffix(" --folder") for name in writers_of_folders(bundle, tmp_path)}
    found = {
        path
        for path, command in walk(typer.main.get_command(app))
        for parameter in command.params
        if {"--out", "out"} & {*parameter.opts} and _FOLDER.search(getattr(parameter, "help", None) or "")
    }
    elsewhere = {"bundle verify", "batch sign"}  # an older name; what needs a certificate has tests of its own
    assert listed == (found | {"train gan", "train verifier", "train judge", "train encoder", "data draw"}) - elsewhere


def test_no_folder_is_written_over_what_a_person_has_or_into_what_is_checked(bundle: Bundle, tmp_path: Path) -> None:
    arguments = writers_of_folders(bundle, tmp_path)
    draw_celeba(tmp_path / "celeba", names=bundle.vocabulary.names)
    assert run("data pack", tmp_path / "celeba", "--out", tmp_path / "store", "--size", 16, "-q").exit_code == 0
    made = run("generate", "--bundle", bundle.path, "-a", "Red", "-n", 2, "--no-verify", "-q", "--out", tmp_path / "b")
    assert made.exit_code == 0, made.output
    mine, theirs = tmp_path / "mine", tmp_path / ".mine.old"
    for folder in (mine, theirs):
        folder.mkdir()
        (folder / "report.html").write_text("my own")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    said, inner = {}, (bundle.path / "x", tmp_path / "store" / "x" / "y", tmp_path / "set" / "x")
    for command, given in arguments.items():
        for out in (mine, tmp_path / "b" / "x", *(inner[:1] if command != "generate" else inner)):
            refused = run(command, *given, *([out] if command == "data align" else ["--out", out]))
            if refused.exit_code != 2 or not re.search("holds something|lies inside", refused.stderr):
                said[command, str(out)] = refused.output, refused.exception
    assert not said
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_graphs_are_not_added_over_another_bundle(
    bundle: Bundle, tmp_path: Path, vocabulary: Vocabulary, prior: Prior
) -> None:
    other = make_bundle(tmp_path / "other", vocabulary, prior, seed=1)
    refused = run("bundle", "add-graphs", bundle.path, "--out", other.path)
    assert refused.exit_code == 2 and "another bundle" in refused.stderr
    other.verify()
    for _ in range(2):  # its own copy it replaces
        assert run("bundle", "add-graphs", bundle.path, "--out", tmp_path / "copy").exit_code == 0


def test_a_folder_beside_an_output_is_not_taken_for_what_a_kill_left(tmp_path: Path) -> None:
    """A report that is replaced stands meanwhile under a name that no person gives."""
    from cfgan.io.folders import replace_folder

    for name in (".out.old", ".out.new", ".out.old.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").write_text("mine")
    left = tmp_path / f".out.old.{2**22 + 1}.partial"
    left.mkdir()
    (left / "old.txt").write_text("old")

    def fill(folder: Path) -> None:
        assert (tmp_path / "out" / "old.txt").exists(), "what a killed replacement had moved away is back first"
        (folder / "new.txt").write_text("new")

    replace_folder(tmp_path / "out", fill, lambda folder: None)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new.txt"] and not left.exists()
    assert all((tmp_path / name / "mine.txt").exists() for name in (".out.old", ".out.new", ".out.old.partial"))


def test_what_is_saved_into_a_folder_while_it_is_made_again_is_not_lost(tmp_path: Path) -> None:
    from cfgan.io.folders import replace_folder

    (tmp_path / "out").mkdir()

    def foreign(folder: Path) -> str | None:
        return next((path.name for path in folder.iterdir() if path.name != "new.txt"), None)

    def fill(folder: Path) -> None:
        (folder / "new.txt").write_text("new")
        (tmp_path / "out" / "thesis.docx").write_text("years of work")

    with pytest.raises(FolderError, match="thesis.docx"):
        replace_folder(tmp_path / "out", fill, foreign)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "thesis.docx").read_text() == "years of work"


@pytest.mark.parametrize("content", ["5", "null", '{"file": "x"}', '["file", "verifier"]', "{}"])
def test_a_file_of_another_kind_is_no_table_of_readings(bundle: Bundle, tmp_path: Path, content: str) -> None:
    (tmp_path / "x.jsonl").write_text(content + "\n")
    found = run("verify", tmp_path, "--bundle", bundle.path, "--out", tmp_path / "x.jsonl")
    assert found.exit_code == 2 and "x.jsonl" in found.output and (tmp_path / "x.jsonl").read_text() == content + "\n"
