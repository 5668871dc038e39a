"""``cfgan train``: the generator, the verifier, the judge, the encoder, the prior."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cfgan_cli.options import BundleOption, Quiet, refuse_idle
from cfgan_cli.output import Force, console, exit_codes, message, name_left_out, percent, progress_bar
from cfgan_cli.tables import new_table, print_table

if TYPE_CHECKING:
    from cfgan.data.store import PackedDataset
    from cfgan.model.bundle import Bundle

app = typer.Typer(help="Training: gan, verifier, judge, encoder, prior.", no_args_is_help=True)

Data = Annotated[Path, typer.Option("--data", help="A packed store.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="The run's folder; an unfinished run in it goes on.")]
Config = Annotated[str | None, typer.Option(help="A YAML file of settings, or the name of a shipped recipe.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="key=value; wins over the file. Repeatable.")]


def _list_settings(kind: str) -> Callable[[bool], None]:
    """What prints the settings of a configuration, by its class's name, and leaves."""

    def show(asked: bool) -> None:
        if not asked:
            return
        from rich.markup import escape
        from rich.table import Table

        import cfgan.training.config
        from cfgan.training.settings import describe_settings

        table = Table(box=None, pad_edge=False)
        for title in ("setting", "values", "default", "unit", "meaning"):
            table.add_column(title, no_wrap=title == "setting")
        for setting in describe_settings(getattr(cfgan.training.config, kind)):
            table.add_row(*(escape(cell) for cell in vars(setting).values()))
        print_table(table)
        raise typer.Exit

    return show


def _settings_help(kind: str) -> Any:
    text = "List the settings of --config and --set with values, default and unit, and exit."
    return typer.Option("--help-settings", callback=_list_settings(kind), is_eager=True, help=text)


@app.command("gan")
def gan(
    data: Data,
    out: Out,
    config: Config = None,
    settings: Settings = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Bundle to start from, by name or folder: fine-tuning.")
    ] = None,
    change: Annotated[
        bool, typer.Option("--change", help="Go on with a run under other settings; noted in changes.jsonl.")
    ] = False,
    help_settings: Annotated[bool, _settings_help("GanConfig")] = False,
    quiet: Quiet = False,
) -> None:
    """Train generator and discriminator. Ctrl-C saves; the same command goes on.

    With --from, settings of the networks' shape (width, refine and so on) are the bundle's where none are given;
    images of twice its side give its networks one block more.
    """
    with exit_codes():
        from cfgan.data.store import open_store
        from cfgan.training.config import GanConfig, load_config
        from cfgan.training.gan import train_gan

        more = [] if start is None else [f"start={json.dumps(start)}"]
        given = [*(settings or ()), *more]
        resolved = load_config(GanConfig, file=_recipe(config), settings=given)
        store = open_store(data)
        if resolved.start and (bundle := _start(resolved.start, out)) is not None:
            from cfgan.training.growth import growth_sentence
            from cfgan.training.networks import gan_shape
            from cfgan.training.transfer import Fit, shape_settings
            from cfgan.training.widening import heads_sentence, widening_sentence

            base = shape_settings(bundle, store.size)
            resolved = load_config(GanConfig, file=_recipe(config), settings=given, base=base)
            if not quiet and not (out / "config.yaml").exists():
                message(
                    f"The run starts from {bundle.name}: it {Fit.of(store.vocabulary, bundle.vocabulary).sentence}."
                )
                shape = gan_shape(resolved, len(store.vocabulary), store.size)
                for sentence in (
                    growth_sentence(bundle, store.size),
                    widening_sentence(bundle, shape),
                    heads_sentence(bundle, resolved.features, resolved.features_side),
                ):
                    if sentence:
                        message(sentence)
        if not quiet and resolved.guide and not (out / "config.yaml").exists():
            text = (
                f"{resolved.guide} guides this generator, so its verifier and its judge have to be other classifiers."
            )
            message(text)
        with progress_bar(quiet=quiet, unit="images") as progress:
            train_gan(
                store,
                out,
                resolved,
                progress,
                change=change,
            )
    _done(out, quiet)


@app.command("verifier")
def verifier(
    data: Data,
    out: Out,
    config: Config = None,
    settings: Settings = None,
    help_settings: Annotated[bool, _settings_help("ClassifierConfig")] = False,
    quiet: Quiet = False,
) -> None:
    """Train an attribute classifier. Ctrl-C saves; the same command goes on.

    It ends with what the classifier reads in the validation images, and warns of attributes that it did not learn.
    """
    with exit_codes():
        from cfgan.data.store import open_store
        from cfgan.training.classifier import train_classifier
        from cfgan.training.config import ClassifierConfig, load_config

        resolved = load_config(ClassifierConfig, file=_recipe(config), settings=settings or ())
        store = open_store(data)
        with progress_bar(quiet=quiet, unit="images") as progress:
            _warn(store)
            train_classifier(store, out, resolved, progress)
        _show_learned(out, quiet)
    _done(out, quiet)


@app.command("judge")
def judge(
    data: Data,
    out: Out,
    config: Config = None,
    settings: Settings = None,
    nsfwjs: Annotated[
        Path | None,
        typer.Option(
            envvar="CFGAN_NSFWJS", help="The unpacked npm package nsfwjs@4.4.0, for --set trunk=mobilenet-v2."
        ),
    ] = None,
    help_settings: Annotated[bool, _settings_help("JudgeConfig")] = False,
    quiet: Quiet = False,
) -> None:
    """Train a judge: a head on frozen ImageNet features that only reports. Ctrl-C saves; the same command goes on."""
    with exit_codes():
        from cfgan.data.store import open_store
        from cfgan.training.config import JudgeConfig, load_config
        from cfgan.training.judge import train_judge

        resolved = load_config(JudgeConfig, file=_recipe(config), settings=settings or ())
        store = open_store(data)
        with progress_bar(quiet=quiet, unit="images") as progress:
            _warn(store)
            train_judge(store, out, resolved, progress, nsfwjs=nsfwjs)
        _show_learned(out, quiet)
    _done(out, quiet)


@app.command("encoder")
def encoder(
    data: Data,
    out: Out,
    bundle: BundleOption,
    config: Config = None,
    settings: Settings = None,
    help_settings: Annotated[bool, _settings_help("EncoderConfig")] = False,
    quiet: Quiet = False,
) -> None:
    """Train an encoder, from which `cfgan project` begins its search. Ctrl-C saves; the same command goes on.

    It learns to guess what makes the bundle's generator draw a photo; `cfgan bundle add-encoder` puts it there.
    """
    with exit_codes():
        from cfgan.data.store import open_store
        from cfgan.model.bundle import open_bundle
        from cfgan.training.config import EncoderConfig, load_config
        from cfgan.training.encoder import train_encoder

        resolved = load_config(EncoderConfig, file=_recipe(config), settings=settings or ())
        opened, store = open_bundle(bundle), open_store(data)
        with progress_bar(quiet=quiet, unit="images") as progress:
            train_encoder(opened, store, out, resolved, progress)
    _done(out, quiet)


@app.command("prior")
def prior(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", "-o", help="The prior's file (.safetensors).")],
    data: Annotated[Path | None, typer.Option("--data", help="A packed store: its train split is used.")] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Labels alone: any label table; its train split is used, where it has one."),
    ] = None,
    force: Force = False,
    rows: Annotated[int | None, typer.Option(min=1, help="Of --labels: use the first so many rows only.")] = None,
    quiet: Quiet = False,
) -> None:
    """Fit the model of which attributes go together."""
    with exit_codes():
        from cfgan.data.source import open_source
        from cfgan.data.sources.base import Options
        from cfgan.errors import InputError
        from cfgan.training.prior import fit_prior, prior_file, write_prior

        if (data is None) == (labels is None):
            raise InputError("give either --data or --labels.", field="--data")
        if labels is None:
            refuse_idle(context, "without --labels", "rows")
        target = prior_file(out, force=force)
        if labels is not None:
            source = open_source(labels, Options(field="--labels"))
        else:
            source = open_source(Path(str(data)), Options(field="--data"))
        name_left_out(source.left_out)
        table = source.train_labels()[: rows if labels is not None else None]
        with progress_bar(quiet=quiet, unit="steps") as progress:
            fitted = fit_prior(source.vocabulary, table, progress=progress)
        write_prior(fitted, target)
    if not quiet:
        text = f"{out}: {len(source.vocabulary)} attributes, fitted on {fitted.rows:,} label rows"
        console().print(text, markup=False, soft_wrap=True)


def _start(name: str, run: Path) -> Bundle | None:
    """The bundle that a run starts from; None if it is gone and the run, which has long begun, can do without."""
    from cfgan.errors import InputError
    from cfgan.model.bundle import open_bundle

    try:
        return open_bundle(name)
    except InputError:
        if (run / "config.yaml").exists():
            return None
        raise


def _recipe(name: str | None) -> Path | None:
    """A path as it is, or the shipped recipe of that name."""
    if name is None or Path(name).is_file():
        return None if name is None else Path(name)
    import cfgan.training
    from cfgan.errors import ConfigError, nearest

    folder = Path(next(iter(cfgan.training.__path__))) / "recipes"
    shipped = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if name not in shipped:
        raise ConfigError(
            f"there is no file and no recipe {name!r}.", field="--config", value=name, nearest=nearest(name, shipped)
        )
    return shipped[name]


def _warn(store: PackedDataset) -> None:
    for sentence in store.untaught():
        message(f"Warning: {sentence}.", style="yellow")


def _show_learned(out: Path, quiet: bool) -> None:
    """The table of what a classifier has learned, and a warning for each attribute that it has not."""
    from rich.markup import escape

    from cfgan.training.learned import what_was_learned

    learned = what_was_learned(out)
    if learned and not quiet:
        table = new_table("validation images", "with it", "without", "balanced accuracy", "ROC AUC")
        for name, row in learned.items():
            auc = "-" if math.isnan(row.auc) else f"{row.auc:.3f}"
            cells = f"{row.positives:,}", f"{row.negatives:,}", percent(row.balanced_accuracy), auc
            table.add_row(escape(name), *cells)
        print_table(table)
    for name, row in learned.items():
        if row.problem:
            message(f"Warning: {name} was not learned as far as can be seen: {row.problem}.", style="yellow")


def _done(out: Path, quiet: bool) -> None:
    if not quiet:
        message(f"{out}: done")
