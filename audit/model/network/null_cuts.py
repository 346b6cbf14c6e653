"""Where a null or a control may be looked into: after each layer of its stem, each block, its mean.

Nulls are no timm networks and are never cut in two, so these cuts serve `at_cuts` alone.
"""

import torch
from torch import nn

from audit.model.network.cuts import Cut, CutKind
from audit.model.network.cuts_untraced import work_of


def sibling_cuts(network: nn.Module, shape: tuple[int, int, int]) -> tuple[Cut, ...]:
    """The ends of the layers of `audit.baselines.patch_net.PatchNet`, and its last hidden layer.

    Args:
        network: A network in eval mode, with children `stem`, `blocks` and `fc`.
        shape: (C, H, W) of its input.

    Returns:
        In order, depth by multiply-adds. They cannot freeze anything.
    """
    stem = network.get_submodule("stem")
    layers = [f"stem.{name}" for name, m in stem.named_children() if isinstance(m, nn.ReLU)]
    blocks = [f"blocks.{name}" for name, _ in network.get_submodule("blocks").named_children()]
    work = work_of(network, [*layers, *blocks, "fc"], torch.zeros(1, *shape))
    total = work[""].end
    cuts = [_cut(name, "stage", work[name].end / total, name) for name in (*layers, *blocks)]
    return (*cuts, _cut("head", "head", work["fc"].start / total, "fc"))


def _cut(name: str, kind: CutKind, depth: float, module: str) -> Cut:
    nothing = ((), (), (), (), ())
    return Cut(name, depth, kind, False, *nothing, module=module)
