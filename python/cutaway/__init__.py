"""cutaway: a language-model engine with the lid off."""

from cutaway import errors, ops, ref
from cutaway._core import __version__
from cutaway.formats import formats, pack, unpack
from cutaway.gguf import write_gguf
from cutaway.inspect import inspect
from cutaway.text import Tokenizer, Tokens, Utf8Stream

__all__ = [
    "Tokenizer",
    "Tokens",
    "Utf8Stream",
    "__version__",
    "errors",
    "formats",
    "inspect",
    "ops",
    "pack",
    "ref",
    "unpack",
    "write_gguf",
]
