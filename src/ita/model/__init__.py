"""The tagger: encoder, emissions, CRF, losses, training loop.

Letters in shapes: B posts, W words, K tags, S inputs of a post, R rows that the encoder reads, N inputs of all rows
(subwords and V image regions), M of them first subwords of words, T the longest row, H hidden size, D numbers of a
region.

Start-up. The pipeline runs hundreds of short jobs, so five things are written here that PyTorch, transformers and
seqeval also offer: theirs gives the same numbers, but each imports much to be used once or twice. CPU seconds on the
development machine, after ``import torch``:

======================================  ====  =======  =====================================
what                                    here  library  why
======================================  ====  =======  =====================================
read a BERT tokenizer (``tokenizer``)    0.0      1.2  transformers' tokenizers
load a BERT encoder (``checkpoint``)     0.3      4.1  transformers' models
first update of AdamW (``optimizer``)    0.0      1.6  any optimizer imports torch's compiler
embedding on the meta device (``bert``)  0.0      1.7  its initialisation does, too
F1 on the dev posts (``trainer``)        0.0      1.7  seqeval imports scikit-learn
======================================  ====  =======  =====================================

Nothing else depends on them: with the library's classes in their place everything works, only later.
"""
