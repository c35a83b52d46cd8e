"""gather: shards of a vision stage -> one table.

The rows of each shard follow those of the one before. The metadata of the table are those that the shards share, with
their counts added up, and say nothing of the shards: the table has the same bytes for any number of them. A single
shard is not copied: the table is a link to it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita.errors import UserError
from ita.io import parquet
from ita.io.files import atomic
from ita.io.schemas import SCHEMAS
from ita.log import log


def work(settings: dict[str, Any], shards: Sequence[Path], output: Path) -> None:
    """Writes the rows of all shards, or a link to a single one.

    Args:
        settings: ``gather``; the number of shards follows from the files.
        shards: tables of one vision stage, in order.
        output: table to write.

    Raises:
        UserError: for a file that is no shard, or one that was made in another way than the first.
    """
    if not shards:
        raise UserError("no shards are given")
    name = parquet.metadata(shards[0]).get("table", "")
    if name not in SCHEMAS:
        raise UserError(f"{shards[0]}: expected a shard of a vision stage, found a Parquet file of another origin")
    if len(shards) == 1:
        link(name, shards[0], output)
    else:
        concatenate(name, shards, output)


def link(name: str, shard: Path, output: Path) -> None:
    """Makes a single shard the table ``name``. Raises as ``work`` does."""
    parquet.check(name, shard)
    with atomic(output) as part:
        # Not a hard link: Snakemake touches its outputs, and what was made from the shard would look outdated.
        part.symlink_to(os.path.relpath(shard, output.parent))
    log.info("gather: %s of one shard is that shard", name)


def concatenate(name: str, shards: Sequence[Path], output: Path) -> None:
    """Writes the rows of several shards of the table ``name``. Raises as ``work`` does."""
    counts: Counter[str] = Counter()
    shared: dict[str, Any] = {}
    with parquet.create(name, output) as table:
        for shard in shards:
            table.add(parquet.stream(name, shard))
            metadata = parquet.metadata(shard)
            counts.update(metadata.pop("counts", {}))
            shared = shared or metadata
            differing = [key for key in sorted({*metadata, *shared}) if metadata.get(key) != shared.get(key)]
            if differing:
                raise UserError(
                    f"{shard}: was made in another way than {shards[0]} ({', '.join(differing)}); make both again"
                )
        table.metadata = {**shared, "counts": dict(counts)}
    log.info("gather: %s of %d shards: %s", name, len(shards), dict(counts))
