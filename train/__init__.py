"""How the embedded model was made: corpus, generation, training, evaluation.

This package may read the texts of public packages, run torch and transformers, write under `build/` and `train/data/`,
and print progress. It does not run at serving time: `bento/` and `service.py` do not import it, except for the command
`wordtell distill`, which is in `distill/`. Its result is a Hugging Face checkpoint, which `convert` turns into a model
folder.

The steps, one command each; `make corpus`, `make train`, `make evaluate` and `make calibrate` run them in this order:

    python -m train.kinds       print the kinds of human prose and their splits
    python -m train.generate    machine text for every kind of prose
    python -m train.train       tokenizer, masked-token pretraining, word labels
    python -m train.teacher     the packaged MiniLM, fine-tuned, and the texts that it teaches by
    wordtell distill            the model of train.train learns the teacher's scores
    python -m train.choice      the better of the two models on validation
    python -m train.leftout     for each kind of prose, figures of a model trained without its labels
    python -m train.evaluate    figures, plots and the model card
    python -m train.promise     thresholds (calibration)
"""
