"""The estimators agree with DADApy and scikit-dimension; see benchmarks/peers.txt."""

import numpy as np
import pytest
import torch

from audit.kernels.estimators import gride, two_nn
from audit.kernels.neighbours import nearest

X = np.random.default_rng(0).standard_normal((600, 12))
R = nearest(torch.from_numpy(X), 4).distances.numpy()
LOGS = np.log(R[:, 1] / R[:, 0])

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours


@pytest.mark.parametrize(
    ("ours", "theirs"), [(("fit", 0.1), ("base", 0.9)), (("mle", 0.1), ("ml", 0.9))]
)
def test_two_nn_agrees_with_dadapy(ours, theirs):
    dadapy = pytest.importorskip("dadapy")
    data = dadapy.Data(coordinates=X, maxk=4, n_jobs=1)
    expected = data.compute_id_2NN(algorithm=theirs[0], mu_fraction=theirs[1])[0]

    assert two_nn(LOGS, *ours) == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(R, data.distances[:, 1:5], rtol=1e-9)


def test_gride_agrees_with_dadapy():
    """DADApy leaves out the largest ratios and counts one point less: a few thousandths."""
    dadapy = pytest.importorskip("dadapy")
    data = dadapy.Data(coordinates=X, maxk=8, n_jobs=1)
    expected = data.return_id_scaling_gride(range_max=4)[0][1]

    assert gride(np.log(R[:, 3] / R[:, 1]), 2) == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("fit", 0.1), ("linear", 0.1)),
        (("fit", 0.3), ("linear", 0.3)),
        (("censored", 0.1), ("mle", 0.1)),
        (("mle", 0.1), ("mle", 0.0)),
    ],
)
def test_two_nn_agrees_with_scikit_dimension(ours, theirs):
    skdim_id = pytest.importorskip("skdim.id")
    method, discard = theirs
    expected = skdim_id.TwoNN(method=method, discard_fraction=discard).fit(X).dimension_

    assert two_nn(LOGS, *ours) == pytest.approx(expected, rel=1e-6)


def test_faiss_finds_the_same_neighbours():
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexFlatL2(X.shape[1])
    index.add(X.astype(np.float32))
    squares, _ = index.search(X.astype(np.float32), 3)

    np.testing.assert_allclose(np.sqrt(squares[:, 1:]), R[:, :2], rtol=1e-3)
