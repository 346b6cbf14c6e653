"""What a refusal of a checkpoint must say beside its reason."""

import pytest

from tests.samples.checkpoints import refusal
from tests.samples.hostile_checkpoints import BROKEN_CASES, CODE_CASES

GLOBALS = {
    "call at the top": "io.open",
    "call beside weights": "io.open",
    "nested pickle": "pickle.loads",
    "pkgutil.resolve_name": "pkgutil.resolve_name",
    "timeit": "timeit.timeit",
    "torch.load itself": "torch.serialization.load",
    "torch's own gadgets": "torch.storage._load_from_bytes",
    "call of a type": "torch.Tensor",
    **{f"raw pickle {n}": "io.open" for n in (0, 2, 4, 5)},
    "pickle named .safetensors": "io.open",
    "pickle named .bin": "io.open",
    "legacy with a call": "io.open",
    "whole pickled module": "timm.models.resnet.ResNet",
}
ACTS = ("Copy", "Download", "Save", "Run `git lfs pull`", "Give")


@pytest.mark.parametrize("name", GLOBALS)
def test_the_blocked_global_is_named(name, tmp_path):
    assert f"'{GLOBALS[name]}'" in str(refusal(CODE_CASES[name].build(tmp_path)))


@pytest.mark.parametrize("name", BROKEN_CASES)
def test_a_broken_file_comes_with_what_to_do(name, tmp_path):
    said = str(refusal(BROKEN_CASES[name].build(tmp_path)))
    assert said.split(". ")[-1].startswith(ACTS), said
