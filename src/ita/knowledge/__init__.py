"""Knowledge: what a language model writes about a post and its picture.

``templates`` makes prompts, ``demonstrations`` and ``retrieval`` choose examples, ``answers`` keeps what was answered,
and the backends ask: ``chat`` a server, ``local`` a model in this process, ``filled`` none at all.
"""
