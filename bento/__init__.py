"""The serving runtime: texts in, one probability for every word out.

May: read the settings and a model folder, tokenise, run the model, count what it does.
May not: import torch, transformers or kubernetes, know how a checkpoint was made, or log a text.
Imports go one way: `make check` tests the order in pyproject.toml, under importlinter.
"""

__version__ = "0.1.0"
