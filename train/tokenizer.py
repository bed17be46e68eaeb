"""The vocabulary of the embedded model: SentencePiece Unigram like DeBERTa-v2's, as a fast tokenizer."""

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")
"""Special tokens; their ids are their places in this list."""

WINDOW = 512
"""Most tokens that the model sees at once, [CLS] and [SEP] included."""


def untrained() -> Tokenizer:
    """Return a tokenizer without a vocabulary.

    It normalises typography as `corpus.normalise` does, so that the quotes and dashes of a user's text are those of
    the training. It drops no character, so that every word has a token.
    """
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(Regex("[\u2018\u2019\u201a\u201b`\u00b4\u2032]"), "'"),
            normalizers.Replace(Regex("[\u201c\u201d\u201e\u201f\u2033]"), '"'),
            normalizers.Replace(Regex("[\u2012-\u2015]|-{2,}"), " - "),
            normalizers.Replace(Regex("[\\s\x1c-\x1f\x85\u2028\u2029]+"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, SPECIAL.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def train(texts: Iterable[str], size: int) -> Tokenizer:
    """Train a vocabulary of `size` pieces, special tokens included, on sentences.

    SentencePiece trains it in one thread, because the trainer of `tokenizers` is not deterministic.
    """
    tokenizer, model = untrained(), io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(tokenizer.normalizer.normalize_str(text) for text in texts),
        model_writer=model,
        model_type="unigram",
        vocab_size=size,
        normalization_rule_name="identity",
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        pad_piece="[PAD]",
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        unk_piece="[UNK]",
        user_defined_symbols="[MASK]",
        num_threads=1,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    vocabulary = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(size)]
    tokenizer.model = models.Unigram(vocabulary, unk_id=SPECIAL.index("[UNK]"), byte_fallback=False)
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json as transformers' AutoTokenizer reads them."""
    names = {f"{token.strip('[]').lower()}_token": token for token in SPECIAL}
    settings: dict[str, Any] = {"tokenizer_object": tokenizer, "model_max_length": WINDOW, **names}
    fast = PreTrainedTokenizerFast(**settings)
    fast.save_pretrained(folder)


def blocks(tokenizer: Tokenizer, texts: Sequence[str], length: int) -> Iterator[list[int]]:
    """Yield the concatenated token ids of the texts in blocks of `length` ids, each from [CLS] to [SEP]."""
    ids = [i for e in tokenizer.encode_batch(list(texts), add_special_tokens=False) for i in e.ids]
    inner = length - 2
    for at in range(0, len(ids) - inner + 1, inner):
        yield [SPECIAL.index("[CLS]"), *ids[at : at + inner], SPECIAL.index("[SEP]")]
