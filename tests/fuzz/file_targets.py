"""Binary files: images, archives, the project's own tables, models."""

import json
import shutil
from random import Random

from tests.fuzz import inputs
from tests.fuzz.base import Target, expect
from tests.fuzz.mutations import mutate_json


class Images(Target):
    """Image files: one verdict of download and of every later stage."""

    kinds = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF")

    def sample(self, random):
        return inputs.picture(self.kind, random)

    def read(self, data):
        from ita.download.verify import set_pixel_limit, verify_image
        from ita.errors import UserError
        from ita.io.image_decoder import BadImage
        from ita.vision.images import read_picture

        set_pixel_limit(1_000_000)
        try:
            information = verify_image(data, 1_000_000)
        except BadImage as error:
            raise UserError(f"{error.kind}: {error!s:.300}".encode("ascii", "backslashreplace").decode()) from None
        file = self.folder / "image"
        file.write_bytes(data)
        picture = read_picture(file)
        image = picture.pixels
        expect((picture.format, picture.note) == (information.format, information.note), "another verdict")
        expect(image.size == (information.width, information.height), "a size that is not that of the pixels")
        expect(image.mode == "RGB", "an image that is not RGB")


class Archives(Target):
    """Archives of images: zip, tar, tar.gz, tar.bz2, tar.xz."""

    kinds = ("zip", "", "gz", "bz2", "xz")

    def sample(self, random):
        return inputs.archive(self.kind, random)

    def read(self, data):
        from ita.io import parquet
        from ita.stages import download

        suffix = {"zip": ".zip", "": ".tar"}.get(self.kind, f".tar.{self.kind}")
        file, store = self.folder / f"images{suffix}", self.folder / "store"
        file.write_bytes(data)
        shutil.rmtree(store, ignore_errors=True)
        table = self.folder / "posts.parquet"
        if not table.exists():
            rows = [
                {"post_id": name, "split": "train", "image_id": name, "tokens": ["a"], "tags": ["O"]}
                for name in inputs.ARCHIVED
            ]
            parquet.write("posts", rows, table)
        output = self.folder / "images.parquet"
        settings = {"download": {"source": "archive", "archive": str(file), "max_bytes": 1_000_000}}
        download.work(settings, output, table, store)
        rows = parquet.rows("images", output)
        expect([row["image_id"] for row in rows] == inputs.ARCHIVED, "an image without a row")
        for row in rows:
            expect(row["status"] in download.STATUSES, f"status {row['status']}")
            expect((row["status"] == "ok") == (row["error"] is None or row["status"] == "ok"), "no reason")
            expect(row["status"] != "ok" or (self.folder / row["path"]).is_file(), "an image that is not there")


class Tables(Target):
    """The project's own Parquet tables, damaged: equal rows, or refused."""

    kinds = ("posts", "contexts")

    def sample(self, random):
        from ita.io import parquet

        file = self.folder / f"{self.kind}.parquet"
        if not file.exists():
            made = inputs.posts(Random(0), 40)
            rows = {
                "posts": [
                    {"post_id": p["id"], "split": "train", "tokens": p["tokens"], "tags": p["tags"], "repaired": 0}
                    for p in made
                ],
                "contexts": [
                    {"post_id": p["id"], "tokens": p["tokens"], "kinds": ["ga"] * len(p["tokens"]), "truncated": 0}
                    for p in made
                ],
            }
            parquet.write(self.kind, rows[self.kind], file, {"label_version": "made up"})
        return file.read_bytes()

    def read(self, data):
        from ita.io import parquet

        file = self.folder / "damaged.parquet"
        file.write_bytes(data)
        rows = parquet.rows(self.kind, file)
        parquet.metadata(file)
        whole = parquet.rows(self.kind, self.folder / f"{self.kind}.parquet")
        expect(rows == whole, "rows that are not those that were written")


class RunFolders(Target):
    """Run folders: weights, settings, configuration and tokenizer, damaged."""

    kinds = ("model.safetensors", "settings.json", "config.json", "tokenizer.json", "tokenizer_config.json")

    def __init__(self, folder):
        super().__init__(folder)
        self.run = inputs.run_folder(folder)
        self.copy = folder / "copy"

    def sample(self, random):
        return (self.run / self.kind).read_bytes()

    def draw(self, random):
        if (data := super().draw(random)) and self.kind.endswith(".json") and random.random() < 0.5:
            self.whole = False
            data = json.dumps(mutate_json(json.loads(self.sample(random)), random)).encode("utf-8", "surrogatepass")
        return data

    def read(self, data):
        from ita.tagging.tagger import Tagger

        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.run, self.copy, ignore=shutil.ignore_patterns("checkpoint"))
        (self.copy / self.kind).write_bytes(data)
        answers = Tagger(self.copy, device="cpu").predict(["Ann went to Rome", {"text": "a", "context": "man"}])
        expect(len(answers) == 2 and all(answer.error is None for answer in answers), "a post without an answer")
        if self.kind == "model.safetensors":
            expect(data == self.sample(Random(0)), "weights that are not those that were written")
