"""demo: the generated dataset is repeatable, well-formed, and solved by the pictures rather than by the words."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from PIL import Image

from ita.cli import run_stage
from ita.config import Demo
from ita.demo import ground_truth, pictures
from ita.demo.posts import TYPES, Post
from ita.errors import UserError
from ita.io import parquet
from ita.stages import caption, demo, detect

SMALL = {"train": 96, "valid": 24, "test": 48}
SEED = Demo().seed


def made(folder: Path, **settings: int) -> Path:
    """Runs the stage from its command line."""
    chosen = json.dumps({"demo": {**SMALL, **settings}})
    assert run_stage(demo, ["--settings", chosen, "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small dataset."""
    return made(tmp_path_factory.mktemp("demo") / "source")


@pytest.fixture(scope="module")
def posts() -> list[Post]:
    """The posts of the small dataset."""
    return demo.records(Demo(**SMALL))


@pytest.fixture(scope="module")
def everything() -> list[Post]:
    """The posts of the dataset as the defaults make it."""
    return demo.records(Demo())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def seen(source: Path, posts: list[Post]) -> tuple[dict[str, list], dict[str, list]]:
    """What the demo's detector and captioner, as they are shipped, see in the pictures: image id -> rows."""
    images = source / "images"
    rows = [
        {"image_id": post.image_id, "status": "ok", "path": f"{post.image_id}.jpg"}
        for post in posts
        if post.image in ("ok", "unrelated")
    ]
    parquet.write("images", rows, images / "images.parquet")
    common = ["--images", str(images / "images.parquet")]
    objects, features, captions = (source.parent / f"{name}.parquet" for name in ("objects", "features", "captions"))
    settings = json.dumps({"detect": {"model": str(source / "detector"), "min_objects": 1}})
    arguments = ["--settings", settings, *common, "--output", str(objects), "--features", str(features)]
    assert run_stage(detect, arguments) == 0
    settings = json.dumps({"caption": {"model": str(source / "captioner")}})
    arguments = ["--settings", settings, *common, "--objects", str(objects), "--features", str(features)]
    assert run_stage(caption, [*arguments, "--output", str(captions)]) == 0
    (images / "images.parquet").unlink()
    by_image: tuple[dict[str, list], dict[str, list]] = defaultdict(list), defaultdict(list)
    for name, file, found in (("objects", objects, by_image[0]), ("captions", captions, by_image[1])):
        for row in parquet.rows(name, file):
            found[row["image_id"]].append(row)
    return by_image


def share(found: list[bool]) -> float:
    """Share of True."""
    return sum(found) / len(found)


def test_repeats_to_the_byte(source: Path, tmp_path: Path) -> None:
    again = contents(made(tmp_path / "again"))
    assert again == contents(source)
    other = contents(made(tmp_path / "other", seed=SEED + 1))
    assert all(other[name] != again[name] for name in ("train.txt", "test.txt"))
    both = [name for name in other if name.startswith("images/") and name in again]
    assert all(other[name] != again[name] for name in both)


def test_replaces_an_older_dataset_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "old.jpg").write_bytes(b"old")
    stale = tmp_path / ".source.999999999.part"
    stale.mkdir()
    made(folder, train=16, valid=8, test=8)
    assert not (folder / "images" / "old.jpg").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
    names = ["captioner", "detector", "encoder", "images", "test.txt", "train.txt", "valid.txt"]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_failure_leaves_the_older_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path / "source", train=16, valid=8, test=8)
    before = contents(folder)

    def fail(*_: object, **__: object) -> None:
        raise UserError("no space")

    monkeypatch.setattr(demo.encoder, "write", fail)
    chosen = json.dumps({"demo": {"train": 16, "valid": 8, "test": 8, "seed": SEED + 1}})
    assert run_stage(demo, ["--settings", chosen, "--output", str(folder)]) == 1
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("split", SMALL)
def test_layout_is_that_of_umt(source: Path, posts: list[Post], split: str) -> None:
    text = (source / f"{split}.txt").read_bytes().decode()
    assert "\r" not in text
    assert text.endswith("\n\n")
    blocks = text.removesuffix("\n\n").split("\n\n")
    expected = [post for post in posts if post.split == split]
    assert len(blocks) == len(expected) == SMALL[split]
    for block, post in zip(blocks, expected, strict=True):
        head, *lines = block.split("\n")
        pairs = [line.split("\t") for line in lines]
        assert head == f"IMGID:{post.image_id}"
        assert [pair[0] for pair in pairs] == list(post.tokens)
        assert [pair[1] for pair in pairs] == list(post.tags)


def test_tags_are_iob2(everything: list[Post]) -> None:
    allowed = {"O", *(f"{part}-{kind}" for part in "BI" for kind in TYPES)}
    for post in everything:
        assert 6 <= len(post.tokens) <= 16
        assert set(post.tags) <= allowed
        assert all(token and not re.search(r"\s", token) for token in post.tokens)
        for before, tag in zip(("O", *post.tags), post.tags, strict=False):
            assert not tag.startswith("I-") or before[2:] == tag[2:]
        assert sum(tag.startswith("B-") for tag in post.tags) <= 2
    assert any("\ufe0f" in post.tokens for post in everything)
    assert 0.15 < share([any(tag.startswith("I-") for tag in post.tags) for post in everything]) < 0.5


def test_names_of_the_test_posts_are_new(everything: list[Post]) -> None:
    names: dict[str, set[str]] = defaultdict(set)
    for post in everything:
        names[post.split] |= {word for word, tag in zip(post.tokens, post.tags, strict=True) if tag != "O"}
    assert len(names["test"]) > 60
    assert not names["train"] & names["test"]
    assert not names["train"] & names["valid"]
    words = {word for post in everything for word, tag in zip(post.tokens, post.tags, strict=True) if tag == "O"}
    assert not words & (names["train"] | names["valid"] | names["test"])


def test_shares(everything: list[Post]) -> None:
    assert share([post.image == "missing" for post in everything]) == pytest.approx(0.05, abs=0.01)
    assert share([post.image == "unrelated" for post in everything]) == pytest.approx(0.10, abs=0.01)
    assert [post.split for post in everything if post.image == "broken"] == ["train"]
    assert share([post.decidable == "picture" for post in everything]) == pytest.approx(0.5, abs=0.01)
    assert share([set(post.tags) == {"O"} for post in everything]) == pytest.approx(0.12, abs=0.01)
    lettered = [bool(demo.scene_of(post, SEED).lettering) for post in everything]
    assert 0.3 < share(lettered) < 0.45
    kinds = Counter(post.type for post in everything if post.decidable == "picture")
    assert set(kinds) == set(TYPES)
    assert max(kinds.values()) - min(kinds.values()) <= 8


def test_images_are_there_but_for_the_missing_and_the_broken(source: Path, posts: list[Post]) -> None:
    states = {post.image_id: post.image for post in posts}
    files = {path.stem: path for path in (source / "images").iterdir()}
    assert set(files) == {name for name, state in states.items() if state != "missing"}
    formats: Counter[str | None] = Counter()
    for name, path in files.items():
        with Image.open(path) as image:
            assert image.size == (pictures.WIDTH, pictures.HEIGHT)
            formats[image.format] += 1
            if states[name] == "broken":
                with pytest.raises(OSError, match="truncated"):
                    image.load()
            else:
                image.load()
    assert Counter(states.values())["broken"] == 1
    assert 0 < formats["PNG"] < formats["JPEG"]


def test_objects_and_captions(seen: tuple[dict[str, list], dict[str, list]], posts: list[Post]) -> None:
    objects, captions = seen
    there = [post.image_id for post in posts if post.image in ("ok", "unrelated")]
    assert list(captions) == there
    assert list(objects) == there, "at least one object is kept of each picture"
    assert all(len(five) == 5 and all(one["caption"] for one in five) for five in captions.values())
    for found in objects.values():
        assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
        for one in found:
            assert 0 <= one["x1"] < one["x2"] <= pictures.WIDTH
            assert 0 <= one["y1"] < one["y2"] <= pictures.HEIGHT
    assert share([bool(one["attributes"]) for found in objects.values() for one in found]) > 0.9


def test_pictures_decide_what_words_leave_open(
    everything: list[Post], seen: tuple[dict[str, list], dict[str, list]], posts: list[Post]
) -> None:
    train = [post for post in everything if post.split == "train" and post.decidable == "picture"]
    test = [post for post in everything if post.split == "test" and post.decidable == "picture"]
    by_template: dict[str, Counter[str]] = defaultdict(Counter)
    for post in train:
        by_template[post.template][post.type] += 1
    assert {post.template for post in test} <= set(by_template)
    guesses = [by_template[post.template].most_common(1)[0][0] for post in test]
    assert share([guess == post.type for guess, post in zip(guesses, test, strict=True)]) < 0.4

    objects, captions = seen
    kinds = {label: kind for kind in TYPES for label in pictures.SUBJECTS[kind]}
    open_posts = [post for post in posts if post.decidable == "picture"]
    tags = [[item["label"] for item in objects.get(post.image_id, [])] for post in open_posts]
    best = [[one["caption"] for one in captions.get(post.image_id, [])][:1] for post in open_posts]
    words = [re.findall(r"[a-z]+?(?=s?\b)", " ".join(caption)) for caption in best]
    for source_of_truth in (tags, words):
        told = [next((kinds[word] for word in found if word in kinds), "") for found in source_of_truth]
        assert share([kind == post.type for kind, post in zip(told, open_posts, strict=True)]) > 0.75


def test_tokenizer_and_encoder_load_offline(source: Path, posts: list[Post], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    folder = str(source / "encoder")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    scenes = [demo.scene_of(post, SEED) for post in posts]
    captions = [line.split() for scene in scenes for lines in ground_truth.descriptions(scene) for line in lines]
    for words in (*(list(post.tokens) for post in posts), *captions):
        pieces = tokenizer(words, is_split_into_words=True)
        assert tokenizer.unk_token_id not in pieces["input_ids"], words
    names = {word for post in posts for word, tag in zip(post.tokens, post.tags, strict=True) if tag != "O"}
    assert all(len(tokenizer.tokenize(name)) == len(name) for name in names), "a name is in the vocabulary"
    assert all(len(tokenizer.tokenize(word)) == 1 for line in captions for word in line)

    config = transformers.AutoConfig.from_pretrained(folder)
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (64, 1, 4)
    assert config.vocab_size == len(tokenizer)
    model = transformers.AutoModel.from_config(config).eval()
    batch = tokenizer([list(posts[0].tokens)], is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        assert model(**batch).last_hidden_state.shape == (1, batch["input_ids"].shape[1], 64)


def test_heads_divide_every_width_allowed() -> None:
    for hidden in range(8, 132, 4):
        heads = demo.encoder.shape(100, hidden, 1)["num_attention_heads"]
        assert hidden % heads == 0
        assert hidden % 16 or heads == hidden // 16


def test_tesseract_reads_the_banners(source: Path, posts: list[Post], tmp_path: Path) -> None:
    program = shutil.which("tesseract")
    if program is None:
        pytest.skip("tesseract is not installed")
    lettering = {
        post.image_id: demo.scene_of(post, SEED).lettering for post in posts if post.image in ("ok", "unrelated")
    }
    lettering = {name: text for name, text in lettering.items() if text}
    assert len(lettering) > 40
    files = tmp_path / "files.txt"
    files.write_text("".join(f"{source / 'images' / name}.jpg\n" for name in lettering))
    run = subprocess.run(
        [program, str(files), "-"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_THREAD_LIMIT": "1"},
    )
    pages = [" ".join(page.lower().split()) for page in run.stdout.split("\f")]
    read = [text.lower() in page for text, page in zip(lettering.values(), pages, strict=False)]
    assert share(read) >= 0.9, [text for text, good in zip(lettering.values(), read, strict=False) if not good]


def test_a_wrong_setting_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_stage(demo, ["--settings", '{"demo": {"train": 0}}', "--output", str(tmp_path / "source")]) == 1
    assert "train" in capsys.readouterr().err
    assert not (tmp_path / "source").exists()
