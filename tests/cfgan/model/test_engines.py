from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import make_bundle
from safetensors.torch import load_file, save_file

from cfgan.assemble.copies import with_graphs
from cfgan.assemble.onnx_check import check_graphs
from cfgan.assemble.onnx_networks import generator_graph
from cfgan.attributes.prior import Prior
from cfgan.attributes.spec import make_plan
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import BundleError, FolderError, InputError
from cfgan.generate.job import generate
from cfgan.io.files import sha256_of
from cfgan.model.bundle import Bundle, open_bundle, write_bundle
from cfgan.model.engines import open_engine
from cfgan.model.onnx_engine import OnnxGenerator
from cfgan.networks.families import make_generator
from cfgan.networks.shape import GanShape

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary, prior: Prior) -> Bundle:
    """A bundle that both engines can compute."""
    folder = tmp_path_factory.mktemp("both")
    return with_graphs(make_bundle(folder / "plain", vocabulary, prior, with_judge=True), folder / "both")


def test_both_engines_draw_and_read_the_same(both: Bundle) -> None:
    rng = np.random.default_rng(1)
    z = rng.standard_normal((40, both.z_dim)).astype(np.float32)
    conditions = rng.choice(np.asarray([-1, 1], np.float32), (40, len(both.vocabulary)))
    fast, torch_ = open_engine(both, "onnxruntime:cpu"), open_engine(both, "torch:cpu")
    levels = fast.generator()(z, conditions)
    assert levels.dtype == np.uint8 and levels.std() > 1
    assert np.abs(levels.astype(int) - torch_.generator()(z, conditions)).max() <= 1
    for role in ("verifier", "judge"):
        mine, theirs = fast.classifier(role), torch_.classifier(role)
        np.testing.assert_allclose(mine.logits(levels), theirs.logits(levels), atol=1e-4)
        np.testing.assert_allclose(mine.features(levels), theirs.features(levels), atol=1e-4)
        with mine.workers() as workers:
            np.testing.assert_allclose(workers.network.logits(levels), mine.logits(levels), atol=1e-6)
    assert not torch.is_inference(torch.zeros(1))


@pytest.mark.parametrize("count", [0, 1, 3, 8])
def test_what_is_drawn_in_pieces_is_drawn_the_same(both: Bundle, count: int) -> None:
    rng = np.random.default_rng(3)
    z = rng.standard_normal((count, both.z_dim)).astype(np.float32)
    conditions = rng.choice(np.asarray([-1, 1], np.float32), (count, len(both.vocabulary)))
    whole = open_engine(both, "onnxruntime:cpu").generator()
    pieces = OnnxGenerator(whole._session, 3)
    assert pieces(z, conditions).shape == (count, 3, both.size, both.size)
    np.testing.assert_array_equal(pieces(z, conditions), whole(z, conditions))


def test_what_says_that_it_is_batch_invariant_is(both: Bundle) -> None:
    rng = np.random.default_rng(4)
    z = rng.standard_normal((33, both.z_dim)).astype(np.float32)
    conditions = rng.choice(np.asarray([-1, 1], np.float32), (33, len(both.vocabulary)))
    engine = open_engine(both, "onnxruntime:cpu")
    assert engine.batch_invariant and not open_engine(both, "torch:cpu").batch_invariant
    levels, verifier = engine.generator()(z, conditions), engine.classifier("verifier")
    for size in (1, 7, 32):
        parts = [slice(k, k + size) for k in range(0, 33, size)]
        np.testing.assert_array_equal(
            np.concatenate([engine.generator()(z[part], conditions[part]) for part in parts]), levels
        )
        np.testing.assert_array_equal(
            np.concatenate([verifier.logits(levels[part]) for part in parts]), verifier.logits(levels)
        )


def test_classifiers_that_read_averages_do_so_on_both_engines(both: Bundle, tmp_path: Path) -> None:
    half = both.size // 2
    weights = {name: both.file(name).read_bytes() for name in both.sums if name.endswith(".safetensors")}
    described = {
        role: {**both.config[role], "shape": {**both.config[role]["shape"], "reads": half}}
        for role in ("verifier", "judge")
    }
    plain = write_bundle(tmp_path / "plain", {**both.config, **described}, weights, "")
    averaging = with_graphs(plain, tmp_path / "averaging")
    fine = np.random.default_rng(2).integers(0, 256, (6, 3, both.size, both.size), np.uint8)
    coarse = torch.nn.functional.avg_pool2d(torch.from_numpy(fine).float() / 127.5 - 1, 2)
    for role in ("verifier", "judge"):
        with torch.inference_mode():
            expected = both.classifiers[role].load()(coarse).numpy()
        for engine in ("onnxruntime:cpu", "torch:cpu"):
            found = open_engine(averaging, engine).classifier(role).logits(fine)
            np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("upsample", ["resize", "transposed", "shuffle"])
@pytest.mark.parametrize("conditioning", ["both", "concat", "modulate"])
def test_every_generator_of_the_family_has_a_graph_that_computes_it(
    upsample: str, conditioning: str, tmp_path: Path
) -> None:
    import onnxruntime

    torch.manual_seed(0)
    shape = GanShape(3, 16, 8, 8, 8, upsample=upsample, conditioning=conditioning, refine=(8, 16))
    generator = make_generator(shape).eval()
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)  # refinements start at zero
    save_file(generator.state_dict(), tmp_path / "generator.safetensors")
    graph = generator_graph(shape, (tmp_path / "generator.safetensors").read_bytes())
    assert graph is not None
    (tmp_path / "generator.onnx").write_bytes(graph)
    z, conditions = np.random.default_rng(0).standard_normal((2, 5, 8)).astype(np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "generator.onnx")
    found = session.run(None, {"latent": z, "condition": conditions[:, :3]})[0]
    with torch.inference_mode():
        images = generator(torch.from_numpy(z), torch.from_numpy(conditions[:, :3].copy()))
    assert np.abs(found - images.add(1).mul(127.5).numpy()).max() <= 0.501


def test_the_engine_is_chosen_by_what_a_bundle_has(both: Bundle, tiny_bundle: Bundle) -> None:
    assert open_engine(both).name == "onnxruntime" and open_engine(both, "torch:auto").name == "torch"
    assert open_engine(tiny_bundle).name == "torch"
    with pytest.raises(InputError, match="has no graphs"):
        open_engine(tiny_bundle, "onnxruntime:cpu")
    with pytest.raises(InputError, match="Did you mean torch"):
        open_engine(both, "trch:cpu")
    with pytest.raises(InputError, match="cannot be used by onnxruntime"):
        open_engine(both, "onnxruntime:cuda:7")


def test_a_graph_or_weights_that_were_changed_are_not_run(both: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "own"
    path.mkdir()
    for name in (*both.sums, "manifest.json"):
        (path / name).write_bytes((both.path / name).read_bytes())

    def seal(name: str) -> None:
        manifest = json.loads((path / "manifest.json").read_text())
        manifest["sha256"][name] = sha256_of(path / name)
        (path / "manifest.json").write_text(json.dumps(manifest))

    (path / "verifier.safetensors").write_bytes(b"other weights, which the graph refers to")
    with pytest.raises(BundleError, match="verifier.safetensors is not as manifest.json says"):
        open_engine(open_bundle(path)).classifier("verifier")
    (path / "generator.onnx").write_bytes((path / "judge.onnx").read_bytes())
    seal("generator.onnx")
    with pytest.raises(BundleError, match="generator.onnx is not the graph of its network"):
        open_engine(open_bundle(path)).generator()
    (path / "generator.onnx").write_bytes(b"no graph at all")
    seal("generator.onnx")
    with pytest.raises(BundleError, match="generator.onnx does not load"):
        open_engine(open_bundle(path)).generator()


def test_graphs_that_compute_something_else_are_found(both: Bundle, tmp_path: Path) -> None:
    check_graphs(both)
    other = tmp_path / "other"
    other.mkdir()
    for name in (*both.sums, "manifest.json"):
        (other / name).write_bytes((both.path / name).read_bytes())
    weights = load_file(other / "generator.safetensors")
    graph = (other / "generator.onnx").read_bytes()
    weights["to_rgb.bias"] += 1.0
    save_file(weights, other / "generator.safetensors")
    # The graph refers to the file by places, so it would follow: only a graph of another network goes wrong.
    where = graph.index(b"LeakyRelu")
    (other / "generator.onnx").write_bytes(graph[:where] + graph[where:].replace(b"Tanh", b"Sqrt", 1))
    sums = {name: sha256_of(other / name) for name in both.sums}
    (other / "manifest.json").write_text(json.dumps({"sha256": sums}))
    with pytest.raises(BundleError, match="levels"):
        check_graphs(open_bundle(other))


def test_a_batch_names_its_engine_and_is_never_gone_on_with_by_another(both: Bundle, tmp_path: Path) -> None:
    plan = make_plan({"count": 3, "seed": 1, "attributes": {"Red": 1}}, both.vocabulary)
    generate(both, plan, tmp_path / "b", device="onnxruntime:cpu")
    assert json.loads((tmp_path / "b/batch.json").read_text())["header"]["engine"] == "onnxruntime"
    generate(both, plan, tmp_path / "b", device="onnxruntime:cpu")  # finished: nothing to do
    with pytest.raises(FolderError, match="or engine"):
        generate(both, plan, tmp_path / "b", device="torch:cpu")


def test_an_engine_that_nobody_holds_gives_its_memory_back_at_once(both: Bundle) -> None:
    """A session has hundreds of megabytes; waiting for the collector of cycles, three batches in a row held three."""
    gc.disable()
    try:
        engine = open_engine(both, "onnxruntime:cpu")
        session = weakref.ref(engine.classifier("verifier")._session)  # type: ignore[attr-defined]
        del engine
        assert session() is None
    finally:
        gc.enable()
