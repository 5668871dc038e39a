"""Training configurations: frozen dataclasses from a recipe, a YAML file and ``key=value`` settings, fully validated.

Every setting says what it means and in which unit it is (`cfgan train gan --help-settings`). Progress is counted in
images seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from cfgan.errors import ConfigError, nearest
from cfgan.io.yaml import parse_yaml, read_text_limited

_STRICT = ConfigDict(extra="forbid")


def _setting(default: Any, meaning: str, unit: str = "") -> Any:
    """A setting's default, what it means, and in which unit it is."""
    return Field(default, description=meaning, json_schema_extra={"unit": unit})


_Share = Annotated[float, Field(ge=0, le=1)]
_Beta = Annotated[float, Field(ge=0, lt=1)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(gt=0)]
_Layer = Annotated[int, Field(gt=0, le=4096)]  # what a bundle may hold
_CountOrNone = Annotated[int, Field(ge=0)]


def _budget() -> Any:
    return _setting(0, "images seen in all, repeats counted; 0: as epochs and least_images say", "images")


def _epochs(default: float) -> Any:
    return _setting(default, "without images: how often each training image is seen")


def _least_images(default: int) -> Any:
    return _setting(default, "without images: seen at least, however few there are to train on", "images")


def _mirror() -> Any:
    return _setting(True, "half of the images are seen mirrored; not for digits, letters, or left and right")


def _seed() -> Any:
    return _setting(0, "same seed, same run")


def _threads() -> Any:
    return _setting(0, "CPU threads; 0: torch's choice", "threads")


def _device() -> Any:
    return _setting("auto", "auto, cpu, cuda or cuda:N")


@dataclass(frozen=True, config=_STRICT)
class ClassifierConfig:
    """How an attribute classifier (verifier, guidance classifier, judge) is trained."""

    images: _CountOrNone = _budget()
    epochs: _Positive = _epochs(25)
    least_images: _Count = _least_images(40_000)
    batch: _Count = _setting(64, "images a step", "images")
    widths: Annotated[tuple[_Count, ...], Field(min_length=2)] = _setting(
        (32, 64, 128, 256), "channels of the stages", "channels"
    )
    dropout: _Share = _setting(0.2, "share of the pooled features that is dropped", "share")
    learning_rate: _Positive = _setting(4e-3, "peak learning rate of AdamW")
    warmup_share: _Share = _setting(
        0.15, "share of all images over which the rate rises; then it falls along a cosine", "share"
    )
    weight_decay: _NotNegative = _setting(0.05, "of AdamW")
    ema_images: _NotNegative = _setting(20_000, "half-life of the weight average; 0: none", "images")
    shift_pixels: Annotated[int, Field(ge=0)] = _setting(4, "largest random shift in each direction", "pixels")
    brightness: _Share = _setting(0.25, "largest random change of brightness and of contrast, relative", "share")
    cutout_share: _Share = _setting(0.25, "side of the blanked square against the image's; 0: none", "share")
    mirror: bool = _mirror()
    seed: _CountOrNone = _seed()
    threads: _CountOrNone = _threads()
    device: str = _device()
    save_images: _Count = _setting(20_000, "between two saved states", "images")
    log_images: _Count = _setting(2_000, "between two lines of stats.jsonl", "images")


@dataclass(frozen=True, config=_STRICT)
class GanConfig:
    """How a generator and its discriminator are trained."""

    images: _CountOrNone = _budget()
    epochs: _Positive = _epochs(30)
    least_images: _Count = _least_images(60_000)
    batch: _Count = _setting(32, "images a step and a device", "images")
    family: Literal["dcgan", "residual"] = _setting("dcgan", "architecture of generator and discriminator")
    width: Annotated[int, Field(ge=4)] = _setting(
        40, "channels at half the final side; they double at each halving", "channels"
    )
    z_dim: _Count = _setting(128, "numbers in a latent")
    embed: _Count = _setting(128, "width of the modulation vector and of the discriminator's last features")
    upsample: Literal["resize", "transposed", "shuffle"] = _setting(
        "resize", "of the dcgan family; resize-convolution leaves no checkerboard (Odena et al. 2016)"
    )
    conditioning: Literal["both", "concat", "modulate"] = _setting(
        "both", "how the condition enters the generator: beside the latent, in every block, or both"
    )
    loss: Literal["hinge", "relativistic"] = _setting("relativistic", "adversarial loss")
    refine: tuple[_Count, ...] = _setting(
        (), "of the dcgan family: sides at which there is one more residual convolution", "pixels"
    )
    least_channels: _CountOrNone = _setting(
        0, "of the dcgan family's generator: channels at its finer sides, at least; 0: as width says", "channels"
    )
    spectral_norm: bool = _setting(False, "on the discriminator's weights (Miyato et al. 2018)")
    r1_gamma: _NotNegative = _setting(1.0, "weight of gamma/2 * |grad D(real)|^2")
    r2_gamma: _NotNegative = _setting(1.0, "weight of gamma/2 * |grad D(fake)|^2")
    penalty_steps: _Count = _setting(
        4, "the penalty is taken every so many steps, weighted up (Karras et al. 2020)", "steps"
    )
    penalty: Literal["exact", "finite"] = _setting("exact", "double backward, or its finite-difference form")
    attribute_weight: _NotNegative = _setting(1.0, "of the attribute head's loss")
    attribute_images: Literal["real", "both"] = _setting("real", "what the attribute head learns from")
    attribute_pull: _NotNegative = _setting(0.5, "how strongly the attribute head pulls the generator")
    start: str | None = _setting(None, "bundle whose generator and discriminator the run starts from; none: from noise")
    guide: str | None = _setting(
        None,
        "guidance classifier, which pulls the generator too: run folder of a trained one, or a bundle that keeps one",
    )
    guide_pull: _NotNegative = _setting(0.5, "how strongly the guidance classifier pulls the generator")
    features: str | None = _setting(
        None,
        "frozen features that more heads judge: efficientnet-lite0 (ImageNet, cfgan[evaluate]), or a classifier as "
        "for guide",
    )
    features_side: Annotated[int, Field(ge=32, multiple_of=16)] = _setting(
        64, "side to which efficientnet-lite0 sees images enlarged", "pixels"
    )
    feature_weight: _NotNegative = _setting(0.5, "of those heads' loss, against the image discriminator's")
    image_weight: _NotNegative = _setting(1.0, "of the image discriminator's loss; 0: a projected discriminator alone")
    rare_threshold: _Share = _setting(
        0.1, "repeat-factor sampling: values rarer than this are drawn more often; 0: off", "share"
    )
    learning_rate_generator: _Positive = _setting(2e-4, "of Adam")
    learning_rate_discriminator: _Positive = _setting(2e-4, "of Adam")
    warmup_images: _NotNegative = _setting(0, "over which both rates rise at the start of a run", "images")
    learning_rate_hold: _Share = _setting(
        1.0, "share of all images after which both rates begin to fall, along half a cosine", "share"
    )
    learning_rate_end: _Share = _setting(
        0.1, "what is left of the rates at the last image, as a share of them", "share"
    )
    beta1: _Beta = _setting(0.0, "of Adam")
    beta2: _Beta = _setting(0.99, "of Adam")
    ema_images: _NotNegative = _setting(10_000, "half-life of the weight average that ships; 0: none", "images")
    ema_more: tuple[_Count, ...] = _setting((), "half-lives of further averages that are kept beside it", "images")
    augment: tuple[Literal["color", "translate", "cutout", "flip"], ...] = _setting(
        ("color", "translate", "cutout"), "transforms of what the discriminator sees, reals and fakes alike"
    )
    augment_strength: _Share = _setting(1.0, "probability with which each transform is applied to an image", "share")
    mirror: bool = _setting(True, "half of the reals are seen mirrored; not for digits, letters, or left and right")
    augment_target: Annotated[float, Field(gt=0, lt=1)] | None = _setting(
        None,
        "adapt the strength until (D(train) - D(validation)) / (D(train) - D(fake)) is this (Karras et al. 2020); "
        "none: not",
        "share",
    )
    adapt_images: _Count = _setting(4_000, "between two adaptations", "images")
    adapt_speed: _Positive = _setting(200_000, "in which the strength can go from 0 to 1", "images")
    seed: _CountOrNone = _seed()
    threads: _CountOrNone = _threads()
    device: str = _device()
    capture: bool = _setting(
        False, "record the step once as CUDA graphs and replay it: small networks wait for launches otherwise; one GPU"
    )
    bfloat16: bool = _setting(True, "on a GPU: both networks compute in bfloat16, the penalties in full precision")
    save_images: _Count = _setting(20_000, "between two saved states", "images")
    sample_images: _Count = _setting(20_000, "between two sample grids", "images")
    log_images: _Count = _setting(640, "between two lines of stats.jsonl", "images")
    tensorboard: bool = _setting(False, "write TensorBoard events as well (extra: cfgan[tensorboard])")


@dataclass(frozen=True, config=_STRICT)
class JudgeConfig:
    """How the head of a judge is trained on frozen features."""

    images: _CountOrNone = _budget()
    epochs: _Positive = _epochs(8)
    least_images: _Count = _least_images(20_000)
    batch: _Count = _setting(128, "images a step", "images")
    trunk: Literal["efficientnet-lite0", "mobilenet-v2"] = _setting("efficientnet-lite0", "the frozen network")
    side: Annotated[int, Field(ge=32, multiple_of=16)] = _setting(
        96, "to which images are enlarged before the frozen network", "pixels"
    )
    width: _Count = _setting(64, "after the head's first layer", "channels")
    hidden: _Count = _setting(256, "length of the features before the last layer")
    dropout: Annotated[float, Field(ge=0, lt=1)] = _setting(0.3, "before each linear layer", "share")
    learning_rate: _Positive = _setting(3e-3, "peak learning rate of AdamW")
    warmup_share: _Share = _setting(
        0.3, "share of all images over which the rate rises; then it falls along a cosine", "share"
    )
    weight_decay: _NotNegative = _setting(0.05, "of AdamW")
    mirror: bool = _mirror()
    seed: _CountOrNone = _seed()
    threads: _CountOrNone = _threads()
    device: str = _device()
    log_images: _Count = _setting(20_000, "between two lines of stats.jsonl", "images")


@dataclass(frozen=True, config=_STRICT)
class EncoderConfig:
    """How an encoder is trained, which guesses what makes a generator draw a photo."""

    images: _CountOrNone = _budget()
    epochs: _Positive = _epochs(30)
    least_images: _Count = _least_images(60_000)
    batch: _Count = _setting(32, "images a step", "images")
    width: _Layer = _setting(32, "after the first layer; it doubles at each halving of the side", "channels")
    most_channels: _Layer = _setting(192, "no layer has more", "channels")
    hidden: _Layer = _setting(256, "length of the features that latent and modulation vectors are read from")
    drawn_share: _Share = _setting(0.25, "share of the images that the generator has drawn", "share")
    latent_pull: _NotNegative = _setting(0.1, "towards latents as they are drawn, on their mean square")
    learning_rate: _Positive = _setting(1e-3, "peak learning rate of AdamW")
    warmup_share: _Share = _setting(
        0.05, "share of all images over which the rate rises; then it falls along a cosine", "share"
    )
    weight_decay: _NotNegative = _setting(0.01, "of AdamW")
    ema_images: _NotNegative = _setting(10_000, "half-life of the weight average; 0: none", "images")
    mirror: bool = _mirror()
    seed: _CountOrNone = _seed()
    threads: _CountOrNone = _threads()
    device: str = _device()
    save_images: _Count = _setting(20_000, "between two saved states", "images")
    log_images: _Count = _setting(2_000, "between two lines of stats.jsonl", "images")


OLD_NAMES = {
    "rate": "learning_rate",
    **{f"rate_{part}": f"learning_rate_{part}" for part in ("generator", "discriminator", "hold", "end")},
}
"""What settings were called in older files -> what they are called now."""

AnyConfig = ClassifierConfig | GanConfig | JudgeConfig | EncoderConfig
Config = TypeVar("Config", ClassifierConfig, GanConfig, JudgeConfig, EncoderConfig)


def with_budget(config: Config, count: int) -> Config:
    """The configuration for ``count`` training images: where ``images`` is 0, it becomes what the epochs come to."""
    if config.images:
        return config
    return replace(config, images=max(config.least_images, round(config.epochs * count)))


def to_dict(config: AnyConfig) -> dict[str, Any]:
    """Plain values, ready for YAML or JSON."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}


def load_config(
    kind: type[Config],
    *,
    file: Path | None = None,
    settings: Sequence[str] = (),
    base: Mapping[str, Any] | None = None,
) -> Config:
    """Build a configuration from its defaults, then ``base``, then a YAML file, then ``key=value`` settings.

    Args:
        kind: ClassifierConfig, GanConfig, JudgeConfig or EncoderConfig.
        file: YAML mapping of some of its fields.
        settings: as given to ``--set``; values are read as YAML.
        base: values that count where neither file nor settings say otherwise.

    Raises:
        ConfigError: an unknown key (with the nearest), a malformed setting or a value out of range.
    """
    values: dict[str, Any] = dict(base or {})
    if file is not None:
        loaded = parse_yaml(read_text_limited(file, field="config"), name=str(file), field="config")
        if not isinstance(loaded, Mapping):
            raise ConfigError(f"{file} does not hold settings as key: value.", field="config", value=file)
        values.update(current_names(loaded))
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
