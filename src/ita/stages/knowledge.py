"""knowledge: posts, images, captions, objects, OCR text -> knowledge/{knowledge_source}/{shard}.parquet.

A language model is asked about every post; what it answers is a kind of context. Answers are kept in a folder of their
own: a stopped run goes on where it was, and nothing is asked twice. A post that the model refuses, or that fails, is
normal data: it has no text, and its row says why. ``ita knowledge --estimate DATASET/SOURCE`` says what asking will
cost, by config.yaml, and asks nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Knowledge
from ita.errors import UserError
from ita.io import parquet
from ita.io.provenance import provenance_of
from ita.knowledge.answers import Answers, read_answers
from ita.knowledge.backends import build_backend, identity_of
from ita.knowledge.prompts import Row, Tables
from ita.knowledge.questions import Questioner, check_images, check_tables
from ita.knowledge.types import Answer, Backend, Question
from ita.log import log, progress
from ita.vision.sharding import shard_items

IN_A_ROW = 20
"""Failures one after another that end a job."""
STATUSES = ("ok", "refused", "empty", "failed", "skipped")
SKIPPED = Answer("skipped", error="a post without words")


def work(
    settings: dict[str, Any],
    output: Path | None = None,
    posts: Path | None = None,
    images: Path | None = None,
    objects: Path | None = None,
    captions: Path | None = None,
    ocr: Path | None = None,
    tagger: Sequence[Path] = (),
    context: Path | None = None,
    answers: Path | None = None,
    shard: str | None = None,
    estimate: str | None = None,
    configfile: Sequence[Path] = (),
) -> None:
    """Writes the answers about the posts of a shard, or says what they will cost.

    Args:
        settings: ``knowledge``.
        output: table to write.
        posts: posts.parquet.
        images: images.parquet, for templates that send the picture.
        objects: objects table, for the slot objects.
        captions: captions table, for the slots caption and captions.
        ocr: table of OCR text, for the slot ocr.
        tagger: files of the run folder that retrieves demonstrations.
        context: contexts table that this tagger reads.
        answers: folder in which answers are kept (default: answers, beside the output).
        shard: the part of the posts to ask about, such as 2-of-7 (default: all).
        estimate: DATASET/SOURCE, of which to say the cost; takes no other option but --configfile.
        configfile: further configuration for --estimate, as for Snakemake.

    Raises:
        UserError: for wrong settings or files, a model that cannot be asked, or too many posts that fail.
    """
    if estimate is not None:
        print_estimate(estimate, configfile)
        return
    if output is None or posts is None:
        raise UserError("give --posts and --output, or --estimate DATASET/SOURCE")
    knowledge = read_section(settings, "knowledge", Knowledge)
    rows = parquet.rows("posts", posts)
    asked_posts = shard_items(rows, shard)
    tables = Tables(images, objects, captions, ocr)
    questioner = Questioner(knowledge, rows, asked_posts, tables, tagger[0].parent if tagger else None, context)
    files = {"posts": posts, **tables._asdict(), "context": context, **{path.name: path for path in tagger}}
    if questioner.demonstrations:
        files["demonstrations"] = Path(knowledge.demonstrations or "")
    name = f"{settings.get('name', 'knowledge')}.{shard or '1-of-1'}"
    table_rows, made_by = answer_posts(
        knowledge, questioner, asked_posts, tables, answers or output.parent / "answers", name
    )
    parquet.write("knowledge", table_rows, output, {**provenance_of(settings, files), **made_by})


def answer_posts(
    settings: Knowledge, questioner: Questioner, asked_posts: Sequence[Row], tables: Tables, answers: Path, name: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of posts, and metadata: what answered, and how much.

    Args:
        settings: of the stage.
        questioner: makes the questions.
        asked_posts: rows of posts.parquet.
        tables: what is known of their images.
        answers: folder in which answers are kept.
        name: of the file there for new ones.

    Raises:
        UserError: as ``work``.
    """
    check_tables(questioner.template, settings.blank, tables)
    backend = build_backend(settings)
    check_images(settings, questioner.template, backend.reads_images)
    readable = [post for post in asked_posts if post["tokens"] and not post.get("error")]
    demonstrations = questioner.choose(readable)
    questions = {
        post["post_id"]: questioner.question(post, demonstrations[post["post_id"]], backend.identity)
        for post in readable
    }
    with Answers(answers, name) as store:
        results, work_done = ask(settings, backend, list(questions.values()), store)
    by_post = {post_id: results[question.key] for post_id, question in questions.items()}
    rows = [row_of(post["post_id"], by_post, demonstrations, questioner) for post in asked_posts]
    engine = {**backend.metadata, "template_sha256": questioner.template.sha256, "retrieval": questioner.metadata}
    return rows, {"engine": engine, "counts": {**counts_of(rows), **work_done}}


def ask(
    settings: Knowledge, backend: Backend, questions: Sequence[Question], store: Answers
) -> tuple[Mapping[str, Answer], dict[str, float]]:
    """Answers by key, those that are kept not asked for again; how many were asked for, and in how many seconds.

    Raises:
        UserError: when too many fail.
    """
    distinct = {question.key: question for question in questions}
    pending = [question for key, question in distinct.items() if key not in store.known]
    log.info("knowledge: %d posts, %d to be asked", len(questions), len(pending))
    failed: dict[str, Answer] = {}
    in_a_row = 0
    bar = progress(range(len(pending)), len(pending), "knowledge", "post")

    def record(question: Question, answer: Answer) -> None:
        nonlocal in_a_row
        store.add(question, answer)
        next(bar, None)
        in_a_row = in_a_row + 1 if answer.status == "failed" else 0
        if answer.status == "failed":
            failed[question.key] = answer
            if in_a_row >= IN_A_ROW and settings.max_failed < 1:
                raise UserError(too_many(failed, len(distinct), f"{in_a_row} posts in a row failed"))
            if len(failed) > settings.max_failed * len(distinct):
                raise UserError(too_many(failed, len(distinct), f"{len(failed)} of {len(distinct)} posts failed"))

    start = time.monotonic()
    if pending:
        backend.ask(pending, record)
    next(bar, None)
    seconds = round(time.monotonic() - start, 3) if pending else 0.0
    return {**store.known, **failed}, {"asked": len(pending), "asking_seconds": seconds}


def too_many(failed: Mapping[str, Answer], total: int, problem: str) -> str:
    """What to do where too many posts fail."""
    reasons = Counter(str(answer.error).partition(" (")[0] for answer in failed.values())
    frequent = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(2))
    return (
        f"{problem} ({frequent}). Answers are kept: the same command goes on with the others. To go on without those "
        f"that fail raise knowledge.max_failed (of {total} posts; 1 never stops)"
    )


def row_of(
    post_id: str, answers: Mapping[str, Answer], shown: Mapping[str, Sequence[str]], questioner: Questioner
) -> dict[str, Any]:
    """The row of a post.

    Args:
        post_id: the post.
        answers: post id -> answer; a post without words has none.
        shown: post id -> post ids of its demonstrations.
        questioner: knows which posts are demonstrations.
    """
    answer = answers.get(post_id, SKIPPED)
    columns = asdict(answer)
    if answer.status != "ok":
        columns["text"] = ""
    demonstrations = list(shown.get(post_id, ()))
    demonstrated = post_id in questioner.demonstrations
    return {"post_id": post_id, **columns, "demonstrations": demonstrations, "demonstrated": demonstrated}


def counts_of(rows: Sequence[Row]) -> dict[str, Any]:
    """Posts by status, tokens and seconds, for the metadata; the log gets those by status and the frequent errors."""
    statuses = Counter(row["status"] for row in rows)
    counts: dict[str, Any] = {status: statuses[status] for status in STATUSES}
    for name in ("prompt_tokens", "completion_tokens", "seconds"):
        counts[name] = round(sum(row[name] or 0 for row in rows), 3)
    log.info("knowledge: %s", ", ".join(f"{counts[status]} {status}" for status in STATUSES))
    errors = Counter(str(row["error"]).partition(" (")[0] for row in rows if row["status"] == "failed")
    for error, count in errors.most_common(3):
        log.warning("knowledge: %d posts have no text: %s", count, error)
    return counts


def print_estimate(name: str, configfiles: Sequence[Path]) -> None:
    """Prints what a source of a data set will cost, by config.yaml in the present folder.

    Raises:
        UserError: for a name that does not exist, or posts that are not there yet.
    """
    from ita.config import check, read_yaml
    from ita.config.levels import merge
    from ita.knowledge.estimate import estimate
    from ita.workflow.jobs import Jobs

    dataset, slash, source = name.partition("/")
    if not slash:
        raise UserError(f"--estimate: expected DATASET/SOURCE, found {name!r}")
    config: dict[str, Any] = {}
    for path in [Path("config.yaml"), *configfiles]:
        config = merge(config, read_yaml(path))
    check(config)
    jobs = Jobs(config)
    knowledge = read_section({"knowledge": jobs.resolver.stage(dataset, "knowledge", source)}, "knowledge", Knowledge)
    inputs = jobs.inputs_of("knowledge", {"dataset": dataset, "knowledge_source": source, "shard": "1-of-1"})
    paths = {option: Path(files[0]) for option, files in inputs.items() if files}
    rows = [
        row
        for row in parquet.rows("posts", Path(f"results/{dataset}/posts.parquet"))
        if row["tokens"] and not row.get("error")
    ]
    tables = Tables(**{table: paths.get(table) for table in Tables._fields})
    for missing in set(tables) - set(tables.present()):
        log.warning("%s is not made yet: prompts are taken without it", missing)
    tagger = paths["tagger"].parent if "tagger" in paths else None
    questioner = Questioner(knowledge, rows, rows, tables.present(), tagger, paths.get("context"))
    known = read_answers(Path(f"results/{dataset}/answers"))
    shown = demonstrations_shown(knowledge, questioner, rows, exactly=bool(known))
    identity = identity_of(knowledge)
    questions = [questioner.question(row, shown[row["post_id"]], identity) for row in rows]
    pictures = {str(picture.path): picture for picture in questioner.texts.pictures.values()}
    for line in estimate(knowledge, questions, pictures, known):
        print(line)


def demonstrations_shown(
    settings: Knowledge, questioner: Questioner, rows: Sequence[Row], exactly: bool
) -> Mapping[str, Sequence[str]]:
    """Post id -> post ids of its demonstrations; any of them will do for their length, unless answers are looked up."""
    if exactly or settings.retrieval in ("none", "random"):
        try:
            return questioner.choose(rows)
        except UserError as error:
            log.warning("demonstrations cannot be chosen yet (%s): the first ones are taken for their length", error)
    names = list(questioner.demonstrations)
    return {row["post_id"]: [name for name in names if name != row["post_id"]][: settings.count] for row in rows}
