"""The CRF and cross-view alignment against outputs of the official ITA code; every name and size is the file's."""

import json

import pytest
import torch

from ita.model.crf import CRF
from ita.model.losses import posterior_alignment, structural_alignment

FORBIDDEN = -1e12
CLOSE = {"rtol": 1e-5, "atol": 1e-5}

pytestmark = pytest.mark.golden


class Reference:
    """Values of one file; START and STOP are tags there, whose column and row are our start and end scores."""

    def __init__(self, file):
        self.values = json.loads(file.read_text())
        self.views = [name.removeprefix("emissions_") for name in self.values if name.startswith("emissions_")]
        self.lengths = torch.tensor(self.values["lens"])
        self.tags = torch.tensor(self.values["gold"])
        self.temperatures = {
            float(name.removeprefix("cva_T")): value for name, value in self.values.items() if name.startswith("cva_T")
        }

    def crf(self):
        matrix = self.values["transitions_to_from"]
        to_from = torch.tensor([[FORBIDDEN if score is None else score for score in row] for row in matrix])
        closed = to_from == FORBIDDEN
        (start,), (stop,) = closed.all(1).nonzero().flatten().tolist(), closed.all(0).nonzero().flatten().tolist()
        crf = CRF(len(self.values["tags"]))
        with torch.no_grad():
            crf.transitions.copy_(to_from.T)
            crf.start.copy_(to_from[:, start])
            crf.end.copy_(to_from[stop])
        return crf

    def tensor(self, name):
        return torch.tensor(self.values[name])

    def close(self, value, name):
        torch.testing.assert_close(value, self.tensor(name), **CLOSE)


@pytest.fixture(scope="module")
def reference(golden):
    return Reference(golden / "ita" / "parity.json")


def test_the_file_holds_both_views(reference):
    assert {"IT", "T"} <= set(reference.views) and reference.temperatures


def test_likelihood(reference):
    crf, lengths = reference.crf(), reference.lengths
    for view in reference.views:
        emissions = reference.tensor(f"emissions_{view}")
        log_z, nll = crf.log_partition(emissions, lengths), crf.nll(emissions, reference.tags, lengths)
        reference.close(log_z, f"logZ_{view}")
        reference.close(log_z - nll, f"gold_score_{view}")
        reference.close(nll.mean(), f"nll_mean_{view}")


def test_marginals_and_best_paths(reference):
    crf, lengths = reference.crf(), reference.lengths
    for view in reference.views:
        emissions = reference.tensor(f"emissions_{view}")
        log_z, log_marginals = crf.forward_backward(emissions, lengths)
        torch.testing.assert_close(log_z, crf.log_partition(emissions, lengths))
        paths = crf.decode(emissions, lengths).tolist()
        for post, length in enumerate(lengths.tolist()):
            expected = torch.tensor(reference.values[f"marginals_{view}"][post][:length])
            torch.testing.assert_close(log_marginals[post, :length].exp(), expected, **CLOSE)
            assert paths[post][:length] == reference.values[f"viterbi_{view}"][post][:length]


def test_alignment(reference):
    crf, lengths = reference.crf(), reference.lengths
    emissions = [reference.tensor(f"emissions_{view}") for view in ("IT", "T")]
    exact = [view.double() for view in emissions]
    for temperature, expected in reference.temperatures.items():
        single = [crf.float().forward_backward(view, lengths)[1] for view in emissions]
        loss = posterior_alignment(*single, lengths, temperature).mean().item()
        # The original sums unnormalised scores in float32: equal to 7e-4 relative, as the README there says.
        assert loss == pytest.approx(expected, rel=7e-4)
        double = [crf.double().forward_backward(view, lengths)[1] for view in exact]
        assert loss == pytest.approx(posterior_alignment(*double, lengths, temperature).mean().item(), rel=1e-5)
        structural = structural_alignment(crf.float(), *emissions, lengths, temperature)
        reference_loss = structural_alignment(crf.double(), *exact, lengths, temperature)
        torch.testing.assert_close(structural.double(), reference_loss, rtol=1e-4, atol=1e-4)
