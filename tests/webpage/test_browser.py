"""The page in headless Chromium: upload, result, sliders, bad input, and what is left behind."""

import importlib.util
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium")
NEEDED = [name for name in ("gradio", "playwright") if importlib.util.find_spec(name) is None]
NEEDED += [] if CHROMIUM else ["Debian's chromium (apt-get install chromium)"]
pytestmark = pytest.mark.skipif(bool(NEEDED), reason=f"not installed: {', '.join(NEEDED)}")

START_S, ANSWER_MS = 400, 150_000  # an idle machine takes a tenth of either
SOFTWARE_GL = ("--no-sandbox", "--enable-unsafe-swiftshader", "--use-gl=angle", "--use-angle=swiftshader")
SHOTS = os.environ.get("FACES_SHOTS")  # folder for screenshots to look at


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(address, temporary folder, process) of a running app.py that takes small photos only."""
    folder, port = tmp_path_factory.mktemp("served"), free_port()
    command = [sys.executable, "app.py", "--port", str(port), "--max-mb", "1", "--max-megapixels", "0.5"]
    environment = os.environ | {"TMPDIR": str(folder)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_S
        while not answers(port):
            assert process.poll() is None and time.monotonic() < deadline, "app.py does not serve"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}", folder, process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=SOFTWARE_GL)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def page(served, browser):
    """The page, opened once; `page.foreign` are the addresses elsewhere that it asked for."""
    opened = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    opened.set_default_timeout(ANSWER_MS)
    opened.foreign = []
    opened.on("request", lambda r: opened.foreign.append(r.url) if not is_local(r.url, served[0]) else None)
    opened.goto(served[0])
    opened.wait_for_selector("#run")
    return opened


def is_local(url: str, address: str) -> bool:
    return url.startswith((address, address.replace("http", "ws"), "data:", "blob:"))


@pytest.fixture(scope="module")
def astronaut(tmp_path_factory):
    from skimage import data

    path = tmp_path_factory.mktemp("photos") / "astronaut.jpg"
    Image.fromarray(data.astronaut()).save(path, quality=90)
    return path


def upload(page, path: Path) -> None:
    before = page.evaluate("document.querySelector('#photo img')?.src ?? ''")
    page.set_input_files("#photo input[type=file]", str(path))
    page.wait_for_function("b => (document.querySelector('#photo img')?.src ?? b) != b", arg=before)


def answer(page, words: str) -> None:
    page.wait_for_function("w => document.querySelector('#message').innerText.includes(w)", arg=words)


def shot(page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def picture_of(page, selector: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(page.locator(selector).screenshot())).convert("RGB")).astype(int)


def test_without_a_photo_one_sentence_says_what_to_do(page):
    page.click("#run")
    answer(page, "There is no photo yet: upload one, or choose a sample.")
    assert page.query_selector_all("#results img") == []


def test_an_upload_gives_pictures_and_all_files(page, astronaut, tmp_path):
    upload(page, astronaut)
    page.click("#run")
    answer(page, "1 face,")
    page.wait_for_selector("#results img")
    page.wait_for_function("[...document.querySelectorAll('#results img')].every(i => i.naturalWidth > 100)")
    with page.expect_download() as waiting:
        page.click("#download")
    waiting.value.save_as(tmp_path / "all.zip")
    names = zipfile.ZipFile(tmp_path / "all.zip").namelist()
    assert names == ["face.pts", "face_heatmaps.png", "faces.json", "landmarks.png"]
    shot(page, "landmarks")


def test_a_fitted_head_turns_in_the_viewer_and_starts_the_sliders(page):
    page.get_by_label("Task").click()
    page.get_by_role("option", name="3D head, fitted").click()
    page.wait_for_function("document.querySelector('input[aria-label=Model]').value == 'head'")
    page.click("#run")
    canvas = page.wait_for_selector("#mesh canvas")
    deadline = time.monotonic() + 60
    while picture_of(page, "#mesh canvas").std() < 20:  # white until the mesh is there
        assert time.monotonic() < deadline, "the mesh is not drawn"
        page.wait_for_timeout(300)
    before, box = picture_of(page, "#mesh canvas"), canvas.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 320, box["y"] + 200, steps=4)
    page.mouse.up()
    page.wait_for_timeout(300)
    assert np.abs(picture_of(page, "#mesh canvas") - before).mean() > 3
    shot(page, "fit")
    page.get_by_role("tab", name="Head").click()
    page.get_by_label("face of the photo").click()
    page.wait_for_function("document.querySelector('#head_message').innerText.includes('fitted to the photo')")
    page.wait_for_selector("#head img")
    source = page.get_attribute("#head img", "src")
    page.get_by_label("number input for open jaw").fill("1")
    page.get_by_label("number input for open jaw").press("Enter")
    page.wait_for_function("s => document.querySelector('#head img').src != s", arg=source)
    shot(page, "head")
    page.get_by_role("tab", name="Photo").click()


def test_wrong_files_are_named_in_one_sentence(page, tmp_path):
    broken, wide, heavy, empty = (tmp_path / f"{name}.png" for name in ("broken", "wide", "heavy", "empty"))
    broken.write_bytes(b"no picture at all")
    Image.new("RGB", (1001, 500)).save(wide)
    noise = np.random.default_rng(0).integers(0, 255, (700, 700, 3), dtype=np.uint8)
    Image.fromarray(noise).save(heavy)
    Image.new("RGB", (200, 200), "grey").save(empty)
    said = {broken: "broken.png: not a readable image", wide: "wide.png: 1001×500 pixels exceed", empty: "No face was"}
    for path, words in said.items():
        upload(page, path)
        page.click("#run")
        answer(page, words)
        assert page.query_selector_all("#results img") == []
    shot(page, "wrong")
    page.set_input_files("#photo input[type=file]", str(heavy))
    page.get_by_text("exceed the maximum allowed size").first.wait_for()


def test_the_page_fits_a_phone(browser, served, astronaut):
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page = context.new_page()
    page.goto(served[0])
    page.wait_for_selector("#run")
    upload(page, astronaut)
    page.click("#run")
    page.wait_for_selector("#results img")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shot(page, "phone")
    page.get_by_role("tab", name="Head").click()
    page.wait_for_selector("#head img")
    shot(page, "phone_head")
    context.close()


def test_nothing_is_asked_from_elsewhere_and_nothing_is_left(page, served):
    _, folder, process = served
    assert page.foreign == []
    (home,) = folder.glob("faces-page-*")
    page.context.close()
    deadline = time.monotonic() + 60
    while list((home / "visits").iterdir()):
        assert time.monotonic() < deadline, "a visit's results stay after it"
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 143
    assert not home.exists()
