"""``cfgan train``: the generator, the verifier, the judge, the prior."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cfgan_cli.output import Force, console, exit_codes, message, progress_bar

if TYPE_CHECKING:
    from cfgan.data.store import PackedDataset

app = typer.Typer(help="Training: gan, verifier, judge, prior.", no_args_is_help=True)

Data = Annotated[Path, typer.Option("--data", help="A packed store.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="The run's folder; an unfinished run in it goes on.")]
Config = Annotated[str | None, typer.Option(help="A YAML file of settings, or the name of a shipped recipe.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="key=value; wins over the file. Repeatable.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors.")]


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
    quiet: Quiet = False,
) -> None:
    """Train generator and discriminator. Ctrl-C saves; the same command goes on."""
    with exit_codes():
        from cfgan.data.store import open_store
        from cfgan.training.config import GanConfig, load_config
        from cfgan.training.gan import train_gan

        more = [] if start is None else [f"start={json.dumps(start)}"]
        resolved = load_config(GanConfig, file=_recipe(config), settings=[*(settings or ()), *more])
        store = open_store(data)
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
def verifier(data: Data, out: Out, config: Config = None, settings: Settings = None, quiet: Quiet = False) -> None:
    """Train an attribute classifier. Ctrl-C saves; the same command goes on."""
    with exit_codes():
        from cfgan.data.store import open_store
        from cfgan.training.classifier import train_classifier
        from cfgan.training.config import ClassifierConfig, load_config

        resolved = load_config(ClassifierConfig, file=_recipe(config), settings=settings or ())
        store = open_store(data)
        with progress_bar(quiet=quiet, unit="images") as progress:
            _warn(store)
            train_classifier(store, out, resolved, progress)
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
    _done(out, quiet)


@app.command("prior")
def prior(
    out: Annotated[Path, typer.Option("--out", "-o", help="The prior's file (.safetensors).")],
    data: Annotated[Path | None, typer.Option("--data", help="A packed store: its train split is used.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels alone: list_attr_celeba.txt, or a CSV with a file name and 0/1 columns.")
    ] = None,
    force: Force = False,
    rows: Annotated[int | None, typer.Option(min=1, help="Of --labels: use the first so many rows only.")] = None,
    quiet: Quiet = False,
) -> None:
    """Fit the model of which attributes go together."""
    with exit_codes():
        from cfgan.errors import InputError
        from cfgan.training.prior import fit_prior, prior_file, read_label_table, write_prior

        if (data is None) == (labels is None):
            raise InputError("give either --data or --labels.", field="--data")
        target = prior_file(out, force=force)
        if labels is not None:
            vocabulary, table = read_label_table(labels, rows)
        else:
            from cfgan.data.store import open_store

            store = open_store(Path(str(data)))
            vocabulary, table = store.vocabulary, store.labels[store.rows("train")]
        with progress_bar(quiet=quiet, unit="steps") as progress:
            fitted = fit_prior(vocabulary, table, progress=progress)
        write_prior(fitted, target)
    if not quiet:
        text = f"{out}: {len(vocabulary)} attributes, fitted on {fitted.rows:,} label rows"
        console().print(text, markup=False, soft_wrap=True)


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


def _done(out: Path, quiet: bool) -> None:
    if not quiet:
        message(f"{out}: done")
