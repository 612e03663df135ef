"""cutaway: a language-model engine with the lid off."""

from cutaway import edit, errors, names, ops, ref
from cutaway._core import __version__
from cutaway.cache import ActivationCache
from cutaway.check import check
from cutaway.compare import compare
from cutaway.devices import Device, devices
from cutaway.formats import formats, pack, unpack
from cutaway.gguf import write_gguf
from cutaway.graph import Graph, Stage, Weight
from cutaway.inspect import inspect
from cutaway.kl import KL, kl
from cutaway.loading import load
from cutaway.model import Model
from cutaway.plan import Plan, plan
from cutaway.probe import probe
from cutaway.quantize import Quantised, quantize
from cutaway.session import Generation, Session, Step
from cutaway.text import Tokenizer, Tokens, Utf8Stream, tokenize_diff
from cutaway.to_hf import Folder, to_hf
from cutaway.verify import Verification, verify

__all__ = [
    "ActivationCache",
    "Device",
    "Folder",
    "Generation",
    "Graph",
    "KL",
    "Model",
    "Plan",
    "Quantised",
    "Session",
    "Stage",
    "Step",
    "Tokenizer",
    "Tokens",
    "Utf8Stream",
    "Verification",
    "Weight",
    "check",
    "compare",
    "__version__",
    "devices",
    "edit",
    "errors",
    "formats",
    "inspect",
    "kl",
    "load",
    "names",
    "ops",
    "pack",
    "plan",
    "probe",
    "quantize",
    "ref",
    "to_hf",
    "tokenize_diff",
    "unpack",
    "verify",
    "write_gguf",
]
