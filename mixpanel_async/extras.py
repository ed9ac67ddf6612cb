"""Packages that only some methods need, and that are imported when one is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def need(method: str, module: str, package: str | None = None) -> Any:  # noqa: ANN401 - a module
    """Return a module; `package` is what installs it, if that has another name.

    Raises:
        ModuleNotFoundError: it is not installed; the message has the command.
    """
    try:
        return import_module(module)
    except ImportError:
        raise ModuleNotFoundError(f'{method} needs {module}: pip install "{package or module}".') from None


def need_pyarrow(method: str) -> Any:  # noqa: ANN401 - a module
    """As `need`, for pyarrow, which is an extra of this library."""
    return need(method, "pyarrow", "mixpanel-async[pyarrow]")
