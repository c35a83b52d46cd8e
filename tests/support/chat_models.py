"""Tiny language models of random weights, with and without eyes, that transformers' Auto classes load."""

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

SPECIAL = ["<pad>", "<s>", "</s>", "<image>", "<|user|>", "<|system|>", "<|answer|>"]
TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}<|{{ message['role'] }}|>"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{% endfor %}{% if add_generation_prompt %}<|answer|>{% endif %}"
)
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "vocab_size": 256 + len(SPECIAL),
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def byte_tokenizer(
    template: str | None = TEMPLATE, named: dict[str, str] | None = None
) -> transformers.PreTrainedTokenizerFast:
    """A tokenizer of single bytes, right-padding as most are by default.

    Args:
        template: of chats.
        named: special tokens that the tokenizer has by a name: ``{"image_token": "<image>"}``.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {subword: number for number, subword in enumerate([*SPECIAL, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, extra_special_tokens=named or SPECIAL[3:], padding_side="right", **special
    )
    if template:
        made.chat_template = template
    return made


def spread(model: torch.nn.Module, std: float = 0.35) -> torch.nn.Module:
    """Weights large enough for answers to differ."""
    torch.manual_seed(3)
    for name, value in model.named_parameters():
        if value.dim() > 1:
            torch.nn.init.normal_(value, std=std if "embed" not in name else 1.0)
    return model


def make_causal(folder: Path, template: str | None = TEMPLATE) -> str:
    """A folder with a language model."""
    config = transformers.LlamaConfig(**TEXT, tie_word_embeddings=False)
    spread(transformers.LlamaForCausalLM(config)).save_pretrained(folder)
    byte_tokenizer(template).save_pretrained(folder)
    return str(folder)


def make_llava(folder: Path) -> str:
    """A folder with a model that reads a picture as 4 tokens."""
    vision = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8
    )
    text = transformers.LlamaConfig(**TEXT)
    config = transformers.LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=3,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=4,
    )
    spread(transformers.LlavaForConditionalGeneration(config)).save_pretrained(folder)
    square = {"height": 16, "width": 16}
    images = transformers.models.clip.image_processing_pil_clip.CLIPImageProcessorPil(size=square, crop_size=square)
    transformers.LlavaProcessor(
        image_processor=images,
        tokenizer=byte_tokenizer(),
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        image_token="<image>",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    return str(folder)
