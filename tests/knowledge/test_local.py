"""Language models in this process: tiny ones that the test makes."""

from dataclasses import replace

import pytest

from ita.config import Knowledge
from ita.errors import UserError
from ita.knowledge.local import LocalModel
from ita.knowledge.types import Question
from tests.support.chat_models import make_causal, make_llava
from tests.support.pictures import scene

TEXTS = ("Kim visits Town.", "A", "a much longer post that nobody wrote about Anna and the zoo of Ulm")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "causal": make_causal(folder / "causal"),
        "plain": make_causal(folder / "plain", template=None),
        "llava": make_llava(folder / "llava"),
    }


def answers(model, questions, **settings):
    """Text, finish and tokens, in the order of the questions."""
    values = {"backend": "transformers", "max_tokens": 12, "device": "cpu", "precision": "fp32", **settings}
    found = {}
    backend = LocalModel(Knowledge(model=model, **values))
    backend.ask(questions, lambda question, answer: found.update({question.key: answer}))
    return backend, [found[question.key] for question in questions]


def timeless(found):
    return [replace(answer, seconds=None) for answer in found]


@pytest.mark.parametrize("name", ["causal", "plain", "llava"])
def test_a_batch_answers_as_single_posts_do(models, name, tmp_path):
    images = []
    for seed in range(3):
        scene(40, 30, seed).save(tmp_path / f"{seed}.png")
        images.append(tmp_path / f"{seed}.png" if name == "llava" and seed != 1 else None)
    questions = [
        Question(str(number), "Be brief.", text, image)
        for number, (text, image) in enumerate(zip(TEXTS, images, strict=True))
    ]
    _, alone = answers(models[name], questions, batch_size=1)
    _, together = answers(models[name], questions, batch_size=3)
    assert timeless(alone) == timeless(together)
    assert len({answer.text for answer in alone}) == 3, "they differ, so that a mistake would show"
    assert all(answer.status == "ok" and answer.completion_tokens <= 12 for answer in alone)


def test_the_picture_matters_and_comes_first(models, tmp_path):
    for seed in (0, 1):
        scene(40, 30, seed).save(tmp_path / f"{seed}.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    paths = [tmp_path / "0.png", tmp_path / "1.png", None, tmp_path / "broken.png"]
    questions = [Question(str(number), "", "Who?", path) for number, path in enumerate(paths)]
    backend, found = answers(models["llava"], questions)
    assert found[0].prompt_tokens == found[2].prompt_tokens + 4
    assert found[2].text == found[3].text, "a picture that cannot be read is left out"
    assert len({answer.text for answer in found[:3]}) == 3
    assert backend.reads_images and backend.identity["class"] == "LlavaForConditionalGeneration"
    prompt = backend._prompt(questions[0], True)
    assert prompt.index("<image>") < prompt.index("Who?")


def test_the_chat_template_is_read(models):
    backend, found = answers(models["causal"], [Question("a", "Be brief.", "Who?")])
    assert backend._prompt(Question("a", "Be brief.", "Who?"), False) == "<s><|system|>Be brief.<|user|>Who?<|answer|>"
    assert found[0].prompt_tokens == len("Be brief.Who?") + 4
    assert not backend.reads_images
    assert backend.tokenizer.padding_side == "left"


def test_answers_end_where_the_model_ends_them(models):
    backend, found = answers(models["causal"], [Question("a", "", "Who?")])
    first = backend.tokenizer(found[0].text)["input_ids"][0]
    backend.ends = {first}
    ended = {}
    backend.ask([Question("a", "", "Who?")], lambda question, answer: ended.update(a=answer))
    assert (ended["a"].status, ended["a"].finish, ended["a"].completion_tokens) == ("empty", "stop", 0)
    assert found[0].finish == "length"


def test_what_cannot_be_loaded_is_told(tmp_path):
    with pytest.raises(UserError, match=r"knowledge\.model.*no such folder"):
        LocalModel(Knowledge(backend="transformers", model=str(tmp_path / "nowhere")))
