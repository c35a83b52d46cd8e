"""The tagger: encoder, tag scores, CRF, losses, training loop.

Letters in shapes: B posts, W words, R rows that the encoder reads, N inputs of all rows (word pieces and V regions of
images), M of them first pieces of words, T the longest row, H hidden size, D numbers of a region, K tags.
"""
