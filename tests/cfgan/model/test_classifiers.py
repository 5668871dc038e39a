"""The classifiers of a bundle, by role, and the check that loads every network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from report_helpers import judged_bundle
from typer.testing import CliRunner

from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.model.bundle import Bundle, write_bundle
from cfgan.networks.feature_heads import HeadsShape
from cfgan.networks.judge import JudgeShape
from cfgan_cli.app import app


@pytest.mark.slow
@pytest.mark.parametrize("part", ["judge", "guide", "heads"])
def test_bundle_check_loads_each_network_that_there_is(tmp_path: Path, tiny_bundle: Bundle, part: str) -> None:
    """Checksums that fit say nothing of weights that no network has."""
    config = json.loads(json.dumps(dict(tiny_bundle.config)))
    wrong = tiny_bundle.file("discriminator.safetensors").read_bytes()
    files = {name: tiny_bundle.file(name).read_bytes() for name in tiny_bundle.sums if name.endswith(".safetensors")}
    config[part] = {
        "judge": {**config["verifier"], "shape": JudgeShape(6, side=32, width=4, hidden=8).to_dict()},
        "guide": {"shape": config["verifier"]["shape"]},
        "heads": HeadsShape("x", 0, (5,), 6, width=8).to_dict(),
    }[part]
    bundle = write_bundle(tmp_path / "odd", config, {**files, f"{part}.safetensors": wrong}, "# odd")
    bundle.verify()
    result = CliRunner().invoke(app, ["bundle", "check", str(bundle.path)])
    assert result.exit_code == 1 and f"the {part} does not load" in " ".join(result.stderr.split())


@pytest.mark.slow
def test_classifiers_stand_by_their_role(
    tmp_path: Path, tiny_bundle: Bundle, vocabulary: Vocabulary, prior: Prior
) -> None:
    assert list(tiny_bundle.classifiers) == ["verifier"] and tiny_bundle.judge() is None
    assert tiny_bundle.classifiers["verifier"].held_out() is None
    judged = judged_bundle(tmp_path, vocabulary, prior)
    assert list(judged.classifiers) == ["verifier", "judge"]
    image = torch.zeros(1, 3, 16, 16)
    for role, same in (("verifier", judged.verifier()), ("judge", judged.judge())):
        classifier = judged.classifiers[role]
        assert same is not None and torch.equal(classifier.load()(image), same(image))
        seen, validation = classifier.held_out(), judged.validation()
        assert seen is not None and validation is not None
        assert (seen == classifier.calibration.probabilities(validation.logits[role])).all()
