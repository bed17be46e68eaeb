"""The small random checkpoints of the tests of conversion."""

from tests.convert.conftest import _one_thread, make_checkpoint, tokenizer

__all__ = ["_one_thread", "make_checkpoint", "tokenizer"]
