"""Which order of a classifier's outputs fits the labels best?"""

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
SPARE = 1e-9  # weight of leaving an output without a class; far below that of one image


def best_permutation(predicted: Integers, labels: Integers, classes: int) -> Integers:
    """The class that each output should stand for, so that most images are right.

    A linear sum assignment on the confusion matrix (sparse, as most of its cells are empty). Of
    equally good ones, that which moves the fewest outputs; outputs that were never given keep
    their class if it is free.

    Args:
        predicted: (n,) the output that was largest.
        labels: (n,) the true class.
        classes: K, of outputs and of classes.

    Returns:
        (K,) a permutation: output k stands for class `result[k]`.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    every = np.arange(classes)
    stay = np.full(classes, 0.5 / classes)  # decides between equals, outweighs no image
    weights = np.concatenate([np.ones(len(labels)), stay, np.full(classes, SPARE)])
    rows = np.concatenate([predicted, every, every])
    columns = np.concatenate([labels, every, every + classes])
    table = csr_array((weights, (rows, columns)), shape=(classes, 2 * classes))
    outputs, places = min_weight_full_bipartite_matching(table, maximize=True)
    found = np.full(classes, -1, dtype=np.int64)
    used = places < classes
    found[outputs[used]] = places[used]
    found[found < 0] = np.setdiff1d(every, found)
    return found


def cross_fitted(
    predicted: Integers, labels: Integers, halves: NDArray[np.bool_], classes: int
) -> NDArray[np.bool_]:
    """Which images are right under the best order of the outputs, as found on the *other* half.

    Args:
        predicted: (n,) the output that was largest.
        labels: (n,) the true class.
        halves: (n,) to which half an image belongs.
        classes: K.

    Returns:
        (n,). Its mean is no artefact of fitting: it is K^-1 on average where outputs and balanced
        labels are independent.
    """
    right = np.zeros(len(labels), dtype=bool)
    for half in (halves, ~halves):
        order = best_permutation(predicted[~half], labels[~half], classes)
        right[half] = order[predicted[half]] == labels[half]
    return right
