"""The pipeline, top to bottom: words -> tokens -> windows -> lanes -> stitch -> words."""

from bento.detector.detector import Detector, Scores

__all__ = ["Detector", "Scores"]
