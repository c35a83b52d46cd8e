"""The tagger: encoder, emissions, CRF, losses, training loop.

Letters in shapes: B posts, W words, K tags, S inputs of a post, R rows that the encoder reads, N inputs of all rows
(subwords and V image regions), M of them first subwords of words, T the longest row, H hidden size, D numbers of a
region.

Start-up. A run of a small encoder takes seconds, and the pipeline starts hundreds, so four things are written here that
PyTorch and transformers also offer; each gives the same numbers, and each would import much to be used once. Seconds
until the first update on one core of the development machine:
STARTUP_TABLE
Nothing else depends on them: with the library's own classes in their place everything works, later.
"""
