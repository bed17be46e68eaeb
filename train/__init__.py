"""How the embedded model was made: corpus, generation, training, evaluation.

What may happen here: reading the public texts that packages carry, running torch and transformers, writing under
`build/` and `train/data/`, and printing progress at a terminal. What may not: nothing in here runs at serving time.
Nothing in `bento/` or `service.py` may import it, but for the command `wordtell distill`, which is in `distill/`.
What this package hands over is an ordinary Hugging Face checkpoint, which `convert` turns into a model folder.

The way through, one command a step (each has `--help`); `make corpus`, `make train`, `make evaluate` and
`make calibrate` go through them:

    python -m train.kinds       what the human prose is and how it is split
    python -m train.generate    machine text for every kind of it
    python -m train.train       tokenizer, masked-token pretraining, word labels
    python -m train.teacher     the packaged MiniLM, fine-tuned, and the texts that it teaches by
    wordtell distill            what the teacher knows, into the model that labels taught
    python -m train.choice      the better of the two on validation
    python -m train.leftout     each kind of prose judged by a model that has no labels of it
    python -m train.evaluate    figures, plots and the model card
    python -m train.promise     thresholds
"""
