"""Training configurations: frozen dataclasses from a recipe, a YAML file and ``key=value`` settings, fully validated.

Every hyper-parameter has its unit in its name or its comment. Progress is counted in images seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from cfgan.errors import ConfigError, nearest
from cfgan.io.yaml import parse_yaml, read_text_limited

_STRICT = ConfigDict(extra="forbid")
_Share = Annotated[float, Field(ge=0, le=1)]
_Beta = Annotated[float, Field(ge=0, lt=1)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(gt=0)]


@dataclass(frozen=True, config=_STRICT)
class ClassifierConfig:
    """How an attribute classifier (verifier, guidance classifier, judge) is trained."""

    images: _Count = 400_000  # images seen in all, repeats counted
    batch: _Count = 64  # images a step
    widths: Annotated[tuple[_Count, ...], Field(min_length=2)] = (32, 64, 128, 256)  # channels of the stages
    dropout: _Share = 0.2  # share of pooled features
    learning_rate: _Positive = 4e-3  # peak learning rate of AdamW
    warmup_share: _Share = 0.15  # share of all images over which the rate rises; then it falls along a cosine
    weight_decay: _NotNegative = 0.05
    ema_images: _NotNegative = 20_000  # half-life of the weight average, images; 0: none
    shift_pixels: Annotated[int, Field(ge=0)] = 4  # random shift in each direction
    brightness: _Share = 0.25  # random brightness and contrast, relative
    cutout_share: _Share = 0.25  # side of the blanked square against the image's; 0: none
    mirror: bool = True  # half of the images are seen mirrored; not for digits, letters, or left and right
    seed: Annotated[int, Field(ge=0)] = 0
    threads: Annotated[int, Field(ge=0)] = 0  # CPU threads; 0: torch's choice
    device: str = "auto"  # auto, cpu, cuda, cuda:N
    save_images: _Count = 20_000  # images between two saved states
    log_images: _Count = 2_000  # images between two lines of stats.jsonl


@dataclass(frozen=True, config=_STRICT)
class GanConfig:
    """How a generator and its discriminator are trained."""

    images: _Count = 2_000_000  # images seen in all, repeats counted
    batch: _Count = 32  # images a step and a device
    family: Literal["dcgan", "residual"] = "dcgan"
    width: Annotated[int, Field(ge=4)] = 40  # channels at half the final side; doubles at each halving
    z_dim: _Count = 128  # numbers in a latent
    embed: _Count = 128  # width of the modulation vector and of the discriminator's last features
    # Of the dcgan family: resize-convolution leaves no checkerboard (Odena et al. 2016).
    upsample: Literal["resize", "transposed", "shuffle"] = "resize"
    conditioning: Literal["both", "concat", "modulate"] = "both"
    loss: Literal["hinge", "relativistic"] = "relativistic"
    refine: tuple[_Count, ...] = ()  # of the dcgan family: sides in pixels with one more residual convolution
    spectral_norm: bool = False  # on the discriminator's weights (Miyato et al. 2018)
    r1_gamma: _NotNegative = 1.0  # weight of gamma/2 * |grad D(real)|^2
    r2_gamma: _NotNegative = 1.0  # weight of gamma/2 * |grad D(fake)|^2
    penalty_steps: _Count = 4  # the penalty is taken every so many steps, weighted up (Karras et al. 2020)
    penalty: Literal["exact", "finite"] = "exact"  # double backward, or its finite-difference form
    attribute_weight: _NotNegative = 1.0  # of the attribute head's loss
    attribute_images: Literal["real", "both"] = "real"  # what the attribute head learns from
    attribute_pull: _NotNegative = 0.5  # how strongly the attribute head pulls the generator
    start: str | None = None  # bundle whose generator and discriminator the run starts from; None: from noise
    # Guidance classifier, which pulls the generator too: run folder of a trained one, or a bundle that keeps one.
    guide: str | None = None
    guide_pull: _NotNegative = 0.5  # how strongly the guidance classifier pulls the generator
    # Frozen features that more heads judge: "efficientnet-lite0" (ImageNet, cfgan[evaluate]) or a classifier as `guide`
    features: str | None = None
    features_side: Annotated[int, Field(ge=32, multiple_of=16)] = 64  # pixels to which efficientnet-lite0 sees images
    feature_weight: _NotNegative = 0.5  # of those heads' loss, against the image discriminator's
    image_weight: _NotNegative = 1.0  # of the image discriminator's loss; 0: a projected discriminator alone
    rare_threshold: _Share = 0.1  # repeat-factor sampling: values rarer than this are drawn more often; 0: off
    learning_rate_generator: _Positive = 2e-4  # Adam
    learning_rate_discriminator: _Positive = 2e-4  # Adam
    warmup_images: _NotNegative = 0  # images over which both rates rise at the start of a run
    learning_rate_hold: _Share = 1.0  # share of all images after which both rates begin to fall, along half a cosine
    learning_rate_end: _Share = 0.1  # what is left of the rates at the last image, as a share of them
    beta1: _Beta = 0.0
    beta2: _Beta = 0.99
    ema_images: _NotNegative = 10_000  # half-life of the weight average that ships, images; 0: none
    ema_more: tuple[_Count, ...] = ()  # half-lives of further averages that are kept beside it, images
    augment: tuple[Literal["color", "translate", "cutout", "flip"], ...] = ("color", "translate", "cutout")
    augment_strength: _Share = 1.0  # probability with which each transform is applied to an image
    mirror: bool = True  # half of the reals are seen mirrored; not for digits, letters, or left and right
    # Adapt it until (D(train) - D(validation)) / (D(train) - D(fake)) is this (Karras et al. 2020); None: not.
    augment_target: Annotated[float, Field(gt=0, lt=1)] | None = None
    adapt_images: _Count = 4_000  # images between two adaptations
    adapt_speed: _Positive = 200_000  # images in which the strength can go from 0 to 1
    seed: Annotated[int, Field(ge=0)] = 0
    threads: Annotated[int, Field(ge=0)] = 0  # CPU threads; 0: torch's choice
    device: str = "auto"  # auto, cpu, cuda, cuda:N
    save_images: _Count = 20_000  # images between two saved states
    sample_images: _Count = 20_000  # images between two sample grids
    log_images: _Count = 640  # images between two lines of stats.jsonl
    tensorboard: bool = False  # write TensorBoard events as well (extra: cfgan[tensorboard])


@dataclass(frozen=True, config=_STRICT)
class JudgeConfig:
    """How the head of a judge is trained on frozen features."""

    images: _Count = 165_000  # images seen in all, repeats counted
    batch: _Count = 128  # images a step
    trunk: Literal["efficientnet-lite0", "mobilenet-v2"] = "efficientnet-lite0"  # the frozen network
    side: Annotated[int, Field(ge=32, multiple_of=16)] = 96  # to which images are enlarged before the frozen network
    width: _Count = 64  # channels after the head's first layer
    hidden: _Count = 256  # length of the features before the last layer
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3  # before each linear layer
    learning_rate: _Positive = 3e-3  # peak learning rate of AdamW
    warmup_share: _Share = 0.3  # share of all images over which the rate rises; then it falls along a cosine
    weight_decay: _NotNegative = 0.05
    mirror: bool = True  # half of the images are seen mirrored; not for digits, letters, or left and right
    seed: Annotated[int, Field(ge=0)] = 0
    threads: Annotated[int, Field(ge=0)] = 0  # CPU threads; 0: torch's choice
    device: str = "auto"  # auto, cpu, cuda, cuda:N
    log_images: _Count = 20_000  # images between two lines of stats.jsonl


OLD_NAMES = {
    "rate": "learning_rate",
    **{f"rate_{part}": f"learning_rate_{part}" for part in ("generator", "discriminator", "hold", "end")},
}
"""What settings were called in older files -> what they are called now."""

Config = TypeVar("Config", ClassifierConfig, GanConfig, JudgeConfig)


def to_dict(config: ClassifierConfig | GanConfig | JudgeConfig) -> dict[str, Any]:
    """Plain values, ready for YAML or JSON."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}


def load_config(kind: type[Config], *, file: Path | None = None, settings: Sequence[str] = ()) -> Config:
    """Build a configuration from its defaults, then a YAML file, then ``key=value`` settings.

    Args:
        kind: ClassifierConfig, GanConfig or JudgeConfig.
        file: YAML mapping of some of its fields.
        settings: as given to ``--set``; values are read as YAML.

    Raises:
        ConfigError: an unknown key (with the nearest), a malformed setting or a value out of range.
    """
    values: dict[str, Any] = {}
    if file is not None:
        loaded = parse_yaml(read_text_limited(file, field="config"), name=str(file), field="config")
        if not isinstance(loaded, Mapping):
            raise ConfigError(f"{file} is no mapping of settings.", field="config", value=file)
        values.update(loaded)
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not sign:
            raise ConfigError(f"{setting!r} is not key=value.", field="--set", value=setting)
        values[key.strip()] = parse_yaml(text, name=setting, field="--set")
    return make_config(kind, values)


def current_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings under the names that they have now; of two names of one setting the later one counts."""
    return {OLD_NAMES.get(key, key): value for key, value in values.items()}


def make_config(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """Validate plain values, under current or older names, into a configuration. Raises ConfigError."""
    values = current_names(values)
    known = [f.name for f in fields(kind)]
    for key in values:
        if key not in known:
            raise ConfigError(
                f"there is no setting {key!r}.", field="config", value=key, nearest=nearest(str(key), known)
            )
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"{first['input']!r} is not valid: {first['msg']}.", field=name, value=first["input"]
        ) from None
