"""An accelerator that is not there: tensors with values that say they are on another device.

Its operations are those of the processor. Like a GPU it refuses to mix its tensors with others (but
for single numbers, indices and copies), and its tensors cannot become arrays of numpy.
"""

import contextlib
import functools
import multiprocessing
import os
import traceback

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

AWAY = torch.device("meta")
MIXING = {"aten::copy_", "aten::to", "aten::_to_copy", "aten::index", "aten::index_put_"}


def apart(test):
    """Run a test in a process of its own: what learns on such a device can fork no more."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        child = multiprocessing.get_context("fork").Process(target=_run, args=(test, args, kwargs))
        child.start()
        child.join()
        assert child.exitcode == 0, "see what it printed"

    return run


def _run(test, args, kwargs):
    torch.set_num_threads(1)  # other threads of the parent are not there
    try:
        test(*args, **kwargs)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


class Mixed(RuntimeError):
    """Tensors of two devices met."""


class Away(torch.Tensor):
    """A tensor on the accelerator."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(),
            dtype=inner.dtype, device=AWAY,
        )  # fmt: skip

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return dispatched(func, args, kwargs or {})

    def tolist(self):
        return self.inner.tolist()  # torch itself refuses this for classes like this one


class Accelerator(TorchDispatchMode):
    """Within this, the device is there."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = dispatched(func, args, kwargs or {})
        if any(isinstance(leaf, Away) for leaf in tree_leaves(found)):
            self.operations.append(func._schema.name)
        return found


def dispatched(func, args, kwargs):
    """Run an operation on what the tensors hold."""
    leaves, name = tree_leaves((args, kwargs)), func._schema.name
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    away = [leaf for leaf in tensors if isinstance(leaf, Away)]
    mixed = [leaf for leaf in tensors if not isinstance(leaf, Away) and leaf.dim()]
    if away and mixed and name not in MIXING:
        raise Mixed(f"{name} needs all tensors on one device")
    if any(leaf.device == AWAY for leaf in mixed):
        raise Mixed(f"{name} got a tensor without values: it was made where nobody sees it")
    devices = [torch.device(leaf) for leaf in leaves if isinstance(leaf, torch.device)]
    held = tree_map(here, (args, kwargs))
    found = func(*held[0], **held[1])
    goes = devices[-1] == AWAY if devices else bool(away)
    if tensors and found is held[0][0] and goes == isinstance(args[0], Away):
        return args[0]  # it worked in place, or had nothing to do
    if not goes:
        return found
    return tree_map(lambda leaf: Away(leaf) if isinstance(leaf, torch.Tensor) else leaf, found)


def here(leaf):
    """What a tensor holds; the processor for a device."""
    if isinstance(leaf, torch.device):
        return torch.device("cpu")
    return leaf.inner if isinstance(leaf, Away) else leaf


@contextlib.contextmanager
def accelerator():
    """The device, and the operations that were done on it."""
    with Accelerator() as there:
        yield there
