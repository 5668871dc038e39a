from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cfgan.errors import ConfigError, InputError
from cfgan.external import dlib_gender
from cfgan.external.classifier import ExternalClassifier, sees
from cfgan.external.detector import FaceFinder, found
from cfgan.external.dlib_gender import DlibGender
from cfgan.external.face_api import FaceApiGender, FaceApiSmile, expression, filters_turned, gender
from cfgan.external.opening import open_external_classifiers
from cfgan.external.real_faces import RealReadings, count_readings, real_figures, to_json
from cfgan.external.tensorflow_js import unpack
from cfgan.model.bundle import open_bundle

pytestmark = pytest.mark.slow

Arrays = dict[str, np.ndarray]


class Sayer:
    """A witness that says what it was told to."""

    name, source, licence, attribute, digest = "sayer", "nowhere", "none", "Round", "d" * 64

    def __init__(self, sign: int = 1) -> None:
        self.sign = sign

    def __call__(self, levels: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        return np.where(found(boxes), levels[:, 0, 0, 0] / np.float32(255), np.float32(np.nan))


# What is counted


def test_readings_are_counted_by_label_and_what_cannot_be_said_is_no_miss() -> None:
    p = np.array([0.9, 0.5, 0.49, 0.1, 0.8, np.nan, np.nan], np.float32)
    labels = np.array([1, 1, 1, -1, -1, 1, np.nan])
    row = count_readings(Sayer(), p, labels)
    assert row == RealReadings(yes=(2, 3), no=(1, 2), unsaid=2)
    assert row.rate(1.0) == (2, 3) and row.rate(-1.0) == (1, 2)
    assert row.rate(1.0, carried=False) == (1, 2) and row.rate(-1.0, carried=False) == (1, 3)
    assert list(sees(Sayer(-1), p)) == [False, False, True, True, False], "a witness of the opposite"


def test_the_shipped_counts_are_of_these_very_witnesses_and_none_is_blind() -> None:
    held = real_figures()
    kinds = (DlibGender, FaceApiGender, FaceApiSmile)
    assert set(held.classifiers) == {kind.digest for kind in kinds}
    for row in held.classifiers.values():
        said = row.yes[1] + row.no[1]
        assert said + row.unsaid == held.about["images"] == held.faces[1] and said == held.faces[0]
        (yes, n), (no, m) = row.rate(1.0), row.rate(-1.0)
        assert yes / n > 0.85 and no / m > 0.85
    boxes = np.array([[0, 0, 5, 5], [0, 0, 0, 0]])
    written = to_json({"size": 64}, boxes, {Sayer(): RealReadings((1, 1), (0, 0), 1)})
    assert written["faces"] == [1, 2] and written["witnesses"]["d" * 64]["yes"] == [1, 1]


# The executor, against one written by definition


def slow_convolution(x: np.ndarray, filters: np.ndarray, stride: int) -> np.ndarray:
    """(C, H, W) with filters (kh, kw, C, out), padded as TensorFlow's "same" is defined."""
    kernel, side = filters.shape[0], x.shape[1]
    out = -(-side // stride)
    before = max((out - 1) * stride + kernel - side, 0) // 2
    result = np.zeros((filters.shape[3], out, out))
    for i, j, a, b in itertools.product(range(out), range(out), range(kernel), range(kernel)):
        row, column = i * stride + a - before, j * stride + b - before
        if 0 <= row < side and 0 <= column < side:
            result[:, i, j] += x[:, row, column] @ filters[a, b]
    return result


def slow_separable(arrays: Arrays, name: str, x: np.ndarray, stride: int = 1) -> np.ndarray:
    depthwise, pointwise = arrays[f"{name}/depthwise_filter"], arrays[f"{name}/pointwise_filter"]
    each = [slow_convolution(x[c : c + 1], depthwise[:, :, c : c + 1], stride) for c in range(len(x))]
    return slow_convolution(np.concatenate(each), pointwise, 1) + arrays[f"{name}/bias"][:, None, None]


def slow_plain(arrays: Arrays, name: str, x: np.ndarray, stride: int) -> np.ndarray:
    return slow_convolution(x, arrays[f"{name}/filters"], stride) + arrays[f"{name}/bias"][:, None, None]


def slow_pool(x: np.ndarray) -> np.ndarray:
    """The largest of 3 x 3, every other pixel, padded as "same" is defined."""
    side = x.shape[1]
    out = -(-side // 2)
    before = max((out - 1) * 2 + 3 - side, 0) // 2
    result = np.zeros((len(x), out, out))
    for i, j in itertools.product(range(out), range(out)):
        rows, columns = (slice(max(2 * k - before, 0), 2 * k - before + 3) for k in (i, j))
        result[:, i, j] = x[:, rows, columns].max((1, 2))
    return result


def centred(face: np.ndarray) -> np.ndarray:
    return (face - np.array([122.782, 117.001, 104.298])[:, None, None]) / 255


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum()


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def separable_shapes(name: str, given: int, out: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{name}/depthwise_filter": (3, 3, given, 1),
        f"{name}/pointwise_filter": (1, 1, given, out),
        f"{name}/bias": (out,),
    }


def drawn(shapes: dict[str, tuple[int, ...]], seed: int) -> tuple[Arrays, dict[str, torch.Tensor]]:
    """Weights by name, and the same as the package would hold them, unpacked again."""
    rng = np.random.default_rng(seed)
    arrays = {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    known = {"dtype": "float32"}
    manifest = [{"weights": [{"name": name, "shape": list(value.shape), **known} for name, value in arrays.items()]}]
    raw = b"".join(value.astype("<f4").tobytes() for value in arrays.values())
    return arrays, filters_turned(unpack(manifest, raw))


def test_the_expression_network_is_what_its_definition_says() -> None:
    shapes: dict[str, tuple[int, ...]] = {"dense0/conv0/filters": (3, 3, 3, 2), "dense0/conv0/bias": (2,)}
    for block, (given, out) in enumerate(((2, 2), (2, 3), (3, 4), (4, 5))):
        for layer in range(4):
            if block or layer:
                shapes |= separable_shapes(f"dense{block}/conv{layer}", given if layer == 0 else out, out)
    arrays, weights = drawn({**shapes, "fc/weights": (5, 7), "fc/bias": (7,)}, 1)
    face = np.random.default_rng(2).uniform(0, 255, (3, 18, 18))
    x = centred(face)
    for block in range(4):
        first = slow_plain if block == 0 else slow_separable
        one = relu(first(arrays, f"dense{block}/conv0", x, 2))
        two = slow_separable(arrays, f"dense{block}/conv1", one)
        three = slow_separable(arrays, f"dense{block}/conv2", relu(one + two))
        four = slow_separable(arrays, f"dense{block}/conv3", relu(one + two + three))
        x = relu(one + two + three + four)
    wanted = softmax(x.mean((1, 2)) @ arrays["fc/weights"] + arrays["fc/bias"])
    told = expression(weights, torch.from_numpy(face[None]).float())
    assert told.shape == (1, 7) and told[0].numpy() == pytest.approx(wanted, abs=1e-4)


def test_the_gender_network_is_what_its_definition_says() -> None:
    shapes: dict[str, tuple[int, ...]] = {"entry_flow/conv_in/filters": (3, 3, 3, 2), "entry_flow/conv_in/bias": (2,)}
    blocks = {"entry_flow/reduction_block_0": (2, 3), "entry_flow/reduction_block_1": (3, 4)}
    blocks["exit_flow/reduction_block"] = (4, 5)
    for name, (given, out) in blocks.items():
        shapes |= separable_shapes(f"{name}/separable_conv0", given, out)
        shapes |= separable_shapes(f"{name}/separable_conv1", out, out)
        shapes |= {f"{name}/expansion_conv/filters": (1, 1, given, out), f"{name}/expansion_conv/bias": (out,)}
    for k, part in itertools.product(range(2), range(3)):
        shapes |= separable_shapes(f"middle_flow/main_block_{k}/separable_conv{part}", 4, 4)
    shapes |= separable_shapes("exit_flow/separable_conv", 5, 6)
    arrays, weights = drawn({**shapes, "fc/gender/weights": (6, 2), "fc/gender/bias": (2,)}, 3)

    def reduction(name: str, x: np.ndarray, activated: np.ndarray) -> np.ndarray:
        y = slow_separable(arrays, f"{name}/separable_conv0", activated)
        y = slow_pool(slow_separable(arrays, f"{name}/separable_conv1", relu(y)))
        return y + slow_plain(arrays, f"{name}/expansion_conv", x, 2)

    face = np.random.default_rng(4).uniform(0, 255, (3, 20, 20))
    x = relu(slow_plain(arrays, "entry_flow/conv_in", centred(face), 2))
    x = reduction("entry_flow/reduction_block_0", x, x)
    x = reduction("entry_flow/reduction_block_1", x, relu(x))
    for k in range(2):
        y = x
        for part in range(3):
            y = slow_separable(arrays, f"middle_flow/main_block_{k}/separable_conv{part}", relu(y))
        x = x + y
    x = reduction("exit_flow/reduction_block", x, relu(x))
    x = relu(slow_separable(arrays, "exit_flow/separable_conv", x))
    wanted = softmax(x.mean((1, 2)) @ arrays["fc/gender/weights"] + arrays["fc/gender/bias"])
    told = gender(weights, torch.from_numpy(face[None]).float())
    assert told[0].numpy() == pytest.approx(wanted, abs=1e-4)


def test_quantised_weights_are_scaled_and_turned() -> None:
    filters = np.arange(12, dtype=np.uint8)
    bias = np.array([1.5, -2.0], "<f4")
    bytes_ = {"dtype": "uint8", "scale": 0.5, "min": -1.0}
    manifest = [
        {"weights": [{"name": "c/filters", "shape": [1, 2, 3, 2], "dtype": "float32", "quantization": bytes_}]},
        {"weights": [{"name": "c/bias", "shape": [2], "dtype": "float32"}]},
    ]
    found_ = filters_turned(unpack(manifest, filters.tobytes() + bias.tobytes()))
    assert found_["c/filters"].shape == (2, 3, 1, 2) and found_["c/bias"].tolist() == [1.5, -2.0]
    assert found_["c/filters"][1, 2, 0, 1].item() == pytest.approx(0.5 * 11 - 1)
    assert found_["c/filters"][0, 1, 0, 0].item() == pytest.approx(0.5 * 2 - 1)


# What is not at hand


def test_a_folder_that_is_not_the_package_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--face-api: .* is not the unpacked npm package .*no face_expression_model"):
        FaceApiSmile(tmp_path)
    (tmp_path / "model").mkdir()
    for suffix in (".bin", "-weights_manifest.json"):
        (tmp_path / "model" / f"age_gender_model{suffix}").write_bytes(b"[]")
    with pytest.raises(InputError, match="sha256 is another"):
        FaceApiGender(tmp_path)


def test_missing_extras_are_named_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dlib_gender, "find_spec", lambda name: None)
    opened, missing = open_external_classifiers()
    assert opened == [] and len(missing) == 2
    assert "pip install 'cfgan[external]'" in missing[0] and "npm pack" in missing[1]
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(ConfigError, match=r"pip install 'cfgan\[external\]'"):
        FaceFinder()


# The real ones


def real_witnesses() -> list[ExternalClassifier]:
    pytest.importorskip("dlib")
    package = os.environ.get("CFGAN_FACE_API")
    opened, _ = open_external_classifiers(Path(package) if package else None)
    if not opened:
        pytest.skip("no witness is at hand: cfgan[external], or CFGAN_FACE_API")
    return opened


@pytest.mark.real
def test_witnesses_tell_men_from_women_and_smiles_from_none_in_generated_faces() -> None:
    from cfgan.attributes.spec import RequestCell
    from cfgan.generate.sampling import Sampler

    external_classifiers, find = real_witnesses(), FaceFinder()
    for classifier in external_classifiers:
        right = total = 0
        for value in (1.0, -1.0):
            drawn_ = Sampler(open_bundle("celeba64"), "cpu").draw(
                RequestCell("any", {classifier.attribute: value}, 64, 1), range(64)
            )
            faces = drawn_.pixels[drawn_.passed.all(1)]
            seen = sees(classifier, classifier(faces, find(faces)))
            right, total = right + int((seen == (value > 0)).sum()), total + len(seen)
        assert total >= 60 and right / total > 0.8, classifier.name


def test_a_witness_says_nothing_where_there_is_no_face() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64), dtype=np.uint8)
    for classifier in real_witnesses():
        p = classifier(noise, FaceFinder()(noise))
        assert p.shape == (3,) and np.isnan(p).all()
        forced = classifier(noise, np.tile([60, 90, 190, 220], (3, 1)))
        assert ((forced >= 0) & (forced <= 1)).all() and (
            forced == classifier(noise, np.tile([60, 90, 190, 220], (3, 1)))
        ).all()
