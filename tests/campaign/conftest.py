"""The commands of the campaign, with a tiny bundle and tiny data that they themselves have made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from campaign_helpers import Command, run
from framing_helpers import dotted
from helpers import draw_celeba, make_bundle

from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary

os.environ["OMP_NUM_THREADS"] = "1"

QUICK = ("--set", "batch=4", "--set", "threads=1", "--set", "save_images=16", "--set", "log_images=8", "-q")
TIMES = r"batch\.json|checksums\.sha256"  # neither a batch nor a run can hide how long it took
RUN = r"stats\.jsonl|state-.*|model\.json|.*\.pt"
NAMES = ("Red", "Round", "Cat")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary, prior: Prior) -> Path:
    """A folder of bundle, CelebA, store, batch, runs and prior, each whole."""
    folder = tmp_path_factory.mktemp("made")
    make_bundle(folder / "tiny", vocabulary, prior)
    draw_celeba(folder / "celeba", 240, NAMES)
    (folder / "photos").mkdir()
    for k in range(40):
        dotted((200, 250), [(100, 120, 1.0, k)]).save(folder / "photos" / f"{k:02d}.png")
    rows = [f"{k:06d}.jpg,{k % 2},{k // 2 % 2},{int(k % 5 == 0)}" for k in range(1, 241)]
    (folder / "labels.csv").write_text("file,Red,Round,Cat\n" + "\n".join(rows) + "\n")
    (folder / "set.yaml").write_text(
        "design: matched\nattributes: Red\npairs: 200\nfolds: 2\nchange: [Round]\nlevels: [random, matched]\n"
    )
    seen = ("--data", folder / "store", "--set", "widths=[4,8]", "--set", "images=48", *QUICK)
    steps = [
        Command("data pack", (folder / "celeba", "--out", "store", "--size", 16, "-q")),
        Command("generate", ("--bundle", folder / "tiny", "-a", "Red", "-n", 24, "--out", "batch", "-q")),
        Command("train verifier", ("--out", "guide", *seen)),
        Command("train verifier", ("--out", "verifier", "--set", "seed=1", *seen)),
        Command("train gan", ("--out", "gan", *gan(folder))),
        Command("train encoder", ("--out", "encoder", *encoder(folder))),
        Command("train prior", ("--data", folder / "store", "--out", "prior.safetensors", "-q")),
        Command("bundle build", ("--out", "built", *build(folder))),
        Command("testset build", (*testset(folder), "--out", "set"), codes=(0, 3)),
    ]
    for step in steps:
        ended = run(step, folder)
        assert ended.code in step.codes, (step.name, ended)
    return folder


def gan(folder: Path) -> tuple[object, ...]:
    settings = ("--set", "width=8", "--set", "z_dim=6", "--set", "images=48", "--set", "sample_images=24")
    return ("--data", folder / "store", "--set", f"guide={folder / 'guide'}", *settings, *QUICK)


def encoder(folder: Path) -> tuple[object, ...]:
    settings = ("--set", "width=4", "--set", "most_channels=8", "--set", "hidden=8", "--set", "images=48")
    return ("--data", folder / "store", "--bundle", folder / "tiny", *settings, *QUICK)


def build(folder: Path) -> tuple[object, ...]:
    parts = ("--gan", folder / "gan", "--verifier", folder / "verifier", "--prior", folder / "prior.safetensors")
    return ("--name", "built", *parts, "--data", "drawn heads", "--licence", "free", "--draws", 100, "-q")


def testset(folder: Path) -> tuple[object, ...]:
    return (folder / "set.yaml", "--bundle", folder / "tiny", "--no-identity", "-q")


@pytest.fixture(scope="session")
def commands(made: Path) -> dict[str, Command]:
    """Every command that takes long or writes much, by its name."""
    bundle = ("--bundle", made / "tiny")
    seen = ("--data", made / "store", "--set", "widths=[4,8]", "--set", "images=96", *QUICK)
    photos = made / "celeba" / "img_align_celeba"
    listed = [
        Command("generate", (*bundle, "-a", "Red", "-n", 160, "--out", "out", "-q"), TIMES),
        Command(
            "generate --shards",
            ("tar", "--shard-draws", 32, *bundle, "-a", "Red", "-n", 400, "--out", "out", "-q"),
        ),
        Command("data pack", (made / "celeba", "--out", "out", "--size", 16, "-q")),
        Command("data import", (photos, "--labels", made / "labels.csv", "--out", "out", "--size", 32, "-q")),
        Command("data align", (made / "photos", "out", "-q")),
        Command(
            "balance",
            (made / "store", *bundle, "--attribute", "Cat", "--ratio", 0.6, "--out", "out", "-q"),
            rf"{TIMES}|balance\.json",
            codes=(0, 3),
        ),
        Command("train gan", ("--out", "out", *gan(made)), RUN),
        Command("train verifier", ("--out", "out", *seen), RUN),
        Command("train encoder", ("--out", "out", *encoder(made)), RUN),
        Command("bundle add-encoder", (made / "tiny", "--encoder", made / "encoder", "--out", "out")),
        Command("train prior", ("--data", made / "store", "--out", "out/prior.safetensors", "-q")),
        Command("testset build", (*testset(made), "--out", "out"), codes=(0, 3)),
        Command("bundle build", ("--out", "out", *build(made)), r"(config|manifest)\.json|README\.md"),
        Command(
            "evaluate",
            (made / "built", "--data", made / "store", "-n", 100, "--each", 16, "--privacy-images", 0)
            + ("--no-realism", "--no-detector", "--out", "out.json", "-q"),
            r"out\.json",
        ),
        Command("report batch", (made / "batch", "--bundle", made / "tiny", "--out", "out", "-q"), r"report\.\w+"),
        Command("verify", (photos, *bundle, "--out", "out.csv", "-q")),
        Command("data draw", ("--out", "out", "-n", 60, "--size", 32, "-q")),
    ]
    return {command.name: command for command in listed}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of the campaign is left out of `make fast`."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.slow)
