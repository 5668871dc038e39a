from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import make_bundle, small_store
from nsfwjs_helpers import use_small_package
from typer.testing import CliRunner, Result

from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.store import PackedDataset
from cfgan.model.bundle import Bundle
from cfgan_cli.app import app

pytestmark = pytest.mark.slow

NAMES = ("Red", "Round", "Cat")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    counts = np.full((3, 3), 500, dtype=np.int64)
    prior = Prior(Vocabulary(NAMES), np.zeros(3), np.zeros((3, 3)), counts, np.full((3, 3), 2000), 2000)
    return make_bundle(tmp_path_factory.mktemp("eval") / "bundle", Vocabulary(NAMES), prior, with_judge=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    return small_store(tmp_path_factory.mktemp("eval-store"), NAMES)


def test_the_whole_card_for_people_and_as_json(
    judged: Bundle, store: PackedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CFGAN_CACHE", str(tmp_path / "cache"))
    common = ["evaluate", judged.path, "--data", store.path, "--split", "train", "-n", 100, "--each", 12]
    common += ["--no-detector", "--extractor", "judge", "--attrs", "Red,-Cat"]
    common += ["--nsfwjs", use_small_package(tmp_path / "package", monkeypatch)]
    shown = run(*common, "--out", tmp_path / "card.json")
    assert shown.exit_code == 0, shown.output
    for text in ("FD-judge", "mean agreement", "(real", "Red,-Cat", "one attribute", "diversity", "probe AUC"):
        assert text in shown.stdout
    assert shown.stdout.index("inception-v3") < shown.stdout.index("mobilenet-v2, eyes")
    assert shown.stdout.index("mobilenet-v2, eyes") < shown.stdout.index("what the readers see")
    assert "fidelity over" not in shown.stdout and "took part in training" not in shown.stdout
    card = json.loads((tmp_path / "card.json").read_text())
    assert card == json.loads(run(*common, "--json").stdout)
    assert set(card["realism"]["networks"]) == {"mobilenet-v2", "inception-v3"}
    assert card["format"] == "cfgan-evaluation/1" and card["bundle"]["digest"] == judged.digest


def test_without_data_the_verifier_speaks(judged: Bundle) -> None:
    value = json.loads(run("evaluate", judged.path, "-n", 100, "--json").stdout)
    assert value["draws"] == 100 and set(value["attributes"]) == set(NAMES)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--split", "trian"], "Did you mean train"),
        (["--extractor", "inseption"], "Did you mean inception"),
        (["--extractor", "inception"], "needs the file of its weights"),
        (["--extractor", "inception", "--inception-weights", "absent.pth"], "there is no file absent.pth"),
        (["--attrs", "Rde"], "Did you mean Red"),
        (["--no-detector", "--nsfwjs", "absent"], "absent is not the unpacked npm package nsfwjs@4.4.0"),
    ],
)
def test_wrong_input_is_one_message_and_exit_code_2(
    judged: Bundle, store: PackedDataset, arguments: list[str], says: str
) -> None:
    result = run("evaluate", judged.path, "--data", store.path, *arguments)
    assert result.exit_code == 2 and says in " ".join(result.stderr.split()), result.stderr
    assert "Traceback" not in result.stderr


def test_what_is_missing_is_a_line_and_not_an_error(
    judged: Bundle, store: PackedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CFGAN_CACHE", str(tmp_path / "cache"))
    for variable in ("CFGAN_FACE_API", "CFGAN_NSFWJS"):
        monkeypatch.delenv(variable, raising=False)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if "efficientnet" in name else found(name, *a)
    )
    monkeypatch.setitem(sys.modules, "dlib", None)
    common = ["evaluate", judged.path, "--data", store.path, "--split", "train", "-n", 100, "--each", 2]
    result = run(*common, "--no-detector", "--external", "--json")
    assert result.exit_code == 0, result.output
    said = " ".join(result.stderr.split())
    assert (
        "by face embedding" in said and "cfgan[identity]" in said and "cfgan[external]" in said and "npm pack" in said
    )
    assert "No realism over outside networks" in said and "cfgan[evaluate]" in said
    assert not json.loads(result.stdout)["realism"]["networks"]
    assert "privacy" not in json.loads(result.stdout) and "witnesses" not in json.loads(result.stdout)
    refused = run(*common, "--no-detector", "--witness", "--face-api", tmp_path)
    assert refused.exit_code == 2 and "is not the unpacked npm package" in " ".join(refused.stderr.split())


@pytest.mark.parametrize(
    ("option", "command", "needs"),
    [
        (["--face-api", "absent"], ["evaluate"], "without --data"),
        (["--split", "test"], ["evaluate"], "without --data"),
        (["--no-detector"], ["evaluate"], "without --data"),
        (["--external"], ["evaluate"], "without --data"),
        (["--nsfwjs", "absent"], ["bundle", "build", "--gan", "run", "--out", "new"], "without --measure-on"),
        (["--nsfwjs", "absent"], ["evaluate", "--data", "store", "--no-realism"], "with --no-realism"),
        (["--face-api", "absent"], ["report", "batch", "folder", "--out", "new"], "without --external"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(option: list[str], command: list[str], needs: str) -> None:
    refused = run(*command, *option)
    assert refused.exit_code == 2
    said = " ".join(refused.stderr.split())
    assert f"{option[0]}: does nothing {needs}" in said


def test_engine_and_device_are_those_that_were_asked_for(judged: Bundle, store: PackedDataset) -> None:
    refused = run("evaluate", judged.path, "-n", 100, "--engine", "torch", "--device", "cuda:7")
    assert refused.exit_code == 2 and "cuda:7" in refused.output
    command = ["evaluate", judged.path, "--data", store.path, "--split", "train", "-n", 100, "--each", 12]
    done = run(*command, "--no-detector", "--extractor", "judge", "--no-realism", "--engine", "torch", "--json")
    assert done.exit_code == 0, done.output
