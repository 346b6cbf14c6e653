"""An inspection does without torch's compiler, and what needs it finds the real one."""

import subprocess
import sys

import pytest

RUN = [sys.executable, "-c"]
REAL = "'torch._dynamo.convert_frame' in sys.modules"


def said(code):
    done = subprocess.run([*RUN, code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_an_inspection_does_not_load_the_compiler(model):
    code = (
        "import sys; from audit.cli import audit; "
        f"audit(['inspect', {str(model)!r}], standalone_mode=False); print({REAL})"
    )
    assert said(code) == "False"


@pytest.mark.slow
def test_what_asks_for_more_than_its_decorators_gets_the_compiler():
    code = (
        "import sys; from audit.model.uncompiled import without_compiler as without\n"
        "with without():\n"
        "    import torch\n"
        "    same = torch.compiler.disable(len) is len\n"
        "    real = torch._dynamo.config.cache_size_limit > 0\n"
        f"print(same, real, {REAL})"
    )
    assert said(code) == "True True True"


@pytest.mark.slow
def test_afterwards_the_compiler_is_the_real_one():
    code = (
        "import sys; from audit.model.uncompiled import without_compiler as without\n"
        "with without():\n"
        "    import timm\n"
        f"before = {REAL}\n"
        "import torch, torch._dynamo\n"
        f"print(before, {REAL}, torch.compile(lambda x: x + 1, backend='eager')(torch.ones(1)))"
    )
    assert said(code) == "False True tensor([2.])"
