"""Training settings say what they mean, and the command line prints it."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cfgan.training.config import ClassifierConfig, EncoderConfig, GanConfig, JudgeConfig, make_config, to_dict
from cfgan.training.settings import describe_settings
from cfgan_cli.app import app

KINDS = {"gan": GanConfig, "verifier": ClassifierConfig, "judge": JudgeConfig, "encoder": EncoderConfig}


@pytest.mark.parametrize("command", KINDS)
def test_every_setting_is_printed_with_its_meaning(command: str) -> None:
    run = CliRunner().invoke(app, ["train", command, "--help-settings"], env={"COLUMNS": "400"})
    assert run.exit_code == 0, run.output
    for setting in describe_settings(KINDS[command]):
        assert setting.meaning and setting.values, setting.name
        (line,) = (line for line in run.stdout.splitlines() if line.split(maxsplit=1)[0] == setting.name)
        assert setting.meaning in line and setting.default in line


def test_what_is_printed_is_what_is_checked() -> None:
    described = {setting.name: setting for setting in describe_settings(GanConfig)}
    assert list(described) == list(to_dict(make_config(GanConfig, {})))
    assert described["learning_rate_hold"].values == "number from 0 to 1"
    assert described["loss"].values == "hinge, relativistic"
    assert described["features_side"].values == "whole number from 32, a multiple of 16"
    assert (described["images"].unit, described["guide"].default) == ("images", "null")
