"""Tiny vision models of random weights, saved as the published ones are and loaded by transformers' Auto classes."""

import string

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from tests.support.chat_models import TEXT, byte_tokenizer, spread

VISION = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}


def word_tokenizer(folder):
    """A tokenizer of BERT with letters; [CLS], [SEP] and the full stop have the ids that Grounding-DINO looks for."""
    words = [f"[unused{number}]" for number in range(1100)]
    words[0], words[100], words[101], words[102], words[1012] = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "."
    words[200:226] = string.ascii_lowercase
    words[300:326] = [f"##{letter}" for letter in string.ascii_lowercase]
    (folder / "vocab.txt").write_text("\n".join(words))
    return transformers.BertTokenizer(str(folder / "vocab.txt"))


def make_owl(folder, family="owlv2"):
    """A folder with an OWL-ViT or OWLv2 of 4 x 4 patches."""
    folder.mkdir()
    text = {**VISION, "vocab_size": 300, "max_position_embeddings": 24}
    text |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = transformers.AutoConfig.for_model(
        family,
        text_config=text,
        vision_config={**VISION, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    spread(transformers.AutoModelForZeroShotObjectDetection.from_config(config)).save_pretrained(folder)
    name = {"owlv2": "Owlv2", "owlvit": "OwlViT"}[family]
    images = getattr(transformers, f"{name}ImageProcessorPil")(size={"height": 32, "width": 32})
    getattr(transformers, f"{name}Processor")(images, clip_tokenizer()).save_pretrained(folder)
    return str(folder)


def clip_tokenizer():
    """A tokenizer of letters that writes the end of a text, as CLIP's."""
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2, **{letter: 3 + n for n, letter in enumerate(string.ascii_lowercase)}}
    tokenizer = Tokenizer(models.WordLevel({**vocabulary, "<unk>": 40}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("", "isolated")]
    )
    from tokenizers.processors import TemplateProcessing

    tokenizer.post_processor = TemplateProcessing("<s> $A </s>", None, [("<s>", 1), ("</s>", 2)])
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def make_grounding_dino(folder, family="grounding-dino"):
    """A folder with a Grounding-DINO over a Swin of two stages, whose texts have at most 40 subwords."""
    folder.mkdir()
    backbone = transformers.SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=2, out_indices=[1, 2]
    )
    text = transformers.BertConfig(**VISION, vocab_size=1100, max_position_embeddings=64)
    config = transformers.AutoConfig.for_model(
        family,
        backbone_config=backbone,
        text_config=text,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_queries=12,
        num_feature_levels=2,
        max_text_len=40,
    )
    model = spread(transformers.AutoModelForZeroShotObjectDetection.from_config(config), 0.2)
    for name, value in model.named_parameters():
        if "bbox_embed" in name:  # boxes of some extent
            value.data.mul_(0.02)
    model.save_pretrained(folder)
    images = transformers.GroundingDinoImageProcessorPil(size={"shortest_edge": 48, "longest_edge": 64})
    transformers.GroundingDinoProcessor(images, word_tokenizer(folder)).save_pretrained(folder)
    return str(folder)


def make_florence(folder):
    """A folder with a Florence-2 that knows the thousand places."""
    folder.mkdir()
    tokenizer = byte_tokenizer(template=None, named={"image_token": "<image>"})
    tokenizer.add_tokens([AddedToken(f"<loc_{place}>", special=False) for place in range(1000)])
    width = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
    width |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "pad_token_id": 0}
    text = transformers.BartConfig(
        **width,
        vocab_size=len(tokenizer),
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=2,
        max_position_embeddings=1200,
    )
    vision = transformers.Florence2VisionConfig(
        embed_dim=[8, 16],
        depths=[1, 1],
        num_heads=[1, 2],
        num_groups=[1, 2],
        patch_size=[7, 3],
        patch_stride=[4, 2],
        patch_padding=[3, 1],
        patch_prenorm=[False, True],
        window_size=4,
        projection_dim=32,
    )
    config = transformers.Florence2Config(
        text_config=text, vision_config=vision, image_token_id=tokenizer.convert_tokens_to_ids("<image>")
    )
    spread(transformers.Florence2ForConditionalGeneration(config)).save_pretrained(folder)
    square = {"height": 32, "width": 32}
    images = transformers.models.clip.image_processing_pil_clip.CLIPImageProcessorPil(size=square, crop_size=square)
    images.image_seq_length = 17
    tasks = ("description_with_bboxes", "pure_text", "bboxes")
    transformers.Florence2Processor(
        images, tokenizer, post_processor_config={task: {"TASK_NAME": task} for task in tasks}
    ).save_pretrained(folder)
    return str(folder)


def make_reader(folder):
    """A folder with an encoder of images and a decoder of text, as TrOCR and Donut are."""
    folder.mkdir()
    torch.manual_seed(0)
    encoder = transformers.ViTConfig(**VISION, image_size=32, patch_size=8)
    decoder = transformers.TrOCRConfig(
        vocab_size=263,
        d_model=16,
        decoder_layers=2,
        decoder_attention_heads=2,
        decoder_ffn_dim=24,
        max_position_embeddings=64,
        cross_attention_hidden_size=16,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 1, 0, 2
    spread(transformers.AutoModelForImageTextToText.from_config(config)).save_pretrained(folder)
    images = transformers.ViTImageProcessorPil(size={"height": 32, "width": 32})
    transformers.TrOCRProcessor(images, byte_tokenizer(template=None)).save_pretrained(folder)
    return str(folder)


def chat_template(image):
    """A chat template that writes a text for each picture."""
    return (
        "{% for message in messages %}{% for part in message['content'] %}{% if part['type'] == 'image' %}"
        + image
        + "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}<|answer|>"
    )


def make_chat(folder, config, processor):
    """A folder with a model of a configuration, made and saved by the Auto classes."""
    model = spread(transformers.AutoModelForImageTextToText.from_config(config))
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 2, 0
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def make_idefics3(folder):
    """Idefics3, which cuts pictures into tiles: as many as their shape asks for."""
    tokenizer = byte_tokenizer(template=None, named={"image_token": "<image>"})
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4)]
    marks = ["<fake_token_around_image>", "<end_of_utterance>", "<global-img>", *tiles]
    tokenizer.add_tokens([AddedToken(mark, special=True) for mark in marks])
    config = transformers.Idefics3Config(
        text_config={**TEXT, "model_type": "llama", "vocab_size": len(tokenizer)},
        vision_config={**VISION, "image_size": 32, "patch_size": 8},
        image_token_id=tokenizer.image_token_id,
        scale_factor=2,
        pad_token_id=0,
    )
    images = transformers.Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    template = chat_template("<image>")
    return make_chat(
        folder, config, transformers.Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=template)
    )


def make_gemma3(folder):
    """Gemma 3, which needs to be told which tokens are of a picture."""
    named = {"image_token": "<image>", "boi_token": "<|user|>", "eoi_token": "<|system|>"}
    tokenizer = byte_tokenizer(template=None, named=named)
    vision = {**VISION, "image_size": 32, "patch_size": 8, "model_type": "siglip_vision_model"}
    config = transformers.Gemma3Config(
        text_config={
            **TEXT,
            "vocab_size": 300,
            "head_dim": 8,
            "sliding_window": 64,
            "query_pre_attn_scalar": 8,
            "tie_word_embeddings": False,
        },
        vision_config={**vision, "vision_use_head": False},
        mm_tokens_per_image=4,
        tie_word_embeddings=False,  # large embeddings would repeat the last token
        image_token_id=tokenizer.image_token_id,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
    )
    images = transformers.Gemma3ImageProcessorPil(size={"height": 32, "width": 32})
    template = chat_template("<|user|>")
    return make_chat(
        folder, config, transformers.Gemma3Processor(images, tokenizer, image_seq_length=4, chat_template=template)
    )


def make_qwen(folder, family="qwen2_5_vl"):
    """Qwen2.5-VL or Qwen3-VL, which read a picture in its own proportions; their processors need torchvision."""
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    tokenizer = byte_tokenizer(template=None)
    marks = {"vision_start": "<|vision_start|>", "vision_end": "<|vision_end|>", "image": "<|image_pad|>"}
    marks["video"] = "<|video_pad|>"
    tokenizer.add_tokens([AddedToken(mark, special=True) for mark in marks.values()])
    ids = {f"{name}_token_id": tokenizer.convert_tokens_to_ids(mark) for name, mark in marks.items()}
    vision = {"depth": 2, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "patch_size": 4}
    vision |= {"out_hidden_size": 32}
    if family == "qwen2_5_vl":
        vision |= {"fullatt_block_indexes": [1], "window_size": 16}
    else:
        vision |= {"num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
    rope = {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0}
    text = {**TEXT, "vocab_size": len(tokenizer), "head_dim": 8, "rope_parameters": rope}
    config = transformers.AutoConfig.for_model(family, text_config=text, vision_config=vision, **ids)
    images = transformers.Qwen2VLImageProcessorPil(patch_size=4, merge_size=2, min_pixels=64, max_pixels=1024)
    name = {"qwen2_5_vl": "Qwen2_5_VLProcessor", "qwen3_vl": "Qwen3VLProcessor"}[family]
    template = chat_template("<|vision_start|><|image_pad|><|vision_end|>")
    parts = {"image_processor": images, "tokenizer": tokenizer, "video_processor": Qwen2VLVideoProcessor()}
    return make_chat(folder, config, getattr(transformers, name)(**parts, chat_template=template))
