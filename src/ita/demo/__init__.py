"""The synthetic data set ``demo``: posts, their images, and the small models that it ships with."""

from pathlib import Path

SHIPPED_MODELS = Path(__file__).parent / "weights"
"""Folder of the trained detector and captioner, and of the record of their training."""
