"""Tiny models of the families that transformers knows, and a tokenizer of letters for them."""

import string

from tokenizers import Tokenizer, models, pre_tokenizers

SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]
LETTERS = ["Ġ", *string.ascii_lowercase]
"""Subwords; the first one stands for a space."""
SMALL = {
    **dict.fromkeys(["hidden_size", "d_model", "n_embd", "dim", "emb_dim", "embed_dim", "embedding_size"], 16),
    **dict.fromkeys(["attention_hidden_size", "entity_emb_size", "d_embed"], 16),
    **dict.fromkeys(["input_embedding_size", "output_embedding_size"], 16),
    **dict.fromkeys(["num_hidden_layers", "num_layers", "n_layers", "n_layer", "encoder_layers"], 2),
    **dict.fromkeys(["decoder_layers", "num_decoder_layers"], 2),
    **dict.fromkeys(["num_attention_heads", "n_heads", "n_head", "num_heads", "num_key_value_heads"], 2),
    **dict.fromkeys(["encoder_attention_heads", "decoder_attention_heads"], 2),
    **dict.fromkeys(["num_experts", "num_local_experts", "n_routed_experts"], 2),
    **dict.fromkeys(["intermediate_size", "d_ff", "d_inner", "ffn_dim", "hidden_dim", "dff", "n_inner"], 32),
    **dict.fromkeys(["encoder_ffn_dim", "decoder_ffn_dim", "moe_intermediate_size"], 32),
    **dict.fromkeys(["head_dim", "attention_head_size", "d_kv", "v_head_dim", "kv_lora_rank", "q_lora_rank"], 8),
    **dict.fromkeys(["rotary_dim", "qk_rope_head_dim", "qk_nope_head_dim", "state_size", "conv_kernel"], 4),
    **dict.fromkeys(["max_position_embeddings", "n_positions", "max_seq_len"], 64),
    "num_experts_per_tok": 1,
    "time_step_rank": 4,
    "entity_vocab_size": 10,
    "vocab_size": 60,
}
IDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}


def small_config(family, **changes):
    """The configuration of a family with small numbers in place of those that it has."""
    from transformers import AutoConfig

    usual = AutoConfig.for_model(family)
    values = {name: getattr(usual, name, None) for name in SMALL}
    numbers = {name: SMALL[name] for name, value in values.items() if type(value) is int and value > 0}
    ids = {name: value for name, value in IDS.items() if hasattr(usual, name)}
    return AutoConfig.for_model(family, **{**numbers, **ids, **changes})


def make_encoder(folder, family, special=("cls_token", "sep_token"), **changes):
    """A folder with a tiny model of a family, with random weights, and a tokenizer of letters.

    Args:
        folder: to write.
        family: model type.
        special: which special tokens the tokenizer knows beside padding and unknown words.
        changes: settings of its configuration.
    """
    import torch
    import transformers

    torch.manual_seed(0)
    config = small_config(family, **changes)
    auto = "AutoModelForTextEncoding" if config.is_encoder_decoder else "AutoModel"
    getattr(transformers, auto).from_config(config).save_pretrained(folder)
    vocabulary = {subword: number for number, subword in enumerate([*SPECIAL, *LETTERS])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    texts = {"cls_token": "<s>", "bos_token": "<s>", "sep_token": "</s>", "eos_token": "</s>"}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", **{name: texts[name] for name in special}
    ).save_pretrained(folder)
    return folder
