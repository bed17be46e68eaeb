"""Texts of many kinds, with which a tokenizer is tested.

With some combinations of normalizers and added tokens the `tokenizers` library panics on certain kinds of texts (its
issues 1349 and 1452). Conversion and start-up try all of these texts, so that the fault is found before a request.
"""

from __future__ import annotations

from collections.abc import Iterator

SPECIMENS = {
    "plain text": "The quick brown fox, 1,250.00 EUR!",
    "accents": "naïve café Zürich",
    "compatibility forms": "\ufb01ne \uff37\uff48\uff4f ½ ㎏ Ⅷ ① ﷺ",
    "combining marks": "e\u0301 a\u0308\u0323 \u0301 o\u0302\u0301\u0335\u0321" + "\u0335" * 40,
    "special cases of capital letters": "İstanbul ß ẞ ǅ ŉ ς Σ",
    "Greek and Cyrillic": "Σίσυφος Ёлка пожалуйста",
    "right-to-left scripts": "שָׁלוֹם مرحبا \u202eabc\u202c \u200f",
    "Chinese, Japanese and Korean": "漢字 かなカナ 한국어 ᄒ\u1161ᆫ 𠮷",
    "scripts of India and Thailand": "नमस्ते தமிழ் สวัสดี",
    "emoji": "😀 👨\u200d👩\u200d👧 🇩🇪 👍🏽 ☺\ufe0f 1\ufe0f\u20e3",
    "mathematical letters": "\U0001d49c\U0001d4d1 \U0001d7d8 \U0001d51e",
    "zero-width characters": "\u200b a\u200bb \u200c\u200d \ufeff \u2060 \u00ad",
    "control characters": "\x01\x02 \x1b[0m \x7f \x80\x9f",
    "NUL": "a\x00b \x00",
    "tabs and line ends": "a\tb\nc\r\nd\n\n\ne\x0bf\x0cg\x1c\x85h\u2028i\u2029",
    "spaces": " a\u00a0b\u2003c\u3000d   e ",
    "nothing but spaces": " \n\u3000",
    "no text": "",
    "private use": "\ue000 \uf8ff \U000f0000",
    "the ends of Unicode's blocks": "\ud7ff\ue000 \ufffd \ufffe\uffff \U00010000 \U0010ffff",
    "a very long word": "antidisestablishment" * 500,
    "a very long word without letters": "é漢😀-" * 500,
    "the names of special tokens": "[CLS] [SEP] [MASK] [PAD] [UNK] <s> </s> <pad> <mask>",
}


def forms() -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Each kind's name and its texts: alone, among words, and between line ends."""
    for kind, text in SPECIMENS.items():
        yield kind, (text, f"one {text} two", f"\n{text}\n")
