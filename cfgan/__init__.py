"""cfgan: attribute-controlled face generation that proves what it made.

::

    import cfgan

    model = cfgan.load("celeba128")
    faces = model.generate("Male,Eyeglasses", count=16, seed=1)
    faces[0].image.save("first.png")

What ``__all__`` names is public and stays as it is within a major version; everything else may change. A name is
loaded when it is first used, and torch when something is first computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfgan.version import __version__ as __version__

if TYPE_CHECKING:
    from cfgan.api.client import RemoteModel, connect
    from cfgan.api.faces import Batch, Face, Faces
    from cfgan.api.model import Model, load
    from cfgan.api.readings import Readings
    from cfgan.api.reports import Report, Score, report, score
    from cfgan.api.shards import write_shards
    from cfgan.data.image_dataset import ImageDataset
    from cfgan.data.read.columns import Columns
    from cfgan.data.table import LabelTable, read_labels
    from cfgan.errors import (
        BundleError,
        CfganError,
        CfganWarning,
        ConfigError,
        DataError,
        FolderError,
        InputError,
        RequestError,
        SpecError,
        StoppedError,
        StorageError,
        TrainingError,
        VocabularyError,
    )
    from cfgan.generate.projection.result import Projection

_HOME = {
    "cfgan.api.client": ("RemoteModel", "connect"),
    "cfgan.api.faces": ("Batch", "Face", "Faces"),
    "cfgan.api.model": ("Model", "load"),
    "cfgan.api.readings": ("Readings",),
    "cfgan.api.reports": ("Report", "Score", "report", "score"),
    "cfgan.api.shards": ("write_shards",),
    "cfgan.data.image_dataset": ("ImageDataset",),
    "cfgan.data.read.columns": ("Columns",),
    "cfgan.data.table": ("LabelTable", "read_labels"),
    "cfgan.errors": (
        *("BundleError", "CfganError", "CfganWarning", "ConfigError", "DataError", "FolderError", "InputError"),
        *("RequestError", "SpecError", "StoppedError", "StorageError", "TrainingError", "VocabularyError"),
    ),
    "cfgan.generate.projection.result": ("Projection",),
}

__all__ = [  # noqa: F822 - loaded by __getattr__
    "Batch",
    "BundleError",
    "CfganError",
    "CfganWarning",
    "Columns",
    "ConfigError",
    "DataError",
    "Face",
    "Faces",
    "FolderError",
    "ImageDataset",
    "InputError",
    "LabelTable",
    "Model",
    "Projection",
    "Readings",
    "RemoteModel",
    "Report",
    "RequestError",
    "Score",
    "SpecError",
    "StoppedError",
    "StorageError",
    "TrainingError",
    "VocabularyError",
    "connect",
    "load",
    "read_labels",
    "report",
    "score",
    "write_shards",
]

if not TYPE_CHECKING:  # checkers take the names from above, so that a wrong one is still an error

    def __getattr__(name: str) -> object:
        from importlib import import_module

        for home, names in _HOME.items():
            if name in names:
                value = globals()[name] = getattr(import_module(home), name)
                return value
        raise AttributeError(f"module 'cfgan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
