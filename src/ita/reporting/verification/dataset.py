"""The folder of a data set's results: posts, contexts, regions and runs, each read once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ita.data.evaluation_inputs import evaluation_hashes
from ita.data.visual_context import VisualContext
from ita.errors import UserError
from ita.io import parquet
from ita.io.features import load_features
from ita.io.files import sha256

POSTS = "posts.parquet"


class DataSet:
    """Results of a data set.

    Attributes:
        folder: such as results/twitter17.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hashes: dict[Path, str] = {}
        self._evaluations: dict[tuple[Any, ...], dict[str, dict[str, str]]] = {}

    @cached_property
    def posts(self) -> list[dict[str, Any]]:
        """Rows of posts.parquet."""
        columns = ["post_id", "split", "image_id", "tokens", "tags"]
        return parquet.read("posts", self.folder / POSTS, columns).to_pylist()

    @cached_property
    def by_split(self) -> dict[str, list[dict[str, Any]]]:
        """The same by split."""
        splits: dict[str, list[dict[str, Any]]] = {}
        for post in self.posts:
            splits.setdefault(post["split"], []).append(post)
        return splits

    @cached_property
    def label_version(self) -> str | None:
        """Label version of the posts."""
        return parquet.metadata(self.folder / POSTS).get("label_version")

    def sha256(self, file: Path) -> str:
        """SHA-256 of a file, computed once."""
        if file not in self._hashes:
            self._hashes[file] = sha256(file)
        return self._hashes[file]

    def relative(self, file: Path) -> str:
        """Name of a file in the folder, for reading."""
        return file.relative_to(self.folder).as_posix() if file.is_relative_to(self.folder) else str(file)

    def target(self, file: Path) -> str:
        """What Snakemake is asked for to make a file again."""
        name = self.relative(file)
        return f"results/{self.folder.name}/{'paper' if name.split('/')[0] == 'paper' else name}"

    def context_file(self, system: dict[str, Any]) -> Path:
        """The context table that a system reads."""
        return self.folder / "contexts" / f"{system.get('context') or 'none'}.parquet"

    def region_files(self, system: dict[str, Any], names: Sequence[str]) -> dict[str, Path]:
        """Files of regions by the names of a run's record: ``1-of-2.parquet``, ``objects/1-of-2.parquet``."""
        detector = str(system.get("regions"))
        return {
            name: self.folder / ("objects" if name.startswith("objects/") else "features") / detector / Path(name).name
            for name in names
        }

    def evaluation(self, system: dict[str, Any], splits: Sequence[str], regions: dict[str, Path]) -> Any:
        """``evaluation_hashes`` of what a system reads now.

        Raises:
            UserError: for a table that is missing or lacks a post.
        """
        file = self.context_file(system)
        key = (file, *splits, *regions.values())
        if key not in self._evaluations:
            self._evaluations[key] = self._evaluate(file, splits, regions)
        return self._evaluations[key]

    def _evaluate(self, file: Path, splits: Sequence[str], regions: dict[str, Path]) -> dict[str, dict[str, str]]:
        rows = parquet.read("contexts", file, ["post_id", "tokens", "kinds"]).to_pylist()
        contexts = {row["post_id"]: VisualContext(row["tokens"], row["kinds"]) for row in rows}
        posts = [post for split in splits for post in self.by_split.get(split, [])]
        if missing := [post["post_id"] for post in posts if post["post_id"] not in contexts]:
            raise UserError(f"{file}: has no row for the post {missing[0]!r}; it was made from other posts")
        objects = [path for name, path in regions.items() if name.startswith("objects/")]
        shards = [path for name, path in regions.items() if not name.startswith("objects/")]
        images = {post["image_id"] for post in posts if post["image_id"]}
        # A width is needed only where no image has a region; the vectors are none then, whatever it is.
        features = load_features(shards, images, objects, 1) if shards else None
        return evaluation_hashes(posts, contexts, features, splits)
