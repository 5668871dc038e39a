"""The commands of ``cfgan``. Nothing here or in the modules it imports at start-up loads torch."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Annotated

import typer

from cfgan.version import __version__
from cfgan_cli import (
    attributes,
    balance,
    batch,
    bundle,
    data,
    evaluate,
    generate,
    project,
    report,
    serve,
    spec,
    testset,
    train,
    verify,
)
from cfgan_cli.help import Command, Group

# Read by OpenMP when torch is loaded later: threads that wait for each other sleep instead of spinning, so that
# encoding and writing images get the processor meanwhile. On two cores the main job ran 15 % faster.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = typer.Typer(
    name="cfgan",
    help="Faces by attribute, with proof of what is in them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    cls=Group,
    rich_markup_mode=None,  # its boxes cut long names of options
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("generate")(generate.generate)
app.command("attributes")(attributes.attributes)
app.command("evaluate", cls=Command)(evaluate.evaluate)
app.command("verify")(verify.verify)
app.command("project")(project.project)
app.command("balance")(balance.balance)
app.command("serve")(serve.serve)
app.add_typer(spec.app, name="spec", cls=Group)
app.add_typer(batch.app, name="batch", cls=Group)
app.add_typer(report.app, name="report", cls=report.BatchByDefault)
app.add_typer(testset.app, name="testset", cls=Group)
app.add_typer(bundle.app, name="bundle", cls=Group)
app.add_typer(data.app, name="data", cls=Group)
app.add_typer(train.app, name="train", cls=Group)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"cfgan {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Faces by attribute, with proof of what is in them."""


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """The app with the one command that is called, where the first argument names it: the rest need not be built."""
    called = copy.copy(app)
    called.registered_commands = [each for each in app.registered_commands if each.name in arguments[:1]]
    called.registered_groups = [each for each in app.registered_groups if each.name in arguments[:1]]
    return called if called.registered_commands or called.registered_groups else app
