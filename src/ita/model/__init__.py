"""The tagger: encoder, tag scores, CRF, losses, training loop.

Letters in shapes: B posts, W words, T word pieces, N encoder inputs (rows), H hidden size, K tags.
"""
