"""The vocabularies under data/vocab, and letters that are hard on tokenizers."""

from pathlib import Path

BYTE_LEVEL = ["gpt-2", "qwen2", "llama-bpe"]
NAMES = [*BYTE_LEVEL, "llama-spm", "phi-3"]
VOCAB = Path(__file__).parents[1] / "data" / "vocab"
HARD = " \t\n\r'sStabcdeft0123456789!?.,<>|éßñ中文日本語한국어العربية🦙👍🏽\u0301\u200d\u00a0\ufffd\x00\u2581"
