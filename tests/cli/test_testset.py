from __future__ import annotations

import csv
import json
from pathlib import Path

import jsonschema
import pytest
from testset_helpers import use_colours
from typer.testing import CliRunner, Result

from cfgan.attributes.spec_files import TESTSETS, load_spec_file, shipped_specs
from cfgan.model.bundle import Bundle, open_bundle
from cfgan.testsets.folder import open_testset
from cfgan_cli.app import app

runner = CliRunner()


def run(*arguments: object) -> Result:
    return runner.invoke(app, [str(a) for a in arguments])


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    use_colours(monkeypatch)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text("design: matched\nattributes: Red\npairs: 12\nfolds: 2\nchange: [Round]\n")
    return path


@pytest.mark.slow
def test_build_then_score_with_the_baseline(tiny_bundle: Bundle, tmp_path: Path, spec: Path) -> None:
    build = ["testset", "build", spec, "--bundle", tiny_bundle.path, "--out", tmp_path / "t"]
    value = json.loads(run(*build, "--json").stdout)
    assert (
        set(value["unmet"]) <= {"changes to Round"}
        and value["counts"]["nonmated"] == 36
        and set(value["survival"]) == {"Round"}
    )
    again = run(*build)
    assert (
        again.exit_code == (3 if value["unmet"] else 0)
        and "nearest" in again.stdout
        and "without a search" in again.stdout
    )
    assert "the same recogniser" in again.stderr and "can show are about" in again.stderr
    other = run(*build, "--seed", 5)
    assert other.exit_code == 2 and "another test set" in other.stderr

    result = run("testset", "baseline", tmp_path / "t", "--out", tmp_path / "s.csv")
    assert result.exit_code == 0, result.output
    found = open_testset(tmp_path / "t")
    with (tmp_path / "s.csv").open(newline="") as handle:
        scores = {row["pair"]: float(row["score"]) for row in csv.DictReader(handle)}
    assert scores == {pair.pair: pytest.approx(pair.similarity, abs=1e-5) for pair in found.pairs}


@pytest.mark.slow
def test_without_the_embedder_there_is_no_similarity(tiny_bundle: Bundle, tmp_path: Path, spec: Path) -> None:
    build = ["testset", "build", spec, "--bundle", tiny_bundle.path, "--out", tmp_path / "t", "--no-identity"]
    refused = run(*build)
    assert refused.exit_code == 2 and "nearest needs the embedder" in refused.stderr
    spec.write_text(spec.read_text() + "levels: [random, matched]\n")
    assert run(*build, "-q").exit_code == 3, "some faces do not take the change"
    assert {pair.similarity for pair in open_testset(tmp_path / "t").pairs} == {None}


def test_unmet_quotas_exit_with_three(tiny_bundle: Bundle, tmp_path: Path, spec: Path) -> None:
    spec.write_text(spec.read_text() + "verify: {max_draws: 16}\n")
    result = run("testset", "build", spec, "--bundle", tiny_bundle.path, "--out", tmp_path / "t")
    assert result.exit_code == 3 and "Not met" in result.stderr
    assert open_testset(tmp_path / "t").protocol["unmet"]


def test_wrong_input_is_one_sentence(tiny_bundle: Bundle, tmp_path: Path) -> None:
    typo = run("testset", "build", "Matched_Men", "--out", tmp_path / "t")
    assert typo.exit_code == 2 and "Did you mean Matched_Men_With_Glasses" in typo.stderr
    missing = run("testset", "baseline", tmp_path / "none", "--out", tmp_path / "s.csv")
    assert missing.exit_code == 2 and "no folder" in missing.stderr
    assert not (tmp_path / "s.csv").exists()


@pytest.mark.slow
def test_every_shipped_spec_is_listed_and_fits_the_schema() -> None:
    listed = json.loads(run("testset", "list", "--json").stdout)
    schema = json.loads(run("testset", "schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert set(listed) == set(shipped_specs(TESTSETS)) and len(listed) >= 6
    for name, path in shipped_specs(TESTSETS).items():
        jsonschema.validate(load_spec_file(str(path), kind=TESTSETS), schema)
        assert listed[name]["description"]
    assert not set(listed) & set(shipped_specs())
    assert "Male" in open_bundle("celeba64").vocabulary.names
