"""The note that says how low a high dimension reads."""

import math

import numpy as np
import pytest
import torch

from audit.kernels.bias import READ, SIZES, bias_note
from audit.kernels.estimators import two_nn
from audit.kernels.neighbours import nearest


@pytest.mark.parametrize("d", [20, 50])
def test_the_table_is_what_gaussian_clouds_read(d):
    draws = [torch.from_numpy(np.random.default_rng(s).standard_normal((500, d))) for s in range(8)]
    distances = [nearest(x, 2).distances.T for x in draws]
    mean = np.mean([two_nn((r2 / r1).log().numpy()) for r1, r2 in distances])

    assert READ[d][SIZES.index(500)] == pytest.approx(mean, rel=0.06)


def test_only_a_high_dimension_is_called_a_lower_bound():
    assert bias_note(19.9, 2000) == bias_note(math.nan, 2000) == ""
    assert "1,000 points of a Gaussian cloud of 50 dimensions read 31" in bias_note(30.0, 1500)
    assert "100 points of a Gaussian cloud of 30" in bias_note(20.5, 60)


def test_more_dimensions_read_more_at_every_size():
    columns = zip(*READ.values(), strict=True)
    assert all(list(column) == sorted(column) for column in columns)
