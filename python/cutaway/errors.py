"""Everything cutaway raises: one tree, each class also the builtin a Python programmer would already catch.

>>> try:
...     raise InvalidTokenId("tokens[3] is 70000, expected 0 <= id < 49152", index=3, value=70000)
... except IndexError as error:
...     error.code, error.details["value"]
('E007', 70000)
"""

from __future__ import annotations

from typing import Any


class CutawayError(Exception):
    """The root. `code` is stable, `hint` is one thing to do next, `details` are plain values for programs."""

    code = "E000"
    hint = ""

    def __init__(self, message: str = "", /, *, hint: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message, self.details = message, details
        if hint is not None:
            self.hint = hint

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}" + (f"\n  hint: {self.hint}" if self.hint else "")

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.hint, self.details))


def _rebuild(cls: type[CutawayError], message: str, hint: str, details: dict[str, Any]) -> CutawayError:
    return cls(message, hint=hint, **details)


# --- before "model ready" ---------------------------------------------------------------------------------------------


class WeightLoadingError(CutawayError):
    """A model could not be loaded."""


class ModelNotFoundError(WeightLoadingError, FileNotFoundError):
    """There is no such file, or its package is not installed. details: path, nearest."""

    code = "E001"
    hint = "check the path, or name a model that a package carries: tiny:llama, tiny:gpt2, smollm2, gemma3-270m"


class ModelFormatError(WeightLoadingError, ValueError):
    """The file is not what its name says, or damaged."""

    code = "E002"
    hint = "the file is damaged or not what its name says; download it again and compare its hash"


class GGUFError(ModelFormatError):
    """The bytes are not a valid GGUF file. details: offset (bytes)."""


class SafetensorsError(ModelFormatError):
    """The bytes are not a valid safetensors file."""


class ConfigError(ModelFormatError):
    """The metadata contradicts itself or the architecture. details: key."""

    hint = "the metadata is wrong; convert the model again"


class TruncatedFileError(ModelFormatError):
    """The file ends before what its header says. details: offset (bytes)."""

    hint = "the download was cut short; fetch the file again"


class LimitExceededError(ModelFormatError):
    """A file claims more than a cap allows. details: limit, value."""

    hint = "if the file is trustworthy, raise the cap with limits="


class UnsupportedModelError(WeightLoadingError, NotImplementedError):
    """A valid file of an architecture, format, version or tokenizer that we do not run."""

    code = "E003"
    hint = "`cutaway inspect` lists what is in the file; the README lists what is supported"


class MappingError(WeightLoadingError, KeyError):
    """The file has no tensor or key of this name."""

    hint = "the metadata and the tensors disagree; convert the file again"


class FileChangedError(WeightLoadingError, OSError):
    """The file is not the one that was opened."""

    hint = "another program wrote to the file while it was being read; load it again"


class TransferFailed(WeightLoadingError, RuntimeError):
    """Weights could not be copied to a device."""


class OutOfMemoryError(CutawayError, MemoryError):
    """A call would take more memory than there is or than its budget. details: bytes, budget."""

    code = "E005"
    hint = "use a shorter n_ctx, a smaller batch or fewer captures; ct.plan shows what each costs"


class AllocationFailed(WeightLoadingError, OutOfMemoryError):
    """A model needs more memory than there is; raised before its weights are read."""

    code = "E004"
    hint = "ct.plan shows what the model needs; use a shorter n_ctx or a smaller format"


# --- a loaded model used ----------------------------------------------------------------------------------------------


class AdapterError(CutawayError):
    """A loaded model was used wrongly, or could not do what was asked."""


class ModelNotLoaded(AdapterError, RuntimeError):
    """The model was closed."""

    hint = "the model was closed; load it again"


class ForwardPassFailed(AdapterError, RuntimeError):
    """A model could not run where it was asked to."""

    code = "E006"


class DeviceError(ForwardPassFailed):
    """A device is not there, or cannot do what was asked."""

    hint = 'device="cpu" always works; nothing falls back to it by itself'


class DeviceLostError(DeviceError):
    """The device broke, and this process cannot use it any more."""

    hint = "the device is in an error state; restart the process"


class ForkedProcessError(DeviceError):
    """CUDA was in use before this process was forked."""

    hint = "CUDA does not survive fork(); use the spawn start method"


class NonFiniteError(ForwardPassFailed, FloatingPointError):
    """A stage produced NaN or infinity. details: layer, stage, index."""


class UnsupportedOperation(AdapterError, NotImplementedError):
    """It cannot be done here, or needs a package that is not installed; the hint says which."""


class ContextLengthExceeded(AdapterError, ValueError):
    """details: length, max."""

    hint = "shorten the prompt, ask for fewer tokens, or load with a larger n_ctx"


class ShapeError(AdapterError, ValueError):
    """An array has other axes than its op or stage."""


class ArgumentError(AdapterError, ValueError, TypeError):
    """An argument has a wrong type or value."""


class UnknownOp(ArgumentError, AttributeError):
    """There is no op of this name. details: name, matches."""


class HookError(AdapterError):
    """A hook was set on a stage that is not there, or never ran."""


class HookReturnError(HookError):
    """details: hook, expected, got."""

    hint = "return None to leave the stage as it is, or an array of the same shape"


class SessionBusyError(AdapterError, RuntimeError):
    """Two calls at a time on one session."""

    hint = "one call at a time per session; make a second session with model.session()"


class SessionClosedError(AdapterError, RuntimeError):
    """The session was closed."""

    hint = "make a new session with model.session()"


# --- text -------------------------------------------------------------------------------------------------------------


class TokenizerError(CutawayError):
    """Text and tokens."""


class TokenizerFormatError(TokenizerError, ModelFormatError):
    """A tokenizer's tables are damaged or at odds. details: index."""

    code = "E002"


class TokenNotFound(TokenizerError, KeyError):
    """The vocabulary has no such token."""


class IdNotFound(TokenizerError, IndexError):
    """An id outside the vocabulary."""

    code = "E007"
    hint = "ids are never clamped; the valid ones are 0 <= id < vocabulary size"


class InvalidTokenId(AdapterError, IdNotFound):
    """A token id that is no integer, or outside the vocabulary. details: index, value."""

    code = "E007"


class InvalidUtf8(TokenizerError, UnicodeError):
    """details: index (byte)."""

    code = "E008"
    hint = "pass valid UTF-8"


class TemplateError(CutawayError, ValueError):
    """A chat template is wrong, refuses the messages, leaves its sandbox or costs too much."""


class SaveError(CutawayError, OSError):
    """A file could not be written; what was there before is unchanged. details: path, errno."""

    hint = "check the free space and the permissions of the folder; the old file is as it was"


# --- later parts ------------------------------------------------------------------------------------------------------


class TrainingError(CutawayError):
    """Training."""


class TrainingDiverged(TrainingError):
    """The loss is no number any more, or grows."""


class DataError(TrainingError):
    """A row of training data is not as expected."""


class GradientError(TrainingError):
    """A gradient is wrong or not finite."""


class CheckpointError(TrainingError):
    """A checkpoint is damaged or of another model."""


class ReferenceMismatch(TrainingError):
    """The reference model does not fit the one that is trained."""


class ServerError(CutawayError):
    """The endpoint could not start; errors of requests become HTTP statuses."""


class InternalError(CutawayError):
    """A bug in cutaway."""

    code = "E099"
    hint = "this is a bug in cutaway: please report it with the line above"
