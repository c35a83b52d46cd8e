"""predict: tag new posts with a trained model.

Reads one post a line, from a file or standard input: plain text, or a JSON object with ``text`` or ``tokens`` and
optionally ``context``, the text of its image (a string, or a list of strings such as captions). Writes one JSON
object a line: the tokens, the view that was read, and the entities with their probability (and character offsets for
``text``). A line that cannot be read is answered with an ``error``; the others are tagged all the same. Regions of
images cannot be given here: a model that reads such tags what is given without them, and a warning says so.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from ita.data.visual_context import text_alignment
from ita.errors import UserError
from ita.log import configure_log, log

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|\S")
"""Words of plain text, cut as tweets are in the public data sets: letters and digits together, any other sign alone."""
CHUNK = 512
"""Lines read at a time."""


def parse(line: str) -> dict[str, Any]:
    """A post from a line: ``tokens``, ``offsets`` (or None) and ``context`` words.

    Raises:
        ValueError: saying what was expected.
    """
    record: Any = {"text": line}
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
        found = list(WORD.finditer(record["text"]))
        tokens, offsets = [match[0] for match in found], [match.span() for match in found]
    else:
        raise ValueError("expected 'tokens' or 'text'")
    if not tokens:
        raise ValueError("expected at least one word")
    context = record.get("context") or []
    texts = [context] if isinstance(context, str) else context
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("expected 'context' to be a string or a list of strings")
    return {"tokens": tokens, "offsets": offsets, "context": text_alignment(texts, "given")}


def answers(lines: Sequence[str], model: Any, batch_size: int, device: Any) -> Iterator[dict[str, Any]]:
    """One answer per line, in order."""
    from ita.model.inference import tag

    tagger, encoder, about = model
    posts: list[dict[str, Any]] = []
    errors: dict[int, str] = {}
    for number, line in enumerate(lines):
        try:
            posts.append(parse(line))
        except ValueError as error:
            errors[number] = str(error)
    encoded = encoder.encode([post["tokens"] for post in posts], [post["context"] for post in posts])
    tagged = iter(
        zip(
            posts,
            tag(tagger, encoded, about["tags"], batch_size=batch_size, device=device),
            strict=True,
        )
        if posts
        else ()
    )
    for number in range(len(lines)):
        if number in errors:
            yield {"error": errors[number]}
            continue
        post, result = next(tagged)
        spans = []
        for span, sure in zip(result.spans, result.posteriors, strict=True):
            entity: dict[str, Any] = {**span._asdict(), "posterior": round(sure, 4)}
            if post["offsets"]:
                entity |= {"from": post["offsets"][span.start][0], "to": post["offsets"][span.end - 1][1]}
            spans.append({**entity, "words": post["tokens"][span.start : span.end]})
        yield {"tokens": post["tokens"], "view": "it" if post["context"].words else "t", "spans": spans}


def run(model: Path, source: TextIO, target: TextIO, batch_size: int, device: str) -> None:
    """Tags all lines of ``source`` into ``target``; blank lines are skipped."""
    from ita.model.checkpoint import load_model
    from ita.model.device import resolve

    where = resolve(device)
    loaded = load_model(model)
    loaded[0].to(where)
    if regions := loaded[2].get("regions"):
        log.warning(
            "predict: %s also reads regions of images (detector '%s'), which cannot be given here: posts are tagged "
            "without them, in the view T unless they come with a context; 'ita evaluate --features' reads regions",
            model,
            regions["detector"],
        )
    lines = (line.rstrip("\r\n") for line in source if line.strip())
    while chunk := list(islice(lines, CHUNK)):
        for answer in answers(chunk, loaded, batch_size, where):
            target.write(json.dumps(answer, ensure_ascii=False) + "\n")
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
    arguments = parser.parse_args(argv)
    configure_log(None)
    try:
        if arguments.input == "-":
            run(arguments.model, sys.stdin, sys.stdout, arguments.batch_size, arguments.device)
        else:
            with open(arguments.input, encoding="utf-8") as source:
                run(arguments.model, source, sys.stdout, arguments.batch_size, arguments.device)
    except (UserError, OSError) as error:
        log.error("predict: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
