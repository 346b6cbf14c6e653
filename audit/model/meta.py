"""Networks without values: shapes only, whatever their size."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# What initialises in place. On the meta device it changes nothing, but costs most of the time.
FILLS = frozenset(
    {
        *(Tensor.normal_, Tensor.uniform_, Tensor.erfinv_, Tensor.clamp_, Tensor.fill_),
        *(Tensor.zero_, Tensor.copy_, Tensor.mul_, Tensor.add_, Tensor.sub_, Tensor.div_),
    }
)


class Unfilled(TorchFunctionMode):
    """Leaves out whatever would fill a tensor that has no values."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call what was called, unless it would fill a tensor."""
        if func in FILLS and isinstance(args[0], Tensor) and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """What is built inside has shapes but no values, and takes next to no memory or time."""
    with torch.device("meta"), Unfilled():
        yield
