"""What heads over frozen features promise: they answer at every place, are kept, and go on by attribute name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import SEEN, SMALL, make_bundle, small_store
from safetensors.torch import save
from torch.nn import functional as F

from cfgan.assemble.parts import Parts, assemble, in_half
from cfgan.assemble.run_files import average_file, read_about
from cfgan.attributes.prior import Prior
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.errors import ConfigError, InputError
from cfgan.model.bundle import Bundle, open_bundle, write_bundle
from cfgan.networks import efficientnet
from cfgan.networks.dcgan import Generator
from cfgan.networks.feature_heads import FeatureHeads, HeadsShape
from cfgan.networks.imagenet_maps import ImageNetMaps
from cfgan.networks.loading import load_network
from cfgan.networks.shape import GanShape
from cfgan.training.classifier import train_classifier
from cfgan.training.config import ClassifierConfig, GanConfig, make_config
from cfgan.training.data import load_split
from cfgan.training.gan import rate_factor, train_gan
from cfgan.training.networks import gan_shape, make_networks
from cfgan.training.state import WeightAverage
from cfgan.training.transfer import start_from

pytestmark = pytest.mark.slow

NAMES = ("Round", "Dog", "Red")
SETTINGS = SMALL | {"z_dim": 8}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Path]:
    """A bundle whose training had heads over a classifier's features, and the classifier's run."""
    folder = tmp_path_factory.mktemp("heads")
    store = small_store(folder, NAMES)
    vocabulary = Vocabulary(NAMES)
    counts = torch.full((3, 3), 5).numpy()
    prior = Prior(vocabulary, counts[0] * 0.0, counts * 0.0, counts, 2 * counts, 10)
    source = make_bundle(folder / "source", vocabulary, prior)
    train_classifier(store, folder / "guide", make_config(ClassifierConfig, SEEN))
    train_gan(store, folder / "gan", make_config(GanConfig, SETTINGS | {"features": str(folder / "guide")}))
    config, weights = assemble(Parts(folder / "gan", keep=source))
    return write_bundle(folder / "built", config, weights, ""), folder / "guide"


def test_a_head_answers_for_every_place() -> None:
    torch.manual_seed(0)
    heads = FeatureHeads(HeadsShape("x", 0, (5,), 2, width=8)).eval()
    maps = torch.randn(1, 5, 8, 8)
    condition = torch.tensor([[1.0, -1.0]])
    (before,) = heads([maps], condition)
    assert before.shape == (1, 64)
    maps[:, :, 0, 0] += 3.0  # one torn corner
    (after,) = heads([maps], condition)
    changed = (before != after).view(8, 8)
    assert changed[:2, :2].all() and not changed[2:, :].any() and not changed[:, 2:].any()


def test_maps_of_small_values_are_brought_to_unit_spread() -> None:
    heads = FeatureHeads(HeadsShape("x", 0, (3, 4), 2, width=8)).eval()
    maps = [0.01 * torch.randn(16, c, 4, 4) + 0.5 for c in (3, 4)]
    large = [100 * (x - 0.5) for x in maps]
    condition = torch.ones(16, 2)
    heads.calibrate(maps)
    small = heads(maps, condition)
    heads.calibrate(large)
    for a, b in zip(small, heads(large, condition), strict=True):
        torch.testing.assert_close(a, b, atol=1e-2, rtol=1e-2)


def test_the_bundle_keeps_the_heads_and_training_goes_on_with_them(built: tuple[Bundle, Path]) -> None:
    bundle, guide = built
    kept = bundle.heads()
    assert kept is not None and bundle.config["training"]["features"] == [kept.shape.features]
    config = make_config(GanConfig, SETTINGS | {"features": str(guide), "seed": 5})
    vocabulary = Vocabulary(("Red", "New", "Round"))
    networks = make_networks(config, gan_shape(config, 3, 16), CPU)
    start_from(networks, vocabulary, bundle)
    assert networks.heads is not None and not networks.heads_are_new
    maps = [torch.randn(2, c, 4, 4) for c in kept.shape.channels]
    asked = torch.randn(2, 3)
    translated = torch.stack([asked[:, 2], torch.zeros(2), asked[:, 0]], 1)  # Round, Dog, Red
    networks.heads.eval()
    # The spectral norm of a projection is that of its columns, so only what does not depend on the condition is equal.
    zero = torch.zeros(2, 3)
    for mine, theirs in zip(networks.heads(maps, zero), kept(maps, zero), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert all(x.shape == translated[:, :1].expand(2, x.shape[1]).shape for x in networks.heads(maps, asked))

    same = make_networks(config, gan_shape(config, 3, 16), CPU)
    start_from(same, Vocabulary(NAMES), bundle)
    assert same.heads is not None
    for name, value in same.heads.state_dict().items():
        torch.testing.assert_close(value, kept.state_dict()[name], msg=name)


def test_a_bundle_can_do_without_them(built: tuple[Bundle, Path]) -> None:
    _, guide = built
    run = guide.parent / "gan"
    config, weights = assemble(Parts(run, keep=open_bundle(guide.parent / "source"), heads=False))
    assert "heads" not in config and "heads.safetensors" not in weights


def test_heads_over_other_features_begin_anew(built: tuple[Bundle, Path], tmp_path: Path) -> None:
    bundle, _ = built
    store = small_store(tmp_path, NAMES)
    train_classifier(store, tmp_path / "other", make_config(ClassifierConfig, SEEN | {"seed": 1}))
    config = make_config(GanConfig, SETTINGS | {"features": str(tmp_path / "other")})
    networks = make_networks(config, gan_shape(config, 3, 16), CPU)
    start_from(networks, Vocabulary(NAMES), bundle)
    assert networks.heads is not None and networks.heads_are_new
    networks.calibrate_heads(load_split(store, "train", CPU))
    assert networks.features is not None
    means = networks.heads.state_dict()["mean0"]
    assert (means != 0).any()
    assert networks.feature_networks == [*bundle.config["training"]["features"], networks.heads.shape.features]


def test_refinements_start_as_the_identity_and_learn(built: tuple[Bundle, Path], tmp_path: Path) -> None:
    bundle, _ = built
    store = small_store(tmp_path, NAMES)
    config = make_config(GanConfig, SETTINGS | {"refine": [8, 16], "start": str(bundle.path)})
    networks = make_networks(config, gan_shape(config, 3, 16), CPU)
    start_from(networks, Vocabulary(NAMES), bundle)
    z, condition = torch.randn(4, 8), torch.randn(4, 3).sign()
    assert torch.equal(networks.average.module(z, condition), bundle.generator()(z, condition))
    train_gan(store, tmp_path / "run", config)
    from safetensors.torch import load_file

    trained = load_file(tmp_path / "run" / "generator.safetensors")
    assert trained["blocks.1.refinement.conv.weight"].abs().max() > 0
    assert trained["refinement.conv.weight"].abs().max() > 0

    with pytest.raises(ConfigError, match="refine"):  # what the bundle has cannot be dropped
        other = make_config(GanConfig, SETTINGS)
        refined, weights = assemble(Parts(tmp_path / "run", keep=bundle))
        start_from(
            make_networks(other, gan_shape(other, 3, 16), CPU),
            Vocabulary(NAMES),
            write_bundle(tmp_path / "refined", refined, weights, ""),
        )
    with pytest.raises(ConfigError, match="must hold sides"):
        gan_shape(make_config(GanConfig, SETTINGS | {"refine": [12]}), 3, 16)


def test_a_shape_is_the_same_after_a_bundle_kept_it() -> None:
    shape = GanShape(3, size=16, width=8, refine=(8,))
    again = GanShape(**shape.to_dict())
    assert again == shape
    assert Generator(again).blocks[1].refinement is not None


def test_further_averages_are_kept_resumed_and_exported(tmp_path: Path) -> None:
    store = small_store(tmp_path, NAMES)
    config = make_config(GanConfig, SETTINGS | {"ema_images": 1, "ema_more": [1000]})
    path = train_gan(store, tmp_path / "whole", config)
    half = make_config(GanConfig, SETTINGS | {"ema_images": 1, "ema_more": [1000], "images": 16})
    train_gan(store, tmp_path / "halves", half)
    train_gan(store, tmp_path / "halves", config)
    for name in ("generator.safetensors", "generator-1000.safetensors"):
        assert (tmp_path / "halves" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert path.read_bytes() != path.with_name("generator-1000.safetensors").read_bytes()
    about = read_about(tmp_path / "whole", "gan", "gan")
    assert average_file(tmp_path / "whole", about, None) == "generator.safetensors"
    assert average_file(tmp_path / "whole", about, 1) == "generator.safetensors"
    assert average_file(tmp_path / "whole", about, 1000) == "generator-1000.safetensors"
    with pytest.raises(InputError, match="there are 1, 1000"):
        average_file(tmp_path / "whole", about, 2000)


def test_a_bundle_holds_the_discriminator_in_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = torch.nn.Linear(5, 4)
    whole.register_buffer("count", torch.tensor(3))
    data = in_half(save(whole.state_dict()))
    assert len(data) < len(save(whole.state_dict()))
    (tmp_path / "half.safetensors").write_bytes(data)

    def make() -> torch.nn.Linear:
        layer = torch.nn.Linear(5, 4)
        layer.register_buffer("count", torch.tensor(0))
        return layer

    again = load_network(tmp_path / "half.safetensors", make)
    assert again.weight.dtype == torch.float32 and int(again.count) == 3
    torch.testing.assert_close(again.weight.detach(), whole.weight.detach(), atol=1e-3, rtol=1e-3)


def test_an_average_that_goes_on_from_a_bundle_keeps_its_whole_half_life() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    average = WeightAverage(module, 1000)
    torch.nn.init.constant_(module.weight, float(average.module.weight) + 1)
    before = float(average.module.weight)
    average.update(module, 10, 32 + 1_000_000)
    assert float(average.module.weight) - before == pytest.approx(1 - 0.5 ** (10 / 1000), rel=1e-3)


def test_rates_rise_after_a_start() -> None:
    config = make_config(GanConfig, {"warmup_images": 320, "batch": 32, "images": 10_000})
    assert rate_factor(config, 0) == pytest.approx(32 / 352)
    assert rate_factor(config, 288) == pytest.approx(320 / 352)
    assert rate_factor(config, 320) == 1.0


def test_imagenet_maps_are_those_of_the_whole_network() -> None:
    torch.manual_seed(0)
    network = efficientnet.EfficientNetLite0().fuse()
    maps = ImageNetMaps(network, 64)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    found = maps.maps(images)
    assert tuple(x.shape[1] for x in found) == maps.map_channels
    assert [x.shape[-1] for x in found] == [16, 8, 4]
    x = F.relu6(network.conv_stem(((images + 1) * 127.5 - 127) / 128))
    for block in list(network.blocks.children())[:3]:
        x = block(x)
    torch.testing.assert_close(found[0], x, atol=1e-4, rtol=1e-4)
    wide = torch.rand(1, 3, 32, 32, requires_grad=True)
    maps.maps(wide)[2].sum().backward()
    assert wide.grad is not None and wide.grad.abs().max() > 0
