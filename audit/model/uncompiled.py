"""torch without its compiler: timm and torchvision load it at import, an inspection never uses it.

Loading `torch._dynamo` takes longer than all else that an inspection imports beside torch. What
asks for it there are decorators that exclude a function from compilation.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
HELPERS = f"{COMPILER}.utils"


class _StandIn(ModuleType):
    """Takes the place of one of the compiler's modules until something else of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _clear()
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def without_compiler() -> Iterator[None]:
    """Spare the compiler's loading; where anything but its decorators is asked for, it is loaded.

    Nothing inside may be compiled. Where the compiler is there already, nothing changes.
    """
    if COMPILER not in sys.modules:
        compiler, helpers = _StandIn(COMPILER), _StandIn(HELPERS)
        compiler.disable = _same  # type: ignore[attr-defined]
        helpers.is_compile_supported = _no  # type: ignore[attr-defined]
        sys.modules |= {COMPILER: compiler, HELPERS: helpers}
    try:
        yield
    finally:
        _clear()


def _clear() -> None:
    for name in (COMPILER, HELPERS):
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]


def _same(fn: Callable[..., Any] | None = None, *args: object, **kwargs: object) -> Any:
    """Exclude a function from compilation: it stays as it is, used as a decorator or called."""
    return fn if fn is not None else _same


def _no(device: str) -> bool:
    return False
