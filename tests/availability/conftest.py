"""The dice and the length of chaos are those of tests/chaos."""

import os
import shutil

import pytest

from tests.chaos.conftest import chance, scale

__all__ = ["chance", "scale"]


def require_installed(*programs: str) -> None:
    """Skip what needs programs that this machine has not; CI has them."""
    if absent := [each for each in programs if shutil.which(each) is None]:
        told = f"not installed: {', '.join(absent)}; .ci/run says from which packages they are"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(told)
