"""Make `play.webp`, the short film at the top of the README, from `play.html` itself, in a headless Chromium.

python docs/film.py            # needs chromium, playwright and pillow
"""

import argparse
import io
import math
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
SIZE = {"width": 1180, "height": 800}
WIDTH = 760  # of the film
THREE = [
    (0.3, 0.25),
    (0.5, 0.16),
    (0.68, 0.28),
    (0.62, 0.42),
    (0.47, 0.5),
    (0.66, 0.56),
    (0.7, 0.72),
    (0.5, 0.84),
    (0.3, 0.76),
]


class Film:
    """Pictures of a page, one after another."""

    def __init__(self, page):
        self.page, self.frames, self.times = page, [], []

    def shoot(self, milliseconds=120):
        self.page.wait_for_timeout(60)
        image = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        self.frames.append(image.resize((WIDTH, round(WIDTH * image.height / image.width)), Image.Resampling.LANCZOS))
        self.times.append(milliseconds)

    def save(self, path, quality):
        first, *rest = self.frames
        first.save(path, save_all=True, append_images=rest, duration=self.times, loop=0, quality=quality, method=6)


def drag(film, points, every=1):
    """Move the pointer through points of the screen with its button down."""
    mouse = film.page.mouse
    mouse.move(*points[0])
    mouse.down()
    for number, point in enumerate(points[1:]):
        mouse.move(*point, steps=4)
        if number % every == 0:
            film.shoot()
    mouse.up()


def on_map(page, a, b):
    """Return the point of the screen where a pair of arguments is."""
    box = page.locator("[data-part=surface]").bounding_box()
    side = min(box["width"] - 50, box["height"] - 48)
    return box["x"] + 42 + (a + 4) / 8 * side, box["y"] + 8 + (4 - b) / 8 * side


def play(film):
    """Draw, swap, paint, watch it grow, and turn it."""
    page = film.page
    page.get_by_role("button", name="Hide explanations").click()
    page.add_style_tag(content="header > :not(.bar), footer, #explain, details { display: none !important }")
    page.get_by_role("button", name="Clear").click()
    film.shoot(500)
    pad = page.locator("#pad").bounding_box()
    drag(film, [(pad["x"] + x * pad["width"], pad["y"] + y * pad["height"]) for x, y in THREE])
    film.shoot(1300)
    for source in ("product", "affine"):
        page.locator("[data-part=source]").select_option(source)
        page.wait_for_timeout(500)
        film.shoot(1400)
    page.get_by_role("button", name="Trained phi").click()
    page.wait_for_timeout(400)
    film.shoot(700)
    page.get_by_text("raises", exact=True).click()
    page.get_by_text("broad", exact=True).click()
    drag(film, [on_map(page, 1.2 * math.cos(k / 2.2), 1.2 * math.sin(k / 2.2)) for k in range(15)])
    film.shoot(1100)
    page.get_by_text("reads", exact=True).click()
    page.mouse.move(5, 5)
    for step in (0, 1, 2, 3, 4, 6, 8, 10, 14, 20):
        page.locator("[data-part=epoch]").fill(str(step))
        page.wait_for_timeout(150)
        film.shoot(260)
    page.get_by_text("3-D", exact=True).click()
    for azimuth in range(30, 110, 8):
        page.evaluate(f"play.turn = {{azimuth: {azimuth}, elevation: 32}}; play.turned()")
        film.shoot()
    film.shoot(1000)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", type=Path, default=HERE / "play.html")
    parser.add_argument("--out", type=Path, default=HERE / "play.webp")
    parser.add_argument("--quality", type=int, default=55)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto(options.page.resolve().as_uri())
        while not page.evaluate("window.play?.panels[0]?.result"):
            page.wait_for_timeout(50)
        film = Film(page)
        play(film)
        browser.close()
    film.save(options.out, options.quality)
    print(f"{options.out}: {len(film.frames)} frames, {options.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
