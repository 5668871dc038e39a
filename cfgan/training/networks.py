"""The networks that take part in a GAN run: made, saved and loaded."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cfgan.errors import ConfigError, InputError
from cfgan.io.files import read_json_object, sha256_of
from cfgan.io.reading import library_errors
from cfgan.model.bundle import Bundle, open_bundle
from cfgan.networks.classifier import AttributeClassifier, ClassifierShape
from cfgan.networks.families import make_discriminator, make_generator
from cfgan.networks.feature_heads import FeatureHeads, FeatureMaps, HeadsShape
from cfgan.networks.loading import load_network
from cfgan.networks.shape import GanShape
from cfgan.training import state as saved
from cfgan.training.config import GanConfig
from cfgan.training.data import TensorData

IMAGENET = "efficientnet-lite0"
"""The setting ``features`` for ImageNet features instead of a classifier's."""
_CALIBRATION = 512  # real images


@dataclass
class TrainingNetworks:
    """The networks that take part in a run, their optimizers, and what the run has learned about itself.

    Args:
        generator, discriminator: the two that are trained and shipped.
        averages: weight averages of the generator, of several half-lives; the first one ships.
        optimizer_g, optimizer_d: theirs; the second one trains the feature heads too.
        guide: the guidance classifier: frozen, pulls the generator.
        features: a frozen network whose feature maps the heads judge.
        heads: those heads.
        guides: sha256 of every classifier that has ever pulled this generator, as guide or as features.
        feature_networks: name or sha256 of every frozen network whose features heads have ever judged.
        strength: of the augmentation, 0..1.
        start: name, digest and images seen of the bundle that the run started from.
    """

    generator: nn.Module
    discriminator: nn.Module
    averages: list[saved.WeightAverage]
    optimizer_g: torch.optim.Optimizer
    optimizer_d: torch.optim.Optimizer
    guide: nn.Module | None
    features: FeatureMaps | None
    heads: FeatureHeads | None
    strength: float
    guides: list[str] = field(default_factory=list)
    feature_networks: list[str] = field(default_factory=list)
    start: dict[str, Any] = field(default_factory=dict)
    heads_are_new: bool = True

    @property
    def average(self) -> saved.WeightAverage:
        """The weight average that ships."""
        return self.averages[0]

    @property
    def images_before(self) -> int:
        """Images that the bundle had seen from which the run started."""
        return int(self.start.get("images", 0))

    @property
    def averaged_before(self) -> int:
        """How many of them weight averages count as seen. None where the run has attributes or pixels to learn that the
        bundle did not know: an average that remembers the bundle would not show them until long after."""
        learns = "new_attributes" in self.start or "size" in self.start
        return 0 if learns else self.images_before

    def calibrate_heads(self, train: TensorData) -> None:
        """Show fresh heads what the feature maps of real images look like."""
        if self.heads is not None and self.features is not None and self.heads_are_new:
            images, _ = train.batch(torch.arange(0, len(train), max(1, len(train) // _CALIBRATION))[:_CALIBRATION])
            with torch.no_grad():
                parts = [self.features.maps(part) for part in torch.split(images, 32)]
            self.heads.calibrate([torch.cat(maps) for maps in zip(*parts, strict=True)])

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs."""
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "average": self.average.module.state_dict(),
            "averages": {f"{a.half_life_images:.0f}": a.module.state_dict() for a in self.averages[1:]},
            "optimizer_g": self.optimizer_g.state_dict(),
            "optimizer_d": self.optimizer_d.state_dict(),
            "heads": self.heads.state_dict() if self.heads is not None else {},
            "guides": list(self.guides),
            "feature_networks": list(self.feature_networks),
            "strength": self.strength,
            "start": dict(self.start),
        }

    def load(self, state: dict[str, Any], config: GanConfig) -> None:
        """Inverse of :meth:`state`.

        The betas are those of the configuration, and so is the augmentation unless it adapts. Heads that the saved run
        did not have begin fresh, and the discriminator's optimizer with them; averages that it did not have begin as
        the one that ships.
        """
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        older = state.get("averages", {})  # of runs that kept only one
        for average in self.averages:
            average.module.load_state_dict(older.get(f"{average.half_life_images:.0f}", state["average"]))
        self.average.module.load_state_dict(state["average"])
        self.optimizer_g.load_state_dict(state["optimizer_g"])
        if bool(state["heads"]) == (self.heads is not None):
            self.optimizer_d.load_state_dict(state["optimizer_d"])
            if self.heads is not None:
                self.heads.load_state_dict(state["heads"])
                self.heads_are_new = False
        self.guides = _union(state["guides"], self.guides)
        self.feature_networks = _union(state.get("feature_networks", []), self.feature_networks)
        self.start = dict(state["start"])
        if config.augment_target is not None:
            self.strength = float(state["strength"])
        for optimizer in (self.optimizer_g, self.optimizer_d):
            for group in optimizer.param_groups:
                # As a new one has them: of a run on a GPU they may be a tensor there.
                group |= {"betas": (config.beta1, config.beta2), "lr": float(group["lr"]), "capturable": False}


def gan_shape(config: GanConfig, attributes: int, size: int) -> GanShape:
    """The networks' shape for a configuration and a data set. Raises ConfigError for sizes that they cannot make."""
    try:
        return GanShape(
            attributes=attributes,
            size=size,
            width=config.width,
            z_dim=config.z_dim,
            embed=config.embed,
            upsample=config.upsample,
            refine=config.refine,
            least_channels=config.least_channels,
            conditioning=config.conditioning,
            spectral_norm=config.spectral_norm,
            family=config.family,
        )
    except ValueError as error:
        if config.refine and "refine" in str(error):
            raise ConfigError(f"{error}.", field="refine", value=list(config.refine)) from None
        raise ConfigError(f"{error}; pack the images at such a size.", field="data", value=size) from None


def make_networks(config: GanConfig, shape: GanShape, device: torch.device) -> TrainingNetworks:
    """Freshly initialised networks, the same for the same seed.

    Raises:
        ConfigError: the guidance classifier or the feature network is not there, or the settings do not go together.
    """
    if config.spectral_norm and config.family == "residual":
        raise ConfigError("the residual family has no spectral norm.", field="spectral_norm", value=True)
    if not config.image_weight and not config.features:
        raise ConfigError("without features there is nothing else that judges.", field="image_weight", value=0)
    guide = load_classifier(config.guide, "guide", device) if config.guide else None
    features, feature_name = load_features(config, device) if config.features else (None, "")
    if guide is not None and guide.shape.attributes != shape.attributes:
        known = f"it knows {guide.shape.attributes} attributes, the images {shape.attributes}"
        raise ConfigError(f"{known}.", field="guide", value=config.guide)
    torch.manual_seed(config.seed)
    generator = make_generator(shape).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    discriminator = make_discriminator(shape).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    heads = None
    if features is not None:
        side = config.features_side if config.features == IMAGENET else 0
        heads = FeatureHeads(HeadsShape(feature_name, side, features.map_channels, shape.attributes)).to(device)
    judges: Iterable[nn.Parameter] = discriminator.parameters()
    if heads is not None:
        judges = itertools.chain(judges, heads.parameters())
    betas = (config.beta1, config.beta2)
    fused = device.type == "cuda"
    kind: dict[str, Any] = {"betas": betas, "fused": True} if fused else {"betas": betas, "foreach": True}
    return TrainingNetworks(
        generator=generator,
        discriminator=discriminator,
        averages=[saved.WeightAverage(generator, images) for images in (config.ema_images, *config.ema_more)],
        optimizer_g=torch.optim.Adam(generator.parameters(), lr=config.learning_rate_generator, **kind),
        optimizer_d=torch.optim.Adam(judges, lr=config.learning_rate_discriminator, **kind),
        guide=guide,
        features=features,
        heads=heads,
        strength=config.augment_strength if config.augment_target is None else 0.0,
        guides=_union(
            *([_classifier_digest(run)] for run in (config.guide, config.features) if run and run != IMAGENET)
        ),
        feature_networks=[feature_name] if feature_name else [],
    )


def load_features(config: GanConfig, device: torch.device) -> tuple[FeatureMaps, str]:
    """The frozen network that the heads look through, and what it is called: its name, or a classifier's sha256.

    Raises:
        ConfigError: it is not there, or the extra with its weights is missing.
        BundleError: a bundle is damaged.
    """
    if config.features == IMAGENET:
        from cfgan.external.efficientnet import published_efficientnet
        from cfgan.networks.imagenet_maps import ImageNetMaps

        network = ImageNetMaps(published_efficientnet(), config.features_side)
        return network.to(device, memory_format=torch.channels_last), IMAGENET  # type: ignore[call-overload]
    run = str(config.features)
    return load_classifier(run, "features", device), _classifier_digest(run)


def load_classifier(run: str, name: str, device: torch.device) -> AttributeClassifier:
    """A trained classifier, frozen: from its run folder, or the guidance classifier of a bundle.

    Images larger than those it has learnt on it reads as averages of their pixels.

    Raises:
        ConfigError: there is none; names the setting.
        BundleError: the bundle is damaged.
    """
    if (bundle := bundle_of(run)) is not None:
        guide = bundle.guide()
        if guide is None:
            raise ConfigError(f"{bundle.name} keeps no guide.", field=name, value=run)
        return _reading_as_learnt(guide, bundle.size).to(device)
    folder = Path(run)
    with library_errors(folder, lambda text: ConfigError(f"no trained classifier: {text}", field=name, value=run)):
        about = read_json_object(folder / "model.json")
        if about.get("sha256", {}).get("model.safetensors") not in (None, sha256_of(folder / "model.safetensors")):
            raise ValueError("model.safetensors is not as model.json says")
        shape = ClassifierShape.from_dict(about["shape"])
        model = load_network(folder / "model.safetensors", lambda: AttributeClassifier(shape))
    return _reading_as_learnt(model, int(about.get("size", 0))).to(device)


def _reading_as_learnt(model: AttributeClassifier, size: int) -> AttributeClassifier:
    model.shape = replace(model.shape, reads=model.shape.reads or size)
    return model


def bundle_of(run: str) -> Bundle | None:
    """The bundle that a setting names instead of a run, or None."""
    if (Path(run) / "model.json").exists():
        return None
    try:
        return open_bundle(run)
    except InputError:
        return None  # neither: what is missing of a run is said then


def _classifier_digest(run: str) -> str:
    bundle = bundle_of(run)
    return bundle.sums["guide.safetensors"] if bundle is not None else sha256_of(Path(run) / "model.safetensors")


def _union(*lists: Iterable[str]) -> list[str]:
    """Every entry once, in order."""
    return list(dict.fromkeys(itertools.chain(*lists)))
