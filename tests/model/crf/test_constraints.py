"""Transitions of BIOES tags, and a CRF that allows no others."""

import itertools
import re

import pytest
import torch

from ita.model.crf import CRF
from ita.model.crf.constraints import bioes_constraints
from tests.support.paths_of_tags import path_score

BIOES = ["O", *(f"{mark}-{kind}" for kind in ("PER", "LOC") for mark in "BIES")]


def is_valid(names):
    """By the definition of BIOES, not by a table of transitions."""
    text = "".join(f"{name[0]}{name[2:3]}" if name != "O" else "O" for name in names)
    return re.fullmatch(r"(O|SP|SL|BP(IP)*EP|BL(IL)*EL)*", text) is not None


def test_allowed_transitions_are_those_of_bioes_sequences():
    constraints = bioes_constraints(BIOES)
    for length in 1, 2, 3:
        for path in itertools.product(range(len(BIOES)), repeat=length):
            allowed = constraints.start[path[0]] and constraints.end[path[-1]]
            allowed = allowed and all(constraints.transitions[a, b] for a, b in itertools.pairwise(path))
            assert bool(allowed) == is_valid([BIOES[k] for k in path])


@pytest.fixture
def constrained():
    torch.manual_seed(3)
    crf = CRF(len(BIOES), bioes_constraints(BIOES)).double()
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    return crf


def test_constrained_log_partition_sums_over_valid_paths_only(constrained):
    emissions = torch.randn(1, 3, len(BIOES), dtype=torch.float64)
    paths = [p for p in itertools.product(range(len(BIOES)), repeat=3) if is_valid([BIOES[k] for k in p])]
    scores = torch.stack([path_score(constrained, emissions[0], path) for path in paths])
    length = torch.tensor([3])
    torch.testing.assert_close(constrained.log_partition(emissions, length), scores.logsumexp(0, keepdim=True))
    assert constrained.decode(emissions, length)[0].tolist() == list(paths[int(scores.argmax())])
    gradient = torch.autograd.grad(constrained.log_partition(emissions, length).sum(), constrained.transitions)[0]
    assert not gradient[~bioes_constraints(BIOES).transitions].any()


def test_constrained_paths_are_always_valid(constrained):
    constrained.float()
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        emissions = 30 * torch.randn(8, 12, len(BIOES), generator=generator)
        lengths = torch.randint(1, 13, (8,), generator=generator)
        for path, n in zip(constrained.decode(emissions, lengths).tolist(), lengths.tolist(), strict=True):
            assert is_valid([BIOES[k] for k in path[:n]])


def test_constraints_stay_out_of_the_state(constrained):
    assert set(constrained.state_dict()) == {"start", "transitions", "end"}
