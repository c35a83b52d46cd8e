"""Fast draws of dropout."""

import pytest
import torch

from ita.model.dropout import dropout, dropout_factors


def test_dropout_factors():
    torch.manual_seed(3)
    x = torch.randn(999, 33, requires_grad=True)
    factors = dropout_factors(x, 0.1)
    assert factors.shape == x.shape
    assert factors.unique().tolist() == pytest.approx([0, 1 / 0.9], rel=1e-4)
    assert float((factors == 0).float().mean()) == pytest.approx(0.1, abs=0.01)
    for offset in (1, 2, 3, 4, 33):
        together = float(((factors.flatten()[offset:] == 0) & (factors.flatten()[:-offset] == 0)).float().mean())
        assert together == pytest.approx(0.01, abs=0.002), "neighbours are drawn independently"
    torch.manual_seed(4)
    dropped = dropout(x, 0.1, True)
    torch.manual_seed(4)
    assert torch.equal(dropped, dropout(x, 0.1, True))
    assert dropout(x, 0.1, False) is dropout(x, 0.0, True) is x
