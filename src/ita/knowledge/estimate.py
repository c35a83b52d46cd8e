"""What asking about a data set will cost, before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from statistics import fmean

from ita.config import Knowledge
from ita.knowledge.prompts import Picture
from ita.knowledge.types import Answer, Question

LETTERS_PER_TOKEN = 3.5
"""Of English posts with names and links."""
PIXELS_PER_TOKEN = 784
"""28 x 28, as in Qwen2.5-VL; other models differ up to fivefold."""
ENOUGH = 20
"""Answers whose mean is taken for those to come."""


def estimate(
    settings: Knowledge,
    questions: Sequence[Question],
    pictures: Mapping[str, Picture],
    known: Mapping[str, Answer],
) -> list[str]:
    """Lines that say what asking will take.

    Args:
        settings: of the stage.
        questions: all of them.
        pictures: path of an image, as text -> picture.
        known: answers that are kept, by key.
    """
    distinct = {question.key: question for question in questions}
    open_questions = [question for key, question in distinct.items() if key not in known]
    answered = [known[key] for key in distinct if key in known]
    prompt = sum(prompt_tokens(question, settings, pictures) for question in open_questions)
    lengths = [answer.completion_tokens for answer in answered if answer.completion_tokens is not None]
    measured = len(lengths) >= ENOUGH
    mean_length = fmean(lengths) if measured else settings.max_tokens
    completion = ceil(mean_length * len(open_questions))
    lines = [
        f"posts              {len(questions):>12,}",
        f"to be asked        {len(open_questions):>12,}   ({len(answered):,} are answered already)",
        f"prompt tokens      {prompt:>12,}   about: {LETTERS_PER_TOKEN} letters a token, "
        f"{PIXELS_PER_TOKEN} pixels of a picture",
        f"answer tokens      {completion:>12,}   "
        + (f"about: {mean_length:.0f} each, as before" if measured else f"at most: {settings.max_tokens} each"),
    ]
    if settings.prompt_price or settings.completion_price:
        price = (prompt * settings.prompt_price + completion * settings.completion_price) / 1e6
        lines.append(f"price              {price:>12,.2f}   by knowledge.prompt_price and completion_price")
    else:
        lines.append("price                   unknown   set knowledge.prompt_price and knowledge.completion_price")
    seconds = [answer.seconds for answer in answered if answer.seconds]
    if len(seconds) >= ENOUGH and settings.backend == "openai":
        hours = fmean(seconds) * len(open_questions) / settings.concurrency / 3600
        lines.append(f"hours              {hours:>12,.2f}   at {fmean(seconds):.2f} s an answer, as before")
    return lines


def prompt_tokens(question: Question, settings: Knowledge, pictures: Mapping[str, Picture]) -> int:
    """Tokens of a prompt, by rule of thumb."""
    tokens = (len(question.system) + len(question.text)) / LETTERS_PER_TOKEN
    if question.image is not None:
        pixels = pictures[str(question.image)].pixels or settings.max_pixels
        tokens += min(pixels, settings.max_pixels) / PIXELS_PER_TOKEN
    return ceil(tokens)
