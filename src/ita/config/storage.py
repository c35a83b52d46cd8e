"""Settings that name results, where results are kept on storage (S3) and jobs work on local copies."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

MADE = "results/"
"""What lies below is made by the pipeline, so it need not be there yet."""
STORAGE = "ITA_STORAGE"
"""Environment variable: folder in which results on storage have their local copies."""


def with_local_copies(value: Any) -> Any:
    """Settings of a job, each result by the path of its local copy; as they are where results lie on this machine."""
    folder = os.environ.get(STORAGE)
    if not folder:
        return value
    if isinstance(value, str):
        return os.path.join(folder, value) if value.startswith(MADE) else value
    if isinstance(value, Mapping):
        return {key: with_local_copies(item) for key, item in value.items()}
    return [with_local_copies(item) for item in value] if isinstance(value, list) else value
