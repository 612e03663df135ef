"""The vocabularies under data/vocab, and letters that are hard on tokenizers."""

from pathlib import Path

BYTE_LEVEL = ["gpt-2", "qwen2", "llama-bpe"]
NAMES = [*BYTE_LEVEL, "llama-spm", "phi-3"]
VOCAB = Path(__file__).parents[1] / "data" / "vocab"
HARD = " \t\n\r'sStabcdeft0123456789!?.,<>|éßñ中文日本語한국어العربية🦙👍🏽\u0301\u200d\u00a0\ufffd\x00\u2581"

BYTES = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
ALPHABET = {b: chr(b) for b in BYTES} | {b: chr(256 + i) for i, b in enumerate(b for b in range(256) if b not in BYTES)}
