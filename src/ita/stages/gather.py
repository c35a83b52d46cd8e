"""gather: shards of a vision stage -> one table.

The rows of each shard stand after those of the one before. The table says what each shard says, with their counts added
up, and nothing of the shards themselves: it is the same, byte for byte, for any number of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita.errors import UserError
from ita.io import parquet
from ita.io.schemas import SCHEMAS
from ita.log import log


def work(settings: dict[str, Any], shards: Sequence[Path], output: Path) -> None:
    """Writes the rows of all shards.

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
    counts: Counter[str] = Counter()
    with parquet.create(name, output) as out:
        for shard in shards:
            out.add(parquet.stream(name, shard))
            about = {key: value for key, value in parquet.metadata(shard).items() if key != "table"}
            counts.update(about.pop("counts", {}))
            if out.metadata and about != out.metadata:
                differing = ", ".join(
                    sorted(key for key in {*about, *out.metadata} if about.get(key) != out.metadata.get(key))
                )
                raise UserError(f"{shard}: was made in another way than {shards[0]} ({differing}); make both again")
            out.metadata = about
        out.metadata = {**out.metadata, "counts": dict(counts)}
    log.info("gather: %s of %d shards: %s", name, len(shards), dict(counts))
