"""A tokenizer of letters, and a small encoder's sizes."""

SIZES = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}


class Letters:
    """A tokenizer whose subwords are letters; words of other signs have none."""

    cls_id, sep_id, max_length = 2, 3, 512

    def subwords(self, words):
        return [[ord(sign) - 90 for sign in word if sign.isalpha()] for word in words]
