"""`wordtell check`: can the model be served?"""

from __future__ import annotations

from bento import settings
from bento.detector import Detector


def check() -> None:
    """Load the model that the settings name, score once, and say what would be served."""
    detector = Detector.load(settings.load().settings)
    print(f"{detector.version} ({detector.engine}, {detector.kernels}) can be served")
    detector.close()
