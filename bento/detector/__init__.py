"""The pipeline, top to bottom: words -> tokens -> windows -> lanes -> stitch -> words."""

from bento.detector.detector import Detector
from bento.detector.requests import Scores

__all__ = ["Detector", "Scores"]
