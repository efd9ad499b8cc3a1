"""A page of `twoarg play` in headless Chromium: time to its first frame, and frames per second while painting.

    python benchmarks/play_page.py                    # docs/play.html, five visits
    python benchmarks/play_page.py play.html --visits 3 --out times.json

Each visit uses a new browser. Times are milliseconds from the start of the navigation (median, lowest and highest over
the visits): until phi is on the screen, until the page reacts to input, and until all held-out images are computed.
Then a stroke of three seconds is painted, with an event for each frame, on a processor shared with the worker and other
load. The processor time of a frame (script, layout and drawing in the page's main thread) does not depend on that load:
a second has room for 1000 / `cpu_of_a_picture` frames.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.table import Table

from keras_twoarg.utils.versions import commit

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
READY = "document.documentElement.dataset.ready && play.panels[0].result !== null"
TIMES = """() => {
  const at = (name) => performance.getEntriesByName(name)[0].startTime;
  const { responseEnd, domInteractive } = performance.getEntriesByType("navigation")[0];
  const shown = { first_picture: at("first picture"), ready: at("ready"), all_images: at("all images") };
  return { read: responseEnd, parsed: domInteractive, ...shown };
}"""
PAINT = """(seconds) => new Promise((resolve) => {
  const panel = play.panels[0];
  const canvas = panel.parts.surface;
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const send = (type, turn) => {
    const clientX = left + width * (0.5 + 0.2 * Math.cos(turn));
    const clientY = top + height * (0.45 + 0.2 * Math.sin(turn));
    canvas.dispatchEvent(new PointerEvent(type, { pointerId: 1, clientX, clientY }));
  };
  canvas.setPointerCapture = () => {};
  panel.brush.tool = "raise";
  const draw = panel.view.draw.bind(panel.view);
  let pictures = 0;
  panel.view.draw = () => {
    draw();
    pictures++;
  };
  const began = performance.now();
  send("pointerdown", 0);
  const next = (now) => {
    send("pointermove", (now - began) / 300);
    if (now - began < 1000 * seconds) return requestAnimationFrame(next);
    send("pointerup", 0);
    resolve({ pictures, seconds: (performance.now() - began) / 1000 });
  };
  requestAnimationFrame(next);
})"""


def visit(playwright, file, seconds):
    """Return the times of one visit, and of a stroke."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(file.resolve().as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    while not page.evaluate(READY):
        page.wait_for_timeout(50)
    times, devtools = page.evaluate(TIMES), page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = busy_seconds(devtools)
    painting = page.evaluate(PAINT, seconds)
    busy = busy_seconds(devtools) - before
    browser.close()
    pictures = painting["pictures"]
    return {**times, "pictures_a_second": pictures / painting["seconds"], "cpu_of_a_picture": 1000 * busy / pictures}


def busy_seconds(devtools):
    """Return the processor time of the page's main thread."""
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


def main():
    """Measure the visits and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, nargs="?", default=Path(__file__).parents[1] / "docs" / "play.html")
    parser.add_argument("--visits", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="length of the stroke")
    parser.add_argument("--out", type=Path, help="file for the times as JSON")
    options = parser.parse_args()
    with sync_playwright() as playwright:
        visits = [visit(playwright, options.page, options.seconds) for _ in range(options.visits)]
    table = Table("", "median", "lowest", "highest")
    for name in visits[0]:
        values = [times[name] for times in visits]
        table.add_row(name, *(f"{value:.1f}" for value in (statistics.median(values), min(values), max(values))))
    load = os.getloadavg()[0]
    Console().print(table, f"{os.cpu_count()} processors, mean load of the last minute {load:.1f}")
    if options.out:
        about = {"command": " ".join(sys.argv), "commit": commit(), "processors": os.cpu_count(), "load": load}
        options.out.write_text(json.dumps({**about, "page": options.page.name, "visits": visits}, indent=1) + "\n")


if __name__ == "__main__":
    main()
