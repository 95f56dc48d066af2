"""The dice and the length of chaos are those of tests/chaos."""

from tests.chaos.conftest import chance, scale

__all__ = ["chance", "scale"]
