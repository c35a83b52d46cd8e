"""Shared fixtures: reference outputs and real data (both outside the repository), and a tiny encoder."""

import os
import random
import signal
import string
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# One worker per core runs the tests; more threads than that only wait for each other. Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A run in the background of a shell ignores it, and programs that it starts would too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _folder(variable, default):
    folder = Path(os.environ.get(variable) or ROOT.parent / "shared" / default)
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; set {variable}")
    return folder


@pytest.fixture(scope="session")
def golden():
    """Folder of reference outputs of the official systems."""
    return _folder("ITA_GOLDEN", "golden")


@pytest.fixture(scope="session")
def data():
    """Folder of real tweets, captions and images."""
    return _folder("ITA_DATA", "data")


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory):
    """Folder of a BERT of 16 units with random weights, whose vocabulary is the lower-case letters."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("encoder")
    letters = string.ascii_lowercase + string.digits + "@#!.:"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizer(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, **sizes)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Posts in which 'x...' words are entities whose type only the context tells."""
    from ita.io import parquet

    folder = tmp_path_factory.mktemp("corpus")
    draw = random.Random(0)
    posts, contexts = [], []
    for split, count in (("train", 48), ("dev", 16), ("test", 16)):
        for n in range(count):
            words = [draw.choice("abcde") * draw.randint(1, 3) for _ in range(draw.randint(1, 7))]
            at, kind = draw.randrange(len(words)), draw.choice(["PER", "LOC"])
            words[at] = "x" + draw.choice("abcde")
            tags = ["O"] * len(words)
            tags[at] = f"B-{kind}"
            name = f"{split}-{n}"
            posts.append({"post_id": name, "split": split, "tokens": words, "tags": tags, "repaired": 0})
            said = [] if n % 5 == 4 else ["man"] if kind == "PER" else ["house", "tree"]
            contexts.append({"post_id": name, "tokens": said, "kinds": ["ga"] * len(said), "truncated": 0})
    parquet.write("posts", posts, folder / "posts.parquet", {"label_version": "made up"})
    parquet.write("contexts", contexts, folder / "ga.parquet")
    return folder


@pytest.fixture(scope="session")
def detr(tmp_path_factory):
    """Folder of a DETR: pictures keep their proportions, so a batch holds several sizes."""
    import torch
    from transformers import DetrConfig, DetrForObjectDetection, DetrImageProcessorPil, ResNetConfig

    torch.manual_seed(0)
    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic", out_features=["stage2"]
    )
    config = DetrConfig(
        use_timm_backbone=False,
        backbone=None,
        backbone_config=backbone,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_queries=12,
        id2label={0: "N/A", 1: "Person", 2: "Traffic Light", 3: "Cat"},
    )
    folder = tmp_path_factory.mktemp("detr")
    DetrForObjectDetection(config).save_pretrained(folder)
    DetrImageProcessorPil(size={"shortest_edge": 32, "longest_edge": 64}).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def blip(tmp_path_factory):
    """Folder of a BLIP of random weights with a vocabulary of 49 words."""
    import torch
    from transformers import (
        BertTokenizer,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessorPil,
        BlipProcessor,
        BlipTextConfig,
        BlipVisionConfig,
    )

    folder = tmp_path_factory.mktemp("blip")
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "[DEC]",
        "a",
        "photo",
        "of",
        *(f"word{i}" for i in range(40)),
    ]
    vocabulary = folder / "words.txt"
    vocabulary.write_text("\n".join(words))
    tokenizer = BertTokenizer(str(vocabulary))
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = BlipTextConfig(
        vocab_size=len(words),
        encoder_hidden_size=16,
        projection_dim=8,
        max_position_embeddings=32,
        bos_token_id=5,
        sep_token_id=3,
        eos_token_id=3,
        pad_token_id=0,
        initializer_range=1.0,
        **size,
    )
    vision = BlipVisionConfig(image_size=32, patch_size=8, initializer_range=0.5, **size)
    torch.manual_seed(0)
    config = BlipConfig(
        text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=8, image_text_hidden_size=8
    )
    BlipForConditionalGeneration(config).save_pretrained(folder)
    processor = BlipImageProcessorPil(size={"height": 32, "width": 32})
    BlipProcessor(image_processor=processor, tokenizer=tokenizer).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tesseract():
    """pytesseract, where the program is there too."""
    pytesseract = pytest.importorskip("pytesseract")
    try:
        pytesseract.get_tesseract_version()
    except pytesseract.TesseractNotFoundError:
        pytest.skip("Tesseract is not installed")
    return pytesseract


@pytest.fixture
def write(tmp_path):
    """A function that writes a text file and returns its path."""

    def write(name, text):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write
