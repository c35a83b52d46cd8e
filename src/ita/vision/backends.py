"""Backends by name: a registry maps the name in the settings to the class that does the work.

A registry holds addresses ("package.module:Class") instead of classes, so that a stage imports only the libraries of
the backend that it runs.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from ita.errors import UserError


def load_backend(backends: Mapping[str, str], name: str, setting: str) -> Any:
    """Imports the class of a backend.

    Args:
        backends: backend name -> "package.module:Class".
        name: the backend that the settings name.
        setting: the setting that names it, for messages: ``detect.backend``.

    Returns:
        The class.

    Raises:
        UserError: when there is no backend of that name.
    """
    if name not in backends:
        raise UserError(f"setting {setting}: unknown backend '{name}'; expected one of {', '.join(sorted(backends))}")
    module, _, attribute = backends[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
