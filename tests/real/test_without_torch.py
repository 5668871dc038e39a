"""What the light install does: everything but training, with torch not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

_BLOCKED = """
import sys
import importlib.util
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "onnx", "torchvision"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, NoTorch())
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.partition(".")[0] == "torch" else real(name, *rest)
from cfgan_cli.main import main
sys.argv = ["cfgan", *sys.argv[1:]]
main()
"""


def cfgan(*arguments: str | Path, expect: int = 0) -> str:
    command = [sys.executable, "-c", _BLOCKED, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_batch_is_made_checked_read_and_reported_without_torch(tmp_path: Path) -> None:
    batch = tmp_path / "men"
    cfgan("generate", "--attrs", "Male,Smiling", "-n", 8, "--seed", 3, "--out", batch)
    assert '"engine": "onnxruntime"' in (batch / "batch.json").read_text()
    assert "complete and unchanged" in cfgan("batch", "check", batch)
    assert "8 images read by the judge" in " ".join(
        cfgan("verify", batch, "--by", "judge", "--out", tmp_path / "read.csv").split()
    )
    said = " ".join(cfgan("report", batch, "--out", tmp_path / "report", "--redraw", 40).split())
    assert "8 of 8 faces are the same pictures" in said
    assert "complete and unchanged" in cfgan("bundle", "check")


def test_what_needs_torch_says_which_extra_brings_it(tmp_path: Path) -> None:
    said = cfgan("train", "gan", "--data", tmp_path, "--out", tmp_path / "run", expect=2)
    assert "needs torch: pip install 'cfgan[train]'" in said
    said = cfgan("project", tmp_path / "me.png", expect=2)
    assert "needs torch: pip install 'cfgan[train]'" in said
    said = cfgan("generate", "--attrs", "Male", "-n", 1, "--engine", "torch", "--out", tmp_path / "b", expect=2)
    assert "needs torch: pip install 'cfgan[train]'" in said and not (tmp_path / "b").exists()


def test_both_engines_keep_the_same_draws_and_differ_by_a_level_at_most() -> None:
    import numpy as np

    from cfgan.attributes.spec import make_plan
    from cfgan.generate.sampling import Sampler
    from cfgan.model.bundle import open_bundle

    bundle = open_bundle()
    requests = ("Male,Smiling,Eyeglasses", "-Male,Wearing_Hat", "Blond_Hair,-Male", "Bald,Male")
    fast, other = Sampler(bundle, "onnxruntime:cpu"), Sampler(bundle, "torch:cpu")
    kept = changed = 0
    for request in requests:
        plan = make_plan({"attributes": request, "count": 1, "seed": 5}, bundle.vocabulary, latents=bundle.latents)
        one, two = (sampler.draw(plan.cells[0], range(96)) for sampler in (fast, other))
        difference = np.abs(one.pixels.astype(int) - two.pixels)
        assert difference.max() <= 1 and (difference > 0).mean() < 1e-3
        again = other.verifier.probability(one.pixels)  # the same pixels: a level that differs moves a little more
        assert np.abs(one.probability - again).max() < 1e-3
        assert np.abs(one.probability - two.probability).max() < 1e-2
        kept, changed = kept + one.passed.all(1).sum(), changed + (one.passed != two.passed).sum()
    assert kept > 100 and changed == 0
