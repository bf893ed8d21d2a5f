"""Draw docs/images/page.png: hilum serve's page in Chromium, with phantoms that the demo's model judges.

hilum demo --out hilum-demo
.venv/bin/python docs/make_page_picture.py hilum-demo
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

_FILMS = ("Covid-19", "Normal", "Viral Pneumonia", "Bacterial Pneumonia")


def main() -> None:
    """Serve the demo's model, open a phantom of each finding and take the picture."""
    demo = Path(sys.argv[1])
    films = [path for name in _FILMS if (demo / "phantoms/test" / name).is_dir()
             for path in sorted((demo / "phantoms/test" / name).iterdir())[:2]]  # fmt: skip
    command = [sys.executable, "-m", "hilum", "serve", "--model", str(demo / "run/model.onnx"), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        found = None
        while not found:
            found = re.search(r"(http://\S+)\n", server.stderr.readline() if server.stderr else "")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(found[1])
            page.wait_for_selector("#version:not(:empty)")
            page.set_input_files("#files", [str(path) for path in films])
            page.wait_for_selector(f"#list-count:text-is('{len(films)}')")
            page.wait_for_timeout(500)
            page.screenshot(path=Path(__file__).parent / "images" / "page.png")
            browser.close()
    finally:
        server.terminate()
        server.communicate()


if __name__ == "__main__":
    main()
