"""cutaway: a language-model engine with the lid off."""

from cutaway import errors
from cutaway._core import __version__
from cutaway.formats import formats, pack, unpack

__all__ = ["__version__", "errors", "formats", "pack", "unpack"]
