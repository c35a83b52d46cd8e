"""Backends by name."""

from __future__ import annotations

from typing import Any, cast

from ita.config import Knowledge
from ita.knowledge.types import Backend
from ita.vision.backends import load_backend

BACKENDS = {
    "openai": "ita.knowledge.chat:ChatBackend",
    "transformers": "ita.knowledge.local:LocalModel",
    "template": "ita.knowledge.filled:FilledTemplate",
}


def build_backend(settings: Knowledge) -> Backend:
    """The backend of the settings, its model loaded.

    Raises:
        UserError: when it cannot be used.
    """
    return cast(Backend, load_backend(BACKENDS, settings.backend, "knowledge.backend")(settings))


def identity_of(settings: Knowledge) -> dict[str, Any]:
    """What answers depend on beside their prompts, as far as it is known without loading a model.

    That of a model in this process holds the hashes of its weights, which only loading it tells.
    """
    if settings.backend == "openai":
        names = ("model", "revision", "request")
        return {"backend": "openai", **{name: getattr(settings, name) for name in names}}
    return {"backend": settings.backend}
