"""Scores of tag sequences, one transition at a time."""

import itertools


def path_score(crf, emissions, path):
    score = crf.start[path[0]] + crf.end[path[-1]] + sum(emissions[t, k] for t, k in enumerate(path))
    return score + sum(crf.transitions[a, b] for a, b in itertools.pairwise(path))
