"""`wordtell distill`: train a smaller model to score as a larger one does. Needs the extra `train`."""
