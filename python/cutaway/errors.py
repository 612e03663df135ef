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
    code = "E001"
    hint = "check the path, or name a model that a package carries: tiny:llama, tiny:gpt2, smollm2"


class ModelFormatError(WeightLoadingError, ValueError):
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
    hint = "the download was cut short; fetch the file again"


class LimitExceededError(ModelFormatError):
    """A file claims more than a cap allows. details: limit, value."""

    hint = "if the file is trustworthy, raise the cap with limits="


class UnsupportedModelError(WeightLoadingError, NotImplementedError):
    code = "E003"
    hint = "`cutaway inspect` lists what is in the file; the README lists what is supported"


class MappingError(WeightLoadingError, KeyError):
    hint = "the metadata and the tensors disagree; convert the file again"


class FileChangedError(WeightLoadingError, OSError):
    hint = "another program wrote to the file while it was being read; load it again"


class TransferFailed(WeightLoadingError, RuntimeError):
    pass


class OutOfMemoryError(CutawayError, MemoryError):
    code = "E005"
    hint = "use a shorter n_ctx, a smaller batch or fewer captures; ct.plan shows what each costs"


class AllocationFailed(WeightLoadingError, OutOfMemoryError):
    code = "E004"
    hint = "ct.plan shows what the model needs; use a shorter n_ctx or a smaller format"


# --- a loaded model used ----------------------------------------------------------------------------------------------


class AdapterError(CutawayError):
    """A loaded model was used wrongly, or could not do what was asked."""


class ModelNotLoaded(AdapterError, RuntimeError):
    hint = "the model was closed; load it again"


class ForwardPassFailed(AdapterError, RuntimeError):
    code = "E006"


class DeviceError(ForwardPassFailed):
    hint = 'device="cpu" always works; nothing falls back to it by itself'


class DeviceLostError(DeviceError):
    hint = "the device is in an error state; restart the process"


class ForkedProcessError(DeviceError):
    hint = "CUDA does not survive fork(); use the spawn start method"


class NonFiniteError(ForwardPassFailed, FloatingPointError):
    """A stage produced NaN or infinity. details: layer, stage, index."""


class UnsupportedOperation(AdapterError, NotImplementedError):
    pass


class ContextLengthExceeded(AdapterError, ValueError):
    """details: length, max."""

    hint = "shorten the prompt, ask for fewer tokens, or load with a larger n_ctx"


class ShapeError(AdapterError, ValueError):
    pass


class ArgumentError(AdapterError, ValueError, TypeError):
    pass


class HookError(AdapterError):
    pass


class HookReturnError(HookError):
    """details: hook, expected, got."""

    hint = "return None to leave the stage as it is, or an array of the same shape"


class SessionBusyError(AdapterError, RuntimeError):
    hint = "one call at a time per session; make a second session with model.session()"


class SessionClosedError(AdapterError, RuntimeError):
    hint = "make a new session with model.session()"


# --- text -------------------------------------------------------------------------------------------------------------


class TokenizerError(CutawayError):
    pass


class TokenizerFormatError(TokenizerError, ModelFormatError):
    code = "E002"


class TokenNotFound(TokenizerError, KeyError):
    pass


class IdNotFound(TokenizerError, IndexError):
    code = "E007"
    hint = "ids are never clamped; the valid ones are 0 <= id < vocabulary size"


class InvalidTokenId(AdapterError, IdNotFound):
    code = "E007"


class InvalidUtf8(TokenizerError, UnicodeError):
    """details: index (byte)."""

    code = "E008"
    hint = "pass valid UTF-8"


class TemplateError(CutawayError, ValueError):
    pass


class SaveError(CutawayError, OSError):
    """A file could not be written; what was there before is unchanged. details: path, errno."""

    hint = "check the free space and the permissions of the folder; the old file is as it was"


# --- later parts ------------------------------------------------------------------------------------------------------


class TrainingError(CutawayError):
    pass


class TrainingDiverged(TrainingError):
    pass


class DataError(TrainingError):
    pass


class GradientError(TrainingError):
    pass


class CheckpointError(TrainingError):
    pass


class ReferenceMismatch(TrainingError):
    pass


class ServerError(CutawayError):
    """The endpoint could not start; errors of requests become HTTP statuses."""


class InternalError(CutawayError):
    code = "E099"
    hint = "this is a bug in cutaway: please report it with the line above"
