"""gather: shards of a vision stage -> one table.

The rows of each shard follow those of the one before. The table says what each shard says, with their counts added up,
and nothing of the shards themselves: it is the same, byte for byte, for any number of them. A single shard is not
copied: the table is a link to it.
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
        settings: ``gather``; how many shards there are is told by their number.
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
        parquet.check(name, shards[0])
        with atomic(output) as link:
            # Not a hard link: Snakemake touches its outputs, and what was made from the shard would look outdated.
            link.symlink_to(os.path.relpath(shards[0], output.parent))
        log.info("gather: %s of one shard is that shard", name)
        return
    counts: Counter[str] = Counter()
    with parquet.create(name, output) as writer:
        for shard in shards:
            writer.add(parquet.stream(name, shard))
            metadata = {key: value for key, value in parquet.metadata(shard).items() if key != "table"}
            counts.update(metadata.pop("counts", {}))
            if writer.metadata and metadata != writer.metadata:
                keys = sorted({*metadata, *writer.metadata})
                differing = ", ".join(key for key in keys if metadata.get(key) != writer.metadata.get(key))
                raise UserError(f"{shard}: was made in another way than {shards[0]} ({differing}); make both again")
            writer.metadata = metadata
        writer.metadata = {**writer.metadata, "counts": dict(counts)}
    log.info("gather: %s of %d shards: %s", name, len(shards), dict(counts))
