"""Multi-modal named-entity recognition by image-text alignments (Wang et al., NAACL 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ita.tagging.tagger import Tagger

__all__ = ["Tagger", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Imports the tagger when it is first used."""
    if name == "Tagger":
        from ita.tagging.tagger import Tagger

        return Tagger
    raise AttributeError(f"module 'ita' has no attribute {name!r}")
