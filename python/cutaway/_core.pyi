from __future__ import annotations

import collections.abc
import typing

import numpy
import numpy.typing

__all__: list[str] = [
    "Captures",
    "File",
    "Model",
    "PackedWeight",
    "PieceStream",
    "Sampler",
    "Session",
    "StopMatcher",
    "TensorInfo",
    "Tokenizer",
    "Utf8Stream",
    "architectures",
    "arena_floats",
    "char_class",
    "check_max_tokens",
    "cores",
    "cpu",
    "cuda_devices",
    "cuda_targets",
    "default_target",
    "fail_cuda_allocation",
    "formats",
    "is_word",
    "last_kernel",
    "look_for_cublas_in",
    "measure_peaks",
    "nfc",
    "open_gguf",
    "open_model",
    "ops",
    "pack_weight",
    "parse_json",
    "philox4x32",
    "read_config",
    "read_graph",
    "run_op",
    "split",
    "targets",
    "uniform_at",
    "unpack",
    "write_gguf",
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
    A model file, validated: metadata, tensors, bytes. Made by open_model.
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
    def folder(self) -> typing.Any:
        """
        Of a Hugging Face model; "" for GGUF.
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
        "gguf v3", "safetensors"
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

class Tokenizer:
    """
    Text <-> token ids, by the tables of a model file.
    """
    @staticmethod
    def from_json(path: typing.Any) -> Tokenizer:
        """
        Of a tokenizer.json, or of the folder that holds it.
        """
    def __init__(self, file: File) -> None: ...
    def decode(
        self, ids: typing.Annotated[numpy.typing.ArrayLike, numpy.int32], skip_special: bool = False, start: bool = True
    ) -> bytes: ...
    def encode(
        self,
        text: typing.Any,
        parse_special: bool = False,
        add_bos: bool = False,
        max_tokens: typing.SupportsInt | typing.SupportsIndex = -1,
    ) -> numpy.typing.NDArray[numpy.int32]:
        """
        The ids, int32 [T].
        """
    def encode_bos(
        self,
        text: typing.Any,
        parse_special: bool = False,
        add_bos: bool = False,
        max_tokens: typing.SupportsInt | typing.SupportsIndex = -1,
    ) -> tuple[numpy.typing.NDArray[numpy.int32], bool]:
        """
        The ids, and whether a BOS was put in front of them.
        """
    def gguf_metadata(self) -> tuple[dict, list[str]]: ...
    def is_special(self, id: typing.SupportsInt | typing.SupportsIndex) -> bool: ...
    def piece(self, id: typing.SupportsInt | typing.SupportsIndex) -> bytes: ...
    def token_id(self, text: typing.Any) -> int: ...
    @property
    def add_bos(self) -> bool: ...
    @property
    def add_eos(self) -> bool: ...
    @property
    def bos_id(self) -> typing.Any: ...
    @property
    def chat_template(self) -> typing.Any: ...
    @property
    def chat_templates(self) -> dict: ...
    @property
    def context_length(self) -> typing.Any: ...
    @property
    def end_ids(self) -> list[int]: ...
    @property
    def eom_id(self) -> typing.Any: ...
    @property
    def eos_id(self) -> typing.Any: ...
    @property
    def eot_id(self) -> typing.Any: ...
    @property
    def kind(self) -> str: ...
    @property
    def n_merges(self) -> int: ...
    @property
    def padding_id(self) -> typing.Any: ...
    @property
    def pre(self) -> str: ...
    @property
    def space_prefix(self) -> bool: ...
    @property
    def unknown_id(self) -> typing.Any: ...
    @property
    def vocab_size(self) -> int: ...

class PieceStream:
    """
    The bytes of one token after the other.
    """
    def __init__(self, tokenizer: Tokenizer, skip_special: bool = False, start: bool = True) -> None: ...
    def push(self, id: typing.SupportsInt | typing.SupportsIndex) -> bytes: ...

class Utf8Stream:
    """
    Bytes in, whole characters out.
    """
    def __init__(self) -> None: ...
    def flush(self) -> str: ...
    def push(self, bytes: bytes) -> str: ...
    @property
    def pending(self) -> bytes: ...

class PackedWeight:
    """
    A weight laid out for matmul and embed.
    """
    def row(self, n: typing.SupportsInt | typing.SupportsIndex) -> numpy.typing.NDArray[numpy.float32]:
        """
        Row n as float32 [K].
        """
    @property
    def format(self) -> str: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def shape(self) -> tuple: ...

class Model:
    def __init__(
        self,
        file: File,
        target: str = "",
        threads: typing.SupportsInt | typing.SupportsIndex = 0,
        exact: bool = False,
        device: str = "cpu",
    ) -> None: ...
    def arena_floats(self) -> int: ...
    def fault(self) -> None:
        """
        For tests, in a process of their own: breaks the model's CUDA device as a faulty kernel would.
        """
    def run_stage(
        self,
        stage: dict,
        reads: collections.abc.Sequence[numpy.ndarray],
        shape: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex],
    ) -> numpy.ndarray: ...
    def steps(self) -> list: ...
    def weights(self) -> list: ...
    def with_graph(self, arg0: dict) -> Model: ...
    @property
    def backend(self) -> str: ...
    @property
    def config(self) -> dict: ...
    @property
    def exact(self) -> bool: ...
    @property
    def graph(self) -> dict: ...

class Captures:
    def __getitem__(self, i: typing.SupportsInt | typing.SupportsIndex) -> dict:
        """
        name, shape, tokens, positions and data of one tensor.
        """
    def __len__(self) -> int: ...
    def names(self) -> list: ...

class Session:
    def __init__(
        self,
        model: Model,
        n_ctx: typing.SupportsInt | typing.SupportsIndex,
        kv: str = "f16",
        sequences: typing.SupportsInt | typing.SupportsIndex = 1,
    ) -> None: ...
    def cache(
        self,
        sequence: typing.SupportsInt | typing.SupportsIndex,
        layer: typing.SupportsInt | typing.SupportsIndex,
        values: bool,
    ) -> numpy.ndarray:
        """
        Keys or values so far: [length, G, E]; of a layer with a window, those that it keeps.
        """
    def cache_bytes(self) -> int: ...
    def close(self) -> None: ...
    def fork(self, sequence: typing.SupportsInt | typing.SupportsIndex = 0) -> int: ...
    def forward(
        self,
        tokens: collections.abc.Sequence[typing.Annotated[numpy.typing.ArrayLike, numpy.int32]],
        watch: collections.abc.Sequence[str] = [],
        edit: collections.abc.Sequence[str] = [],
        hook: typing.Any = None,
        all_rows: bool = False,
        stop_after: str = "",
        check_finite: bool = False,
        chain: bool = False,
        record: bool = False,
        keep: collections.abc.Sequence[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex]] = [],
    ) -> dict: ...
    def length(self, sequence: typing.SupportsInt | typing.SupportsIndex = 0) -> int: ...
    def rewind(
        self, sequence: typing.SupportsInt | typing.SupportsIndex, length: typing.SupportsInt | typing.SupportsIndex
    ) -> None: ...
    def sequences(self) -> int: ...
    def workspace_bytes(self) -> int: ...

class Sampler:
    """
    Chooses the next id from a row of logits.

    Order: logit bias, penalties, then at temperature 0 the largest logit (ties to the lowest id), else top_k, top_p,
    min_p, temperature, draw. Random numbers are Philox4x32-10 keyed by (seed, sequence, position): the same row at the
    same place gives the same id, whatever was sampled before or beside it.

    argument            means                                                 raises ArgumentError
    temperature         0 greedy; 1e-45 the largest logit, equal ones drawn;  -1, nan, inf
                        1e30 uniform over what the filters keep
    top_k               0 off; k the k largest; above the vocabulary: all     -1
    top_p               0 the largest only; 1 off                             -0.1, 1.5, nan
    min_p               0 off; 1 only those equal to the largest              -0.1, 1.5, nan
    repetition_penalty  1 off; r divides positive logits of the history's     0, -1, nan, inf
                        ids and multiplies the others
    presence_penalty    0 off; subtracted from each id in the history         nan, inf
    frequency_penalty   0 off; subtracted once for each time in the history   nan, inf
    penalty_last_n      ids at the history's end that the penalties see;      -2
                        -1 all, 0 none
    seed                0 <= seed < 2**64; None: a fresh one, see .seed       -1, 2**64
    logit_bias          {id: number added to its logit}; -inf bans the id     id outside the vocabulary, nan, inf, a ban
                                                                              on every id ("no token left to sample")
    max_tokens          (check_max_tokens) 0 generates nothing; n at most n   -1, 2**63

    Raises
        ArgumentError: for the values above, a bool, or what is not a number
    """
    def __init__(
        self,
        *,
        temperature: typing.Any = 1.0,
        top_k: typing.Any = 0,
        top_p: typing.Any = 1.0,
        min_p: typing.Any = 0.0,
        repetition_penalty: typing.Any = 1.0,
        presence_penalty: typing.Any = 0.0,
        frequency_penalty: typing.Any = 0.0,
        penalty_last_n: typing.Any = -1,
        seed: typing.Any = 0,
        logit_bias: typing.Any = None,
    ) -> None: ...
    def sample(
        self,
        logits: numpy.ndarray,
        history: collections.abc.Iterable = (),
        *,
        sequence: typing.Any = 0,
        position: typing.Any = 0,
        valid_vocab: typing.Any = None,
        logprobs: typing.Any = None,
    ) -> tuple:
        """
        (id, its logprob, the `logprobs` largest as [(id, logprob)]) from contiguous float32 logits [V].

        Logprobs are of the raw logits, None when not asked for. Ids from valid_vocab on are
        padding: never read or sampled.

        Raises
            NonFiniteError: NaN, +inf or only -inf in logits
            ArgumentError: bias and penalties leave no token, or leave float32
            InvalidTokenId: an id of the history is not 0 <= id < V
            ShapeError: logits is not such a row
        """
    @property
    def seed(self) -> int: ...

class StopMatcher:
    """
    Stop strings over a stream of bytes: str, bytes or a list of them, 1 to 65536 bytes each.
    """
    def __init__(self, stop: typing.Any) -> None: ...
    def flush(self) -> bytes:
        """
        At the end: what was held back.
        """
    def push(self, bytes: bytes) -> bytes:
        """
        The bytes that are safe to emit now; nothing from the first match on.
        """
    @property
    def matched(self) -> int:
        """
        Index of the stop string that matched, or -1.
        """

def architectures() -> list[str]: ...
def arena_floats(file: File, exact: bool) -> int:
    """
    Floats per token of the stages' tensors on the CPU, of a file's model.
    """

def char_class(code: typing.SupportsInt | typing.SupportsIndex) -> int:
    """
    Class of a code point, numbered as in text/unicode.h.
    """

def check_max_tokens(max_tokens: typing.Any) -> int:
    """
    max_tokens as an int; see the table of Sampler.
    """

def cores() -> int:
    """
    Cores this process may use.
    """

def cpu() -> str:
    """
    The CPU's model name.
    """

def cuda_devices() -> dict:
    """
    devices: name, compute capability, bytes of each; reason: why there is none.
    """

def cuda_targets(name: str) -> list[str]:
    """
    Targets of an op's CUDA kernels, where there is a device.
    """

def default_target() -> str:
    """
    The CPU target in use: the best, or CUTAWAY_TARGET.
    """

def fail_cuda_allocation(after: typing.SupportsInt | typing.SupportsIndex) -> None:
    """
    For tests: of the next allocations on CUDA devices, the one after `after` more fails; negative: none does.
    """

def formats() -> list:
    """
    Every format the core reads, as a list of dicts.
    """

def is_word(code: typing.SupportsInt | typing.SupportsIndex) -> bool: ...
def last_kernel() -> str:
    """
    The kernel that this thread's last run_op ran: "rms_norm/avx2".
    """

def look_for_cublas_in(folder: str) -> None:
    """
    Where the CUDA library looks for cuBLAS before it asks the system.
    """

def measure_peaks(
    target: str,
    threads: typing.SupportsInt | typing.SupportsIndex,
    buffer: typing.Annotated[numpy.typing.ArrayLike, numpy.float32],
    runs: typing.SupportsInt | typing.SupportsIndex,
) -> dict:
    """
    What simple loops reach: 1e9 bytes read a second, operations a second on 8-bit codes and on floats.
    """

def nfc(text: str) -> bytes:
    """
    Unicode normal form C, as UTF-8.
    """

def open_gguf(path: typing.Any, header_only: bool = False, limits: dict = {}) -> File:
    """
    Opens a GGUF file, or a split one by its first part, and validates its header.
    """

def open_model(path: typing.Any, header_only: bool = False, limits: dict = {}) -> File:
    """
    Opens a Hugging Face folder, or a GGUF file as open_gguf does, and validates its headers.
    """

def ops() -> list:
    """
    Every op: name, reads, weights, attributes ('?' marks optional ones), targets, per_sequence.
    """

def pack_weight(format: str, raw: numpy.ndarray, K: typing.SupportsInt | typing.SupportsIndex) -> PackedWeight:
    """
    Stored rows, uint8 [N, row_bytes], laid out for matmul and embed.
    """

def parse_json(
    text: bytes,
    depth: typing.SupportsInt | typing.SupportsIndex = 64,
    values: typing.SupportsInt | typing.SupportsIndex = 16777216,
) -> typing.Any:
    """
    The value of a JSON text as the readers of files take it: strictly, within caps.
    """

def philox4x32(
    counter: typing.Annotated[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], "FixedSize(4)"],
    key: typing.Annotated[collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], "FixedSize(2)"],
) -> typing.Annotated[list[int], "FixedSize(4)"]:
    """
    Four random words: Philox4x32-10.
    """

def read_config(arg0: File) -> dict: ...
def read_graph(arg0: File) -> dict:
    """
    The graph of a file's model, without reading its weights.
    """

def run_op(
    name: str,
    reads: collections.abc.Sequence,
    weights: collections.abc.Sequence,
    attributes: dict,
    target: str = "",
    threads: typing.SupportsInt | typing.SupportsIndex = 1,
    guard: bool = False,
) -> numpy.ndarray:
    """
    Runs one kernel on arrays. guard: the output lies unaligned between guard bytes, and every write is checked.
    """

def split(pre: str, text: typing.Any) -> list[bytes]:
    """
    The pieces a pre-tokeniser cuts a text into.
    """

def targets() -> list[str]:
    """
    CPU targets that this machine runs, best first.
    """

def uniform_at(
    seed: typing.SupportsInt | typing.SupportsIndex,
    sequence: typing.SupportsInt | typing.SupportsIndex,
    position: typing.SupportsInt | typing.SupportsIndex,
) -> float:
    """
    The number in [0, 1) that draws the token at this place.
    """

def unpack(
    format: str, raw: numpy.ndarray, n: typing.SupportsInt | typing.SupportsIndex
) -> numpy.typing.NDArray[numpy.float32]:
    """
    Stored rows, uint8 [rows, row_bytes], to float32 [rows, n].
    """

def write_gguf(
    path: typing.Any,
    metadata: collections.abc.Sequence[tuple[str, str, typing.Any]],
    tensors: collections.abc.Sequence[
        tuple[
            str,
            str,
            collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex],
            typing.Annotated[numpy.typing.ArrayLike, numpy.uint8],
        ]
    ],
) -> None:
    """
    Writes [(key, type, value)] and [(name, format, shape, uint8 array)] as GGUF v3, atomically.
    """

__version__: str
