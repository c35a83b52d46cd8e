"""predict: tag new posts with a trained model.

Reads one post a line, from a file or standard input: plain text, or a JSON object with ``text`` or ``tokens`` and
optionally ``context``, the text of its image (a string, or a list of strings such as captions, which are joined by the
model's separator; the ``context`` that ``ita inspect`` prints). Writes one JSON object a line: the tokens, the view
that was read, and the entities with their probability (and character offsets for ``text``). A line that cannot be read
is answered with an ``error``; the others are tagged all the same. Image regions cannot be passed here: a model that
reads them tags posts without, and warns.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from ita.data.visual_context import VisualContext, join_texts
from ita.errors import UserError
from ita.log import configure_log, log

if TYPE_CHECKING:
    import torch

    from ita.model.inference import Prediction
    from ita.model.inputs import ViewEncoder
    from ita.model.tagger import Tagger

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|\S")
"""Words of plain text, as the public data sets split tweets: letters and digits together, any other sign alone."""
CHUNK = 512
"""Lines read at a time."""


class NewPost(NamedTuple):
    """A post to tag."""

    tokens: list[str]
    offsets: list[tuple[int, int]] | None
    """Characters of each token in the text; None where tokens were given."""
    context: VisualContext


def parse_post(line: str) -> NewPost:
    """A post from a line.

    Raises:
        ValueError: saying what was expected.
    """
    record: dict[str, Any] = {"text": line}
    if line.lstrip().startswith("{"):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"expected a JSON object or plain text: {error}") from None
    offsets = None
    if "tokens" in record:
        tokens = record["tokens"]
        if not isinstance(tokens, list) or not all(isinstance(token, str) and token for token in tokens):
            raise ValueError("expected 'tokens' to be a list of non-empty strings")
    elif isinstance(record.get("text"), str):
        matches = list(WORD.finditer(record["text"]))
        tokens, offsets = [match[0] for match in matches], [match.span() for match in matches]
    else:
        raise ValueError("expected 'tokens' or 'text'")
    if not tokens:
        raise ValueError("expected at least one word")
    context = record.get("context") or []
    texts = [context] if isinstance(context, str) else context
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("expected 'context' to be a string or a list of strings")
    return NewPost(tokens, offsets, join_texts(texts, "context"))


def tag_lines(
    lines: Sequence[str],
    tagger: Tagger,
    encoder: ViewEncoder,
    tags: Sequence[str],
    batch_size: int,
    device: torch.device,
) -> Iterator[dict[str, Any]]:
    """One answer per line, in order: the entities of its post, or an error."""
    from ita.model.inference import predict_tags

    posts: dict[int, NewPost] = {}
    answers: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(lines):
        try:
            posts[number] = parse_post(line)
        except ValueError as error:
            answers[number] = {"error": str(error)}
    if posts:
        views = encoder.encode([post.tokens for post in posts.values()], [post.context for post in posts.values()])
        predictions = predict_tags(tagger, views, tags, batch_size=batch_size, device=device)
        for (number, post), prediction in zip(posts.items(), predictions, strict=True):
            answers[number] = answer(post, prediction)
    for number in range(len(lines)):
        yield answers[number]


def answer(post: NewPost, prediction: Prediction) -> dict[str, Any]:
    """What is written about a tagged post."""
    entities = []
    for span, posterior in zip(prediction.spans, prediction.posteriors, strict=True):
        entity: dict[str, Any] = {**span._asdict(), "posterior": round(posterior, 4)}
        if post.offsets:
            entity |= {"from": post.offsets[span.start][0], "to": post.offsets[span.end - 1][1]}
        entities.append({**entity, "words": post.tokens[span.start : span.end]})
    return {"tokens": post.tokens, "view": "it" if post.context.words else "t", "spans": entities}


def predict(model: Path, source: TextIO, target: TextIO, batch_size: int, device_name: str) -> None:
    """Tags all lines of ``source`` into ``target``; blank lines are skipped.

    Args:
        model: run folder.
        source: posts, one a line.
        target: gets the answers, one a line.
        batch_size: posts per forward pass.
        device_name: auto, cpu or cuda.

    Raises:
        UserError: for a folder without a model, or a device that is not there.
    """
    from ita.model.checkpoint import load_model
    from ita.model.device import resolve_device

    device = resolve_device(device_name)
    tagger, encoder, settings = load_model(model)
    tagger.to(device)
    if regions := settings.get("regions"):
        log.warning(
            "predict: %s also reads image regions (detector '%s'), which cannot be passed here: posts are tagged "
            "without them, in the view T unless they have a context; 'ita evaluate --features' reads regions",
            model,
            regions["detector"],
        )
    lines = (line.rstrip("\r\n") for line in source if line.strip())
    while chunk := list(islice(lines, CHUNK)):
        for line_answer in tag_lines(chunk, tagger, encoder, settings["tags"], batch_size, device):
            target.write(json.dumps(line_answer, ensure_ascii=False) + "\n")
        target.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: ``ita predict MODEL [INPUT]``."""
    parser = argparse.ArgumentParser(
        prog="ita predict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="run folder: results/DATASET/runs/ENCODER/SYSTEM/seedN")
    parser.add_argument("input", nargs="?", default="-", help="file of posts, one a line (default: standard input)")
    parser.add_argument("--batch-size", type=int, default=32, help="posts per forward pass (default: 32)")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where the model runs")
    options = parser.parse_args(argv)
    configure_log(None)
    try:
        if options.input == "-":
            predict(options.model, sys.stdin, sys.stdout, options.batch_size, options.device)
        else:
            with open(options.input, encoding="utf-8") as source:
                predict(options.model, source, sys.stdout, options.batch_size, options.device)
    except (UserError, OSError) as error:
        log.error("predict: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
