"""Training on images of one's own: what a user is told, and what is taken from the bundle that a run starts from."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import SEEN, draw_celeba, make_bundle, small_store
from typer.testing import CliRunner, Result

from cfgan.model.bundle import Bundle, open_bundle
from cfgan.training.config import ClassifierConfig, GanConfig, load_config, make_config, with_budget
from cfgan_cli.app import app
from cfgan_cli.train import _recipe

pytestmark = pytest.mark.slow

runner = CliRunner()
QUICK = ["--set", "batch=4", "--set", "images=16", "--set", "threads=1", "--set", "device=cpu"]


def run(*arguments: object) -> Result:
    return runner.invoke(app, [str(a) for a in arguments])


def test_from_a_bundle_to_a_bundle_of_other_attributes(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """The bundle knows Red, Round, Striped, Very_Big, Cat and Dog, the images Red, Cat and Masked."""
    celeba = draw_celeba(tmp_path / "celeba", 30, ("Red", "Cat", "Masked"))
    store, gan, verifier, prior, out = (tmp_path / name for name in ("store", "gan", "verifier", "prior", "bundle"))
    assert run("data", "pack", celeba, "--out", store, "--size", 16).exit_code == 0
    begun = run("train", "gan", "--from", tiny_bundle.path, "--data", store, "--out", gan, *QUICK)
    assert begun.exit_code == 0, begun.output  # width, z_dim and embed are the bundle's, though nobody said so
    for words in ("knows Red, Cat already", "without any effect of Masked", "holds Round, Striped, Very_Big, Dog at"):
        assert words in begun.stderr
    again = run("train", "gan", "--from", tiny_bundle.path, "--data", store, "--out", gan, *QUICK)
    assert again.exit_code == 0 and "starts from" not in again.stderr

    seen = run("train", "verifier", "--data", store, "--out", verifier, "--set", "widths=[4,8]", *QUICK)
    assert seen.exit_code == 0, seen.output
    assert run("train", "prior", "--data", store, "--out", prior, "-q").exit_code == 0
    build = ["bundle", "build", "--keep", tiny_bundle.path, "--gan", gan, "--out", out, "--draws", 100, "-q"]
    given: list[object] = []
    for option, value in (("--verifier", verifier), ("--prior", prior), ("--data", "drawn heads")):
        missing = run(*build, *given)
        assert missing.exit_code == 2 and f"{option}: give it too" in missing.stderr, missing.output
        assert not out.exists()
        given += [option, value]
    built = run(*build, *given)
    assert built.exit_code == 0, built.output
    bundle = open_bundle(out)
    assert bundle.vocabulary.names == ("Red", "Cat", "Masked") and set(bundle.classifiers) == {"verifier"}
    card = (out / "README.md").read_text()
    assert "drawn heads" in card and "celebrit" not in card and "attractive" not in card and "Young" not in card


def test_a_judge_of_other_attributes_is_named_and_left_behind(
    bundle_with_judge: Bundle, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    store, gan, verifier, prior, out = (tmp_path / name for name in ("store", "gan", "verifier", "prior", "bundle"))
    run("data", "pack", draw_celeba(tmp_path / "celeba", 30, ("Red", "Masked")), "--out", store, "--size", 16)
    run("train", "gan", "--from", bundle_with_judge.path, "--data", store, "--out", gan, *QUICK)
    run("train", "verifier", "--data", store, "--out", verifier, "--set", "widths=[4,8]", *QUICK)
    run("train", "prior", "--data", store, "--out", prior, "-q")
    parts = ["--gan", gan, "--verifier", verifier, "--prior", prior, "--data", "heads", "--draws", 100]
    built = run("bundle", "build", "--keep", bundle_with_judge.path, "--out", out, *parts)
    assert built.exit_code == 0, built.output
    assert "the judge of tiny knows other attributes and is not kept" in built.stderr
    assert set(open_bundle(out).classifiers) == {"verifier"}


@pytest.fixture
def bundle_with_judge(tmp_path: Path, tiny_bundle: Bundle) -> Bundle:
    return make_bundle(tmp_path / "judged", tiny_bundle.vocabulary, tiny_bundle.prior(), with_judge=True)


def test_a_verifier_ends_with_its_table_and_says_what_it_did_not_learn(tmp_path: Path) -> None:
    """Twenty heads with labels by chance: nothing can be learned of them."""
    store = small_store(tmp_path).path
    result = run("train", "verifier", "--data", store, "--out", tmp_path / "run", "--set", "widths=[4,8]", *QUICK)
    assert result.exit_code == 0, result.output
    assert "balanced accuracy" in result.stdout and "Round" in result.stdout
    assert "Warning: Round was not learned as far as can be seen" in result.stderr
    quiet = run("train", "verifier", "--data", store, "--out", tmp_path / "run", "--set", "widths=[4,8]", *QUICK, "-q")
    assert quiet.stdout == "" and "Round was not learned" in quiet.stderr


@pytest.mark.parametrize(
    ("positives", "negatives", "auc", "problem"),
    [
        (200, 200, 0.9, None),
        (200, 200, 0.58, None),
        (3, 40, 0.75, "not told from chance"),
        (200, 200, 0.52, "not told from chance"),
        (0, 40, float("nan"), "all 40 validation images lack it"),
        (40, 0, float("nan"), "all 40 validation images carry it"),
        (0, 0, float("nan"), "no validation image"),
    ],
)
def test_what_counts_as_learned(positives: int, negatives: int, auc: float, problem: str | None) -> None:
    from cfgan.training.learned import Learned

    found = Learned(positives, negatives, auc, auc).problem
    assert (found is None) if problem is None else (found is not None and problem in found)


def test_a_classifier_that_is_the_bundle_s_verifier_does_not_guide(tiny_bundle: Bundle, tmp_path: Path) -> None:
    from cfgan.io.files import write_bytes, write_json
    from cfgan.training.classifier import train_classifier

    store = small_store(tmp_path, tiny_bundle.vocabulary.names)
    run_folder = tmp_path / "verifier"
    train_classifier(store, run_folder, make_config(ClassifierConfig, SEEN))
    write_bytes(run_folder / "model.safetensors", tiny_bundle.file("verifier.safetensors").read_bytes())
    shape = tiny_bundle.config["verifier"]["shape"]
    about = {"kind": "classifier", "shape": shape, "size": 16, "vocabulary": tiny_bundle.vocabulary.to_dict()}
    write_json(run_folder / "model.json", about)
    out = tmp_path / "gan"
    told = ["--set", f"guide={run_folder}", *QUICK]
    refused = run("train", "gan", "--from", tiny_bundle.path, "--data", store.path, "--out", out, *told)
    assert refused.exit_code == 2 and "is the verifier of tiny" in refused.stderr, refused.output
    assert not out.exists()


def test_budgets_grow_with_the_images_and_have_a_floor() -> None:
    config = load_config(GanConfig, file=_recipe("celeba64"))
    assert with_budget(config, 265).images == 60_000
    assert with_budget(config, 20_570).images == pytest.approx(480_000, rel=0.05)  # what the shipped bundle was given
    assert with_budget(make_config(GanConfig, {"images": 100}), 20_570).images == 100
    assert with_budget(make_config(GanConfig, {"epochs": 2, "least_images": 10}), 50).images == 100
    assert with_budget(load_config(ClassifierConfig, file=_recipe("verifier64")), 265).images == 40_000


def test_a_run_without_a_stated_length_takes_it_from_its_images(tmp_path: Path) -> None:
    from cfgan.io.yaml import parse_yaml
    from cfgan.training.classifier import train_classifier

    store = small_store(tmp_path)  # 16 to train on
    settings = {key: value for key, value in SEEN.items() if key != "images"} | {"epochs": 3, "least_images": 20}
    seen: list[int] = []
    train_classifier(store, tmp_path / "run", make_config(ClassifierConfig, settings), lambda *now: seen.append(now[1]))
    assert seen == list(range(4, 49, 4)), "every step says how far it is, so that the time left can be told"
    assert parse_yaml((tmp_path / "run" / "config.yaml").read_text(), name="config.yaml")["images"] == 48
