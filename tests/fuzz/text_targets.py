"""Text from strangers: annotations, posts to tag, texts of images, words on pages."""

import csv
import io
import json
import math
from random import Random

from tests.fuzz import inputs
from tests.fuzz.base import Target, check_texts, expect
from tests.fuzz.mutations import mutate_text


class Annotations(Target):
    """Annotated posts in every format."""

    kinds = ("umt", "ita", "three_line", "jsonl", "csv", "parquet", "spans")
    mutate = staticmethod(mutate_text)

    def sample(self, random):
        return inputs.annotated(self.kind, random)

    def read(self, data):
        from ita.data.records import is_list
        from ita.data.tags import TAG
        from ita.io import parquet
        from ita.stages import posts

        file = self.folder / f"mutated.{self.kind}"
        file.write_bytes(data)
        files = {"train": str(file)}
        for split, letter in (("dev", b"q"), ("test", b"r")):
            whole = self.folder / f"{split}.{self.kind}"
            whole.write_bytes(inputs.annotated(self.kind, Random(1)).replace(b"p", letter))
            files[split] = str(whole)
        output = self.folder / "posts.parquet"
        output.unlink(missing_ok=True)
        try:
            posts.work({"posts": {"files": files, "format": self.kind}}, output, self.folder / "cache")
        except Exception:
            expect(not output.exists(), "a table of posts that were refused")
            raise
        rows = [row for row in parquet.rows("posts", output) if row["split"] == "train"]
        for row in rows:
            check_texts(row["post_id"], *row["tokens"], *row["tags"])
            expect(len(row["tokens"]) == len(row["tags"]) > 0 and all(row["tokens"]), "a word without a tag")
            expect(all(TAG.fullmatch(tag) for tag in row["tags"]), "a tag that is none")
        if self.kind in ("jsonl", "spans") and not is_list(data):
            lines = [line for line in data.decode("utf-8-sig").split("\n") if line.strip(" \t\r")]
            expect(len(rows) == len(lines), f"{len(lines)} lines became {len(rows)} posts")


class NewPosts(Target):
    """Posts to tag, in every format of `ita predict`."""

    kinds = ("lines", "text", "jsonl", "csv", "tsv", "parquet")
    mutate = staticmethod(mutate_text)

    def sample(self, random):
        return inputs.new_posts(self.kind, random)

    def read(self, data):
        from ita.tagging.input_files import read_records
        from ita.tagging.output_files import conll_lines, jsonl_lines
        from ita.tagging.posts import UnreadablePost, parse_post
        from ita.tagging.results import TaggedPost

        file = self.folder / "input"
        file.write_bytes(data)
        with open(file, "rb") as source:
            for record in read_records(source, self.kind, "input"):
                try:
                    if record.error is not None:
                        raise UnreadablePost(record.error)
                    post = parse_post(record.values)
                    answer = TaggedPost(post.text, post.tokens, [], "t", line=record.line, columns=record.values)
                    check_texts(post.text, *post.tokens)
                    for (start, end), token in zip(post.offsets, post.tokens, strict=True):
                        expect(post.text[start:end] == token, "offsets that are not those of the word")
                except UnreadablePost as error:
                    expect(len(str(error)) < 700, f"a long message: {error!s:.900}")
                    answer = TaggedPost(None, [], [], error=str(error), line=record.line, columns=record.values)
                lines = jsonl_lines(answer.to_dict())
                expect(lines.count("\n") == 1 and isinstance(json.loads(lines), dict), "an answer of several lines")
                check_texts(lines, conll_lines(answer.to_dict()))


class ImageTexts(Target):
    """Captions, OCR text and other texts of images made elsewhere."""

    kinds = ("txt", "json", "jsonl", "csv", "parquet")
    mutate = staticmethod(mutate_text)

    def sample(self, random):
        return inputs.image_texts(self.kind)

    def read(self, data):
        from ita.data.image_texts import read_texts

        file = self.folder / f"texts.{self.kind}"
        file.write_bytes(data)
        for image_id, texts in read_texts([file]).items():
            check_texts(image_id, *texts)


class Objects(Target):
    """Objects with attributes made elsewhere."""

    kinds = ("txt", "json", "jsonl", "csv", "parquet")
    mutate = staticmethod(mutate_text)

    def sample(self, random):
        return inputs.objects(self.kind)

    def read(self, data):
        from ita.vision.precomputed import read_objects

        file = self.folder / f"objects.{self.kind}"
        file.write_bytes(data)
        for image_id, found in read_objects([file]).items():
            check_texts(image_id)
            for detected in found:
                check_texts(detected.label, *(name for name, _ in detected.attributes))
                expect(detected.score is None or math.isfinite(detected.score), "a score that is no number")


class EscapedWords(Target):
    """Words of the data in files for spreadsheets, pages and papers."""

    def sample(self, random):
        return json.dumps([random.choice(inputs.WORDS) for _ in range(4)], ensure_ascii=False).encode()

    mutate = staticmethod(mutate_text)

    def read(self, data):

        import pandas as pd

        from ita.reporting.escape import FORMULA, escape_latex, escape_markdown, to_csv

        text = data.decode("utf-8", "replace")
        csv.field_size_limit(1 << 30)
        table = to_csv(pd.DataFrame({"word": [text, "b"]}))
        rows = list(csv.reader(io.StringIO(table)))
        expect(len(rows) == 3 and all(len(row) == 1 for row in rows), "a word that became several cells")
        number = text.strip() and not text.startswith("'") and rows[1][0].startswith(FORMULA)
        expect(not number or rows[1][0].replace(" ", "").lstrip("+-")[:1].isdigit(), "a formula")
        expect("\n" not in escape_markdown(text) and "<" not in escape_markdown(text).replace("\\<", ""), "markup")
        expect("\n" not in escape_latex(text), "several lines")
