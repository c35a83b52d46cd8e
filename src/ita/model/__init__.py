"""The tagger: encoder, tag scores, CRF, losses, training loop.

Letters in shapes: B posts, W words, R encoder inputs (rows), N word pieces of all rows, M of them first pieces of
words, T the longest row, H hidden size, K tags.
"""
