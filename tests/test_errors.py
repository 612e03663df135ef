"""The tree of exceptions: what catches what, codes, pickling, printing."""

import copy
import inspect
import pickle

import pytest
from cutaway import errors
from cutaway.errors import CutawayError

# class: (parent in the tree, code, builtins that also catch it)
TREE = {
    "WeightLoadingError": ("CutawayError", "E000", ()),
    "ModelNotFoundError": ("WeightLoadingError", "E001", (FileNotFoundError,)),
    "ModelFormatError": ("WeightLoadingError", "E002", (ValueError,)),
    "GGUFError": ("ModelFormatError", "E002", (ValueError,)),
    "SafetensorsError": ("ModelFormatError", "E002", (ValueError,)),
    "ConfigError": ("ModelFormatError", "E002", (ValueError,)),
    "TruncatedFileError": ("ModelFormatError", "E002", (ValueError,)),
    "LimitExceededError": ("ModelFormatError", "E002", (ValueError,)),
    "UnsupportedModelError": ("WeightLoadingError", "E003", (NotImplementedError,)),
    "MappingError": ("WeightLoadingError", "E000", (KeyError,)),
    "FileChangedError": ("WeightLoadingError", "E000", (OSError,)),
    "TransferFailed": ("WeightLoadingError", "E000", (RuntimeError,)),
    "AllocationFailed": ("WeightLoadingError", "E004", (MemoryError, errors.OutOfMemoryError)),
    "OutOfMemoryError": ("CutawayError", "E005", (MemoryError,)),
    "AdapterError": ("CutawayError", "E000", ()),
    "ModelNotLoaded": ("AdapterError", "E000", (RuntimeError,)),
    "ForwardPassFailed": ("AdapterError", "E006", (RuntimeError,)),
    "DeviceError": ("ForwardPassFailed", "E006", (RuntimeError,)),
    "DeviceLostError": ("DeviceError", "E006", (RuntimeError,)),
    "ForkedProcessError": ("DeviceError", "E006", (RuntimeError,)),
    "NonFiniteError": ("ForwardPassFailed", "E006", (FloatingPointError, RuntimeError)),
    "UnsupportedOperation": ("AdapterError", "E000", (NotImplementedError,)),
    "ContextLengthExceeded": ("AdapterError", "E000", (ValueError,)),
    "InvalidTokenId": ("AdapterError", "E007", (IndexError, errors.IdNotFound)),
    "ShapeError": ("AdapterError", "E000", (ValueError,)),
    "ArgumentError": ("AdapterError", "E000", (ValueError, TypeError)),
    "UnknownOp": ("ArgumentError", "E000", (ValueError, TypeError, AttributeError)),
    "HookError": ("AdapterError", "E000", ()),
    "HookReturnError": ("HookError", "E000", ()),
    "SessionBusyError": ("AdapterError", "E000", (RuntimeError,)),
    "SessionClosedError": ("AdapterError", "E000", (RuntimeError,)),
    "TokenizerError": ("CutawayError", "E000", ()),
    "TokenizerFormatError": ("TokenizerError", "E002", (ValueError, errors.ModelFormatError)),
    "TokenNotFound": ("TokenizerError", "E000", (KeyError,)),
    "IdNotFound": ("TokenizerError", "E007", (IndexError,)),
    "InvalidUtf8": ("TokenizerError", "E008", (UnicodeError, ValueError)),
    "TemplateError": ("CutawayError", "E000", (ValueError,)),
    "SaveError": ("CutawayError", "E000", (OSError,)),
    "TrainingError": ("CutawayError", "E000", ()),
    "TrainingDiverged": ("TrainingError", "E000", ()),
    "DataError": ("TrainingError", "E000", ()),
    "GradientError": ("TrainingError", "E000", ()),
    "CheckpointError": ("TrainingError", "E000", ()),
    "ReferenceMismatch": ("TrainingError", "E000", ()),
    "ServerError": ("CutawayError", "E000", ()),
    "InternalError": ("CutawayError", "E099", ()),
}
CLASSES = {name: it for name, it in vars(errors).items() if inspect.isclass(it) and issubclass(it, CutawayError)}


def test_the_tree_is_whole():
    assert set(CLASSES) == {"CutawayError", *TREE}
    assert CutawayError.__bases__ == (Exception,) and CutawayError.code == "E000"


@pytest.mark.parametrize("name", TREE)
def test_places_codes_and_builtins(name):
    parent, code, also = TREE[name]
    it = CLASSES[name]
    assert it.__bases__[0] is CLASSES[parent] and it.code == code
    for builtin in also:
        with pytest.raises(builtin):
            raise it("message")
    ours = {base for base in it.__mro__ if base.__module__ == "builtins"}
    expected = {base for builtin in (Exception, *also) for base in builtin.__mro__ if base.__module__ == "builtins"}
    assert ours == expected, "another builtin than said would catch it"


@pytest.mark.parametrize("name", CLASSES)
def test_what_every_error_carries(name):
    it = CLASSES[name]
    assert it.__dict__.get("__doc__", "").endswith("."), "a docstring of its own"
    error = it("blk.3 is [256], expected [512]", hint="convert it again", tensor="blk.3", offset=7, path="a'b")
    assert str(error) == f"[{it.code}] blk.3 is [256], expected [512]\n  hint: convert it again"
    assert error.message == "blk.3 is [256], expected [512]" and error.hint == "convert it again"
    assert error.details == {"tensor": "blk.3", "offset": 7, "path": "a'b"}
    assert str(it("m", hint="")) == f"[{it.code}] m" and it("m").hint == it.hint
    assert it().message == "" and it().details == {}
    assert isinstance(it.hint, str) and not it.hint.endswith(".")


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling(name, protocol):
    it = CLASSES[name]
    for error in (it("message", hint="do this", layer=3, why=[1, "x", None]), it("message"), it("message", hint="")):
        back = pickle.loads(pickle.dumps(error, protocol))
        assert type(back) is it and str(back) == str(error)
        assert (back.message, back.hint, back.details) == (error.message, error.hint, error.details)
    twin = copy.copy(it("message", layer=3))
    assert (twin.message, twin.details) == ("message", {"layer": 3})


def test_key_errors_print_without_quotes():
    assert str(errors.MappingError("no tensor 'a'")).startswith("[E000] no tensor 'a'\n")
    assert str(errors.TokenNotFound("no token 'a'")) == "[E000] no token 'a'"


def test_details_may_be_called_anything_but_hint():
    error = errors.GGUFError("m", message="other", self=1, code="x")
    assert error.message == "m" and error.code == "E002" and error.details["message"] == "other"


def test_errors_of_the_core_arrive_whole(tmp_path):
    """Raised in C++: the same classes, hints of their own or the class's, details of every type."""
    import cutaway as ct

    path = tmp_path / "bytes \udcff.gguf"
    with pytest.raises(errors.ModelNotFoundError) as caught:
        ct.inspect(path)
    assert caught.value.hint == errors.ModelNotFoundError.hint and "\\xff" in caught.value.message
    assert caught.value.details == {"path": str(path)}
    assert pickle.loads(pickle.dumps(caught.value)).details == caught.value.details
    path.write_bytes(b"GGUF\3\0\0\0" + b"\xff" * 16)
    with pytest.raises(errors.LimitExceededError) as caught:
        ct.inspect(path)
    assert caught.value.details == {"path": str(path), "offset": 8, "limit": "tensors", "value": 2**64 - 1}
