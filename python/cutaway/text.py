"""Text and tokens: Tokenizer, the Tokens it makes, and Utf8Stream, which yields whole characters.

The work is done by cutaway._core; chat templates are rendered by cutaway.chat.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from cutaway import _core
from cutaway.errors import ArgumentError, InvalidTokenId
from cutaway.output import counted

Ids = npt.NDArray[np.int32]


class Tokens:
    """Token ids, with the bytes each stands for.

    ids        int32 array [T], read-only
    bos_added  whether encode() put a BOS in front, which then is ids[0]
    """

    def __init__(self, ids: Ids, tokenizer: Tokenizer, bos_added: bool = False) -> None:
        self.ids = np.array(ids, dtype=np.int32)
        self.ids.flags.writeable = False
        self.bos_added = bos_added
        self._tokenizer = tokenizer

    @property
    def pieces(self) -> list[bytes]:
        """The bytes of each token, as long as ids; they may cut a character in two."""
        return [self._tokenizer.piece(int(i)) for i in self.ids]

    def tolist(self) -> list[int]:
        """The ids as a list."""
        return self.ids.tolist()

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids.tolist())

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> Ids: ...
    def __getitem__(self, at: int | slice) -> int | Ids:
        return self.ids[at] if isinstance(at, slice) else int(self.ids[at])

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        wanted = self.ids.dtype if dtype is None else np.dtype(dtype)
        if copy is False and wanted != self.ids.dtype:
            raise ValueError(f"Tokens are int32; as {wanted} they must be copied")
        return self.ids.astype(wanted) if copy or wanted != self.ids.dtype else self.ids

    def __repr__(self) -> str:
        shown = [f"{i} {_text_or_bytes(self._tokenizer.piece(i))!r}" for i in self.ids[:32].tolist()]
        more = f", ... {len(self) - 32} more" if len(self) > 32 else ""
        return f"Tokens({len(self)}{', BOS added' if self.bos_added else ''}: {', '.join(shown)}{more})"


def _text_or_bytes(piece: bytes) -> str | bytes:
    """A piece as str where it is one; bytes where it cuts a character."""
    try:
        return piece.decode("utf-8")
    except UnicodeDecodeError:
        return piece


@dataclass(frozen=True)
class RoundTrip:
    """What encode() and then decode() made of a text. Truthy when they gave it back byte for byte.

    at, why    index of the first differing byte and the rule behind the difference; None when there is none
    """

    text: bytes
    back: bytes
    tokens: Tokens
    at: int | None
    why: str | None

    def __bool__(self) -> bool:
        return self.at is None

    def __repr__(self) -> str:
        if self.at is None:
            return f"RoundTrip({len(self.text)} bytes, {len(self.tokens)} tokens: exact)"
        want, got = self.text[self.at : self.at + 8], self.back[self.at : self.at + 8]
        return f"RoundTrip(differs at byte {self.at}: {want!r} came back as {got!r}; {self.why})"


@dataclass(frozen=True)
class TokenizeDiff:
    """What two tokenizers make of one text. Truthy when their ids are the same.

    text, a, b   the bytes, and the Tokens of each
    first        index of the first token that differs; None when there is none
    at           byte of a's text, as a decodes it, that this token begins at
    """

    text: bytes
    a: Tokens
    b: Tokens
    first: int | None
    at: int | None

    def __bool__(self) -> bool:
        return self.first is None

    def to_dict(self) -> dict[str, Any]:
        """Plain values: ids of both, and where and how they part."""
        sides = {side: {"ids": t.tolist(), "pieces": self.pieces(t)} for side, t in (("a", self.a), ("b", self.b))}
        return {"same": bool(self), "first": self.first, "at": self.at, **sides}

    def pieces(self, tokens: Tokens, context: int = 4) -> list[str | bytes]:
        """The pieces of a side from the first that differs on."""
        return (
            [] if self.first is None else [_text_or_bytes(p) for p in tokens.pieces[self.first : self.first + context]]
        )

    def __repr__(self) -> str:
        if self.first is None:
            return f"TokenizeDiff(the same {counted(len(self.a), 'token')})"
        a, b = (f"{t.ids[self.first : self.first + 4].tolist()} {self.pieces(t)}" for t in (self.a, self.b))
        return f"TokenizeDiff(parts at token {self.first}, byte {self.at}: a has {a}, b has {b})"


def tokenize_diff(a: Any, b: Any, text: str | bytes, *, bos: bool = False, parse_special: bool = True) -> TokenizeDiff:
    """Where two tokenizers part: those of a GGUF file and of the Hugging Face folder it was made from, for one.

    a, b           tokenizers, models, or what Tokenizer() takes: a file, a folder, a tokenizer.json
    bos            True: with the begin token that each adds
    parse_special  as in Tokenizer.encode

    >>> import cutaway as ct
    >>> ct.tokenize_diff("tiny:llama", "tiny:gpt2", "In 1611")
    TokenizeDiff(parts at token 4, byte 5: a has [16, 16] ['1', '1'], b has [448] ['11'])
    """
    sides = [t if isinstance(t, Tokenizer) else getattr(t, "tokenizer", None) or Tokenizer(t) for t in (a, b)]
    wanted: bool | Literal["model"] = "model" if bos else False
    x, y = (t.encode(text, bos=wanted, parse_special=parse_special) for t in sides)
    data = text.encode("utf-8") if isinstance(text, str) else text
    differ = [i for i, (p, q) in enumerate(zip(x, y, strict=False)) if p != q]
    first = differ[0] if differ else min(len(x), len(y)) if len(x) != len(y) else None
    at = None if first is None else len(sides[0].decode_bytes(x[int(x.bos_added) : first]))
    return TokenizeDiff(data, x, y, first, at)


def folder_tokenizer(folder: str) -> str | None:
    """The file that a Hugging Face folder's tokenizer is read from: tokenizer.json, or vocab.json with merges.txt."""
    there = lambda name: os.path.isfile(os.path.join(folder, name))
    if there("tokenizer.json"):
        return "tokenizer.json"
    return "vocab.json" if there("vocab.json") and there("merges.txt") else None


def token_ids(ids: Any, vocab_size: int) -> Ids:
    """The given ids as an int32 array [T]. Takes Tokens, an integer, a sequence of integers or an integer array.

    Raises InvalidTokenId (E007) with the index of a bool, a float or an id outside 0 <= id < vocab_size; never clamps.
    Raises ArgumentError for what is no list of ids at all.
    """
    if isinstance(ids, Tokens):
        ids = ids.ids
    if isinstance(ids, (int, float, np.generic)):
        ids = [ids]
    if isinstance(ids, np.ndarray) and ids.dtype != object:
        if ids.ndim != 1:
            raise ArgumentError(f"ids have shape {list(ids.shape)}, expected one axis [T]")
        if ids.dtype.kind in "iu":
            wrong = np.flatnonzero((ids < 0) | (ids >= vocab_size))
            if len(wrong):
                raise _invalid(int(wrong[0]), int(ids[wrong[0]]), vocab_size)
            return ids.astype(np.int32)
        ids = list(ids)
    if isinstance(ids, (str, bytes, bytearray, Mapping, AbstractSet)) or not isinstance(ids, Iterable):
        raise ArgumentError(
            f"ids are a {type(ids).__name__}, expected a sequence of integers",
            hint="chat_tokens(messages) gives those of messages" if isinstance(ids, Mapping) else "encode text first",
        )
    checked = []
    for index, value in enumerate(ids):
        if isinstance(value, (bool, np.bool_, float, np.floating)):
            raise _invalid(index, value, vocab_size)
        if not isinstance(value, (int, np.integer)):
            raise ArgumentError(f"ids[{index}] is a {type(value).__name__}, expected an integer")
        if not 0 <= value < vocab_size:
            raise _invalid(index, int(value), vocab_size)
        checked.append(value)
    return np.array(checked, dtype=np.int32)


def _invalid(index: int, value: Any, vocab_size: int) -> InvalidTokenId:
    plain = value.item() if isinstance(value, np.generic) else value
    what = (
        f"{plain!r}"
        if isinstance(plain, int) and not isinstance(plain, bool)
        else f"the {type(plain).__name__} {plain}"
    )
    return InvalidTokenId(
        f"tokens[{index}] is {what}, expected an integer, 0 <= id < {vocab_size}", index=index, value=plain
    )


class Tokenizer:
    """Text <-> token ids, by the tables of a model file, of which only the header is read.

    file  a path: a GGUF file, a folder with tokenizer.json, or a tokenizer.json; a name as ct.load takes it
          ("tiny:llama"); or a file that is open already

    Raises ModelNotFoundError and the other errors of ct.inspect; TokenizerFormatError (E002), ConfigError or
    UnsupportedModelError (E003) for tables that are damaged, at odds or of a kind that we do not speak."""

    def __init__(self, file: Any) -> None:
        from cutaway.loading import find  # here, because loading knows models and models know tokenizers

        if isinstance(file, _core.File):
            self._core = _core.Tokenizer(file)
            return
        path = find(file)
        if os.path.isdir(path) or path.endswith(".json"):
            self._core = _core.Tokenizer.from_json(path)
        else:
            self._core = _core.Tokenizer(_core.open_gguf(path, header_only=True))

    @property
    def kind(self) -> str:
        """ "gguf-bpe" (byte-level BPE), "gguf-spm" (SentencePiece's BPE) or "hf-json" (tokenizer.json, of either)."""
        return self._core.kind

    @property
    def pre(self) -> str:
        """How text is split before merging: the file's `tokenizer.ggml.pre`, or the name that GGUF has for what a
        tokenizer.json does; empty where it has none."""
        return self._core.pre

    @property
    def vocab_size(self) -> int:
        """Tokens of the vocabulary; ids are below it."""
        return self._core.vocab_size

    @property
    def model_max_context(self) -> int | None:
        """Tokens that the model was trained to see; None where the file does not say."""
        return self._core.context_length

    @property
    def bos_id(self) -> int | None:
        """The token that begins a text; None where the file names none."""
        return self._core.bos_id

    @property
    def eos_id(self) -> int | None:
        """The token that ends a text, or None; `end_ids` has every one that ends generation."""
        return self._core.eos_id

    @property
    def eot_id(self) -> int | None:
        """The token that ends a turn of a conversation, or None."""
        return self._core.eot_id

    @property
    def end_ids(self) -> list[int]:
        """Every id that ends generation."""
        return self._core.end_ids

    @property
    def add_bos(self) -> bool:
        """Whether bos="model" adds one."""
        return self._core.add_bos

    @property
    def chat_templates(self) -> dict[str, str]:
        """The file's chat templates by name; the one without a name is "default"."""
        return self._core.chat_templates

    @property
    def chat_template(self) -> str | None:
        """The template named "default", or None."""
        return self._core.chat_template

    def encode(
        self,
        text: str | bytes,
        bos: bool | Literal["model"] = "model",
        parse_special: bool = False,
        max_tokens: int | None = None,
    ) -> Tokens:
        """The tokens of a text.

        bos            "model": as the model's file says. True or False: yes or no. Never a second one: a text whose
                       first token is a BOS already (a rendered chat template) gets none.
        parse_special  True: text that reads like a control token becomes it. For your own templates, never for text of
                       strangers. EOS is never added.
        max_tokens     more raise ContextLengthExceeded, before all of a huge text is worked through

        Raises InvalidUtf8 (E008) with the index of the byte; ContextLengthExceeded; TokenNotFound where bos=True and
        the model has none.
        """
        if bos != "model" and not isinstance(bos, bool):
            raise ArgumentError(f'bos is {bos!r}, expected "model", True or False')
        if max_tokens is not None and (isinstance(max_tokens, bool) or max_tokens < 0):
            raise ArgumentError(f"max_tokens is {max_tokens!r}, expected a number of tokens or None")
        wanted = self.add_bos if bos == "model" else bos
        ids, added = self._core.encode_bos(text, parse_special, wanted, -1 if max_tokens is None else max_tokens)
        return Tokens(ids, self, added)

    def decode(self, ids: Any, skip_special: bool = False, start: bool = True) -> str:
        """The text of ids; bytes that are no character become U+FFFD.

        start  False: these ids go on a text, so a blank in front of the first word stays. Matters only to vocabularies
               that put one there when encoding.

        Raises InvalidTokenId (E007).
        """
        return self.decode_bytes(ids, skip_special, start).decode("utf-8", "replace")

    def decode_bytes(self, ids: Any, skip_special: bool = False, start: bool = True) -> bytes:
        """As decode(), before bytes become characters."""
        return self._core.decode(token_ids(ids, self.vocab_size), skip_special, start)

    def piece(self, id: int) -> bytes:
        """The bytes of one token. Raises InvalidTokenId (E007)."""
        return self._core.piece(int(token_ids(id, self.vocab_size)[0]))

    def token_id(self, text: str | bytes) -> int:
        """The id of the token that reads `text`, special ones included. Raises TokenNotFound."""
        return self._core.token_id(text)

    def is_special(self, id: int) -> bool:
        """Whether a token is a control token. Raises InvalidTokenId (E007)."""
        return self._core.is_special(int(token_ids(id, self.vocab_size)[0]))

    def roundtrip(self, text: str | bytes, parse_special: bool = False) -> RoundTrip:
        """Encodes and decodes a text, and says where and why it did not come back, if it did not."""
        data = text.encode("utf-8") if isinstance(text, str) else text
        tokens = self.encode(data, bos=False, parse_special=parse_special)
        back = self.decode_bytes(tokens)
        if back == data:
            return RoundTrip(data, back, tokens, None, None)
        at = next((i for i, (a, b) in enumerate(zip(data, back, strict=False)) if a != b), min(len(data), len(back)))
        return RoundTrip(data, back, tokens, at, self._why(data, tokens, at))

    def _why(self, data: bytes, tokens: Tokens, at: int) -> str:
        end = 0
        for index, piece in enumerate(tokens.pieces):
            end += len(piece)
            if end > at and tokens[index] == self._core.unknown_id:
                return f"no token covers these bytes: tokens[{index}] is the unknown token {piece!r}"
        if data[at : at + 3] == "\u2581".encode():
            return "this vocabulary writes a blank as U+2581, so a U+2581 in the text comes back as a blank"
        if self.kind == "hf-json" and _core.nfc(data.decode("utf-8")) == self.decode_bytes(tokens):
            return "this tokenizer brings text to normal form C first"
        if data.split() == self.decode_bytes(tokens).split():
            return "an added token takes the white space beside it along, or a blank in front is taken for the prefix"
        return "report this: no rule of the tokenizer explains it"

    def gguf_metadata(self) -> tuple[dict[str, Any], list[str]]:
        """What a GGUF file says of this tokenizer.json: the tokenizer's metadata for `write_gguf`, and a line for each
        thing that is lost on the way, because GGUF has no words for it (normal form C, for one).

        Raises UnsupportedOperation where GGUF cannot say how text is split or merged, and for a tokenizer that came
        from GGUF: its file has the keys.
        """
        return self._core.gguf_metadata()

    def render_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        name: str = "default",
        add_generation_prompt: bool = True,
        tools: Sequence[Any] | None = None,
        now: datetime | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """The text of a conversation by the file's chat template `name`; see cutaway.chat.render_chat."""
        from cutaway.chat import render_chat, template_of

        def text_of(id: int | None) -> str:
            return "" if id is None else self.piece(id).decode("utf-8", "replace")

        return render_chat(
            template_of(self.chat_templates, name),
            messages,
            add_generation_prompt=add_generation_prompt,
            tools=tools,
            bos_token=text_of(self.bos_id),
            eos_token=text_of(self.eos_id),
            now=now,
            variables=variables,
        )

    def chat_tokens(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        name: str = "default",
        add_generation_prompt: bool = True,
        tools: Sequence[Any] | None = None,
        now: datetime | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> Tokens:
        """The tokens of a conversation: render_chat(), with control tokens recognised; BOS is the template's to write.

        A message that spells a control token becomes that token, since a template's output is only text: strip such
        words from the messages of strangers.
        """
        text = self.render_chat(
            messages,
            name=name,
            add_generation_prompt=add_generation_prompt,
            tools=tools,
            now=now,
            variables=variables,
        )
        return self.encode(text, bos=False, parse_special=True)

    def __repr__(self) -> str:
        return f"Tokenizer({self.kind}{' ' + self.pre if self.pre else ''}, {self.vocab_size} tokens)"


class Utf8Stream:
    """Characters out of tokens that come one by one: only whole ones; joined, they are what decode() gives.

    >>> import cutaway as ct
    >>> m = ct.load("tiny:llama")
    >>> stream = ct.Utf8Stream(m.tokenizer, start=False)
    >>> [stream.push(id) for id in m.to_tokens("café", bos=False)], stream.flush()
    (['c', 'a', 'f', '', 'é'], '')

    tokenizer     None: only push_bytes() works
    skip_special  True: control tokens give no text
    start         False: these tokens go on a text, as generated ones do (see Tokenizer.decode)
    """

    def __init__(self, tokenizer: Tokenizer | None = None, skip_special: bool = False, start: bool = True) -> None:
        self._tokenizer = tokenizer
        self._skip_special, self._start = skip_special, start
        self._reset()

    def _reset(self) -> None:
        self._utf8 = _core.Utf8Stream()
        if self._tokenizer is not None:
            self._pieces = _core.PieceStream(self._tokenizer._core, self._skip_special, self._start)

    def push(self, id: int) -> str:
        """The characters that this token completes, perhaps none. Raises InvalidTokenId (E007)."""
        if self._tokenizer is None:
            raise ArgumentError("this stream has no tokenizer", hint="Utf8Stream(tokenizer), or push_bytes()")
        checked = token_ids(id, self._tokenizer.vocab_size)
        return self._utf8.push(self._pieces.push(int(checked[0])))

    def push_bytes(self, data: bytes) -> str:
        """The characters that these bytes complete."""
        return self._utf8.push(bytes(data))

    def flush(self) -> str:
        """U+FFFD if the tokens so far end within a character, else nothing. The stream is as new afterwards."""
        rest = self._utf8.flush()
        self._reset()
        return rest

    @property
    def pending(self) -> bytes:
        """The bytes held back, at most three."""
        return self._utf8.pending
