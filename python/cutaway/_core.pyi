from __future__ import annotations

import typing

import numpy
import numpy.typing

__all__: list[str] = [
    "File",
    "TensorInfo",
    "cores",
    "cpu",
    "default_target",
    "formats",
    "open_gguf",
    "targets",
    "unpack",
]

class TensorInfo:
    """
    One tensor of a File.
    """
    def __repr__(self) -> str: ...
    @property
    def bytes(self) -> int:
        """
        Stored bytes; 0 where the type's size is unknown.
        """
    @property
    def format(self) -> str:
        """
        How its elements are stored: "q4_1".
        """
    @property
    def name(self) -> str: ...
    @property
    def offset(self) -> int:
        """
        Bytes from the start of its file.
        """
    @property
    def part(self) -> int:
        """
        Index into File.parts.
        """
    @property
    def shape(self) -> tuple:
        """
        Row-major, slowest axis first.
        """
    @property
    def supported(self) -> bool:
        """
        Whether we compute with this format.
        """
    @property
    def type(self) -> int:
        """
        ggml's type id.
        """

class File:
    """
    A model file, validated: metadata, tensors, bytes. Made by open_gguf.
    """
    def __repr__(self) -> str: ...
    def length(self, key: str) -> int:
        """
        Elements of an array value, 1 otherwise.
        """
    def raw(
        self,
        name: str,
        start: typing.SupportsInt | typing.SupportsIndex = 0,
        bytes: typing.SupportsInt | typing.SupportsIndex | None = None,
    ) -> numpy.typing.NDArray[numpy.uint8]:
        """
        Stored bytes of a tensor as a uint8 array.
        """
    def tensor(self, name: str) -> TensorInfo: ...
    def value(self, key: str) -> typing.Any:
        """
        One metadata value.
        """
    def value_type(self, key: str) -> str:
        """
        "u32", or "string[]" for an array.
        """
    @property
    def bytes(self) -> int:
        """
        All parts together.
        """
    @property
    def header_bytes(self) -> int:
        """
        What lies before the tensor data, all parts together.
        """
    @property
    def keys(self) -> list[str]:
        """
        Metadata keys in file order.
        """
    @property
    def kind(self) -> str:
        """
        "gguf v3"
        """
    @property
    def metadata(self) -> dict:
        """
        All metadata, made anew at each access; value(key) converts one.
        """
    @property
    def parts(self) -> list: ...
    @property
    def tensors(self) -> list[TensorInfo]:
        """
        In file order.
        """
    @property
    def types(self) -> dict: ...
    @property
    def warnings(self) -> list: ...

def cores() -> int:
    """
    Cores this process may use.
    """

def cpu() -> str:
    """
    The CPU's model name.
    """

def default_target() -> str:
    """
    The CPU target in use: the best, or CUTAWAY_TARGET.
    """

def formats() -> list:
    """
    Every format the core reads, as a list of dicts.
    """

def open_gguf(path: typing.Any, header_only: bool = False, limits: dict = {}) -> File:
    """
    Opens a GGUF file, or a split one by its first part, and validates its header.
    """

def targets() -> list[str]:
    """
    CPU targets that this machine runs, best first.
    """

def unpack(
    format: str, raw: numpy.ndarray, n: typing.SupportsInt | typing.SupportsIndex
) -> numpy.typing.NDArray[numpy.float32]:
    """
    Stored rows, uint8 [rows, row_bytes], to float32 [rows, n].
    """

__version__: str
