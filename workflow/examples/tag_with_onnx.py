"""Entities of posts by a file of `ita export`, with ONNX Runtime, tokenizers and numpy: no torch, no ita.

python tag_with_onnx.py model.onnx < posts.jsonl    # a line: {"tokens": ["RT", ...], "context": ["a red car", ...]}
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
model = {name: json.loads(value) for name, value in session.get_modelmeta().custom_metadata_map.items()}
tokenizer = Tokenizer.from_file(str(Path(sys.argv[1]).with_name("tokenizer.json")))
tokenizer.no_padding()
posts, rows, firsts = [json.loads(line) for line in sys.stdin], [], []
for post in posts:
    row = [model["cls_id"]]
    for words in [post["tokens"], *(text.split() for text in post.get("context", []))]:
        pieces = [tokenizer.encode([word], is_pretokenized=True, add_special_tokens=False).ids for word in words]
        if len(row) == 1:  # the post; what follows are texts of its image, of which only those that fit are read
            starts = np.cumsum([1, *map(len, pieces)]).tolist()
            firsts.append([start if ids else -1 for start, ids in zip(starts, pieces, strict=False)])
        row = [*(row + sum(pieces, []))[: model["max_length"] - 1], model["sep_id"]]
    rows.append(row)
slots, width = max(map(len, rows)), max(map(len, firsts))
first = np.array([first + [-1] * (width - len(first)) for first in firsts])
inputs = {
    "input_ids": np.array([row + [model["pad_id"]] * (slots - len(row)) for row in rows]),
    "attention_mask": np.array([[1] * len(row) + [0] * (slots - len(row)) for row in rows]),
    "first_subwords": np.where(first < 0, -1, first + slots * np.arange(len(rows))[:, None]),
    "lengths": np.array([*map(len, firsts)]),
}
tags, ends, posteriors = session.run(["tags", "span_ends", "span_posteriors"], inputs)
for post, tag, end, p in zip(posts, tags, ends, posteriors, strict=True):
    spans = [(s, int(end[s]), model["tags"][tag[s]][2:], round(float(p[s]), 4)) for s in np.flatnonzero(end).tolist()]
    print(json.dumps({"tokens": post["tokens"], "spans": spans}, ensure_ascii=False))
