"""A trained tagger as one ONNX graph: encoder, emissions and CRF, in standard operators alone.

The graph is put together node by node from the weights, not traced: what reads it sees a loop over words whatever the
number of posts, words and subwords is, and nothing is computed for padding. Modules: ``graph`` collects nodes,
``encoder`` adds the BERT family, ``recursions`` the loops of the CRF, ``entities`` the spans and their probabilities,
``model_file`` puts them together and writes the file, ``model_inputs`` arranges posts as its inputs.
"""
