"""A detector turns texts into scores of words: texts -> tokens -> windows -> lanes -> logits -> scores of words."""

from bento.detector.detector import Detector
from bento.detector.requests import Scores

__all__ = ["Detector", "Scores"]
