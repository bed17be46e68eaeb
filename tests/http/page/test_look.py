"""The page looks as in the README's pictures. Letters are left out of it: fonts differ between machines.

Compared are how much of a picture has each colour of the scale, and the picture in 24 x 24 pixels. Measured with other
fonts (serif, monospace): at most 0.005 of the area and 8.5 of 255; without the colours: 0.016 of the area.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser

from tests.http.page import pictures
from tests.http.server import Server

SCALES = {
    "page-light": ("#ffe09a", "#fcc75e", "#f0a43a", "#dc8129"),
    "page-dark": ("#5a4720", "#7d5f1f", "#c98f2c", "#f0b549"),
}
AREA, SHADE = 0.01, 16
NEAR = 6  # a picture of 64 colours has them a little changed
LARGEST_BYTES = 150_000


def areas(picture: Image.Image, name: str) -> NDArray[np.float64]:
    """The share of the picture that has each colour of the scale."""
    pixels = np.asarray(picture, dtype=int)
    colours = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in SCALES[name]]
    return np.array([(np.abs(pixels - colour).max(axis=2) <= NEAR).mean() for colour in colours])


def shades(picture: Image.Image) -> NDArray[np.float64]:
    return np.asarray(picture.resize((24, 24), Image.Resampling.BOX), dtype=float)


def test_the_page_looks_as_in_its_pictures(browser: Browser, embedded: Server) -> None:
    for name, found in pictures.take(browser, embedded.port):
        ours = Image.open(pictures.IMAGES / f"{name}.png").convert("RGB")
        assert np.abs(areas(found, name) - areas(ours, name)).max() < AREA
        assert np.abs(shades(found) - shades(ours)).mean() < SHADE
        assert areas(ours, name).max() > AREA  # or a page without colours would pass


def test_the_pictures_are_small() -> None:
    sizes = [(pictures.IMAGES / f"{name}.png").stat().st_size for name in pictures.VIEWS]
    assert max(sizes) <= LARGEST_BYTES
