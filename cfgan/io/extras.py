"""Packages that only some work needs: asked for before the work begins, and named with the extra that brings them."""

from __future__ import annotations

import importlib.util

from cfgan.errors import InputError


def require_package(
    package: str,
    extra: str,
    what: str,
    *,
    field: str,
    value: object = None,
    error: type[InputError] = InputError,
) -> None:
    """Raise ``error`` unless a package is installed.

    Args:
        package: as it is imported and installed.
        extra: of cfgan, that brings it.
        what: needs it.
        field, value: for the error.
        error: its kind.
    """
    if importlib.util.find_spec(package) is None:
        raise error(f'{what} needs {package}: pip install "cfgan[{extra}]".', field=field, value=value)


def require_pyarrow(*, field: str, value: object = None, error: type[InputError] = InputError) -> None:
    """Raise ``error`` unless Parquet files can be read and written."""
    require_package("pyarrow", "parquet", "Parquet", field=field, value=value, error=error)
