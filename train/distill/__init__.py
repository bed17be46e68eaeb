"""A smaller model that scores as a larger one does: `wordtell distill`. Needs the extra `train`."""
