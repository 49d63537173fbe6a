"""A browser without a window, driven by the WebDriver protocol (W3C) with nothing but the standard library."""

import base64
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-device-scale-factor=1",
]

KEYS = {
    "ArrowRight": "\ue014",
    "ArrowLeft": "\ue012",
    "Home": "\ue011",
    "End": "\ue010",
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "Shift": "\ue008",
}


class Page:
    """An open page."""

    def __init__(self, ask):
        self._ask = ask

    def open(self, path):
        self._ask("POST", "url", {"url": path.as_uri()})

    def run(self, script, *arguments):
        """The value of a script's ``return``."""
        return self._ask("POST", "execute/sync", {"script": script, "args": list(arguments)})

    def settled(self, script, *arguments):
        """The same, once the page has drawn what it was told to."""
        drawn = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done));"
        self._ask("POST", "execute/async", {"script": drawn, "args": []})
        return self.run(script, *arguments)

    def click(self, selector):
        self._ask("POST", f"element/{self._find(selector)}/click", {})

    def type(self, selector, text):
        self._ask("POST", f"element/{self._find(selector)}/value", {"text": text})

    def press(self, *keys):
        """Press keys one after the other; ``Shift+n`` together."""
        actions = []
        for key in keys:
            parts = [KEYS.get(part, part) for part in (key.split("+") if len(key) > 1 else [key])]
            actions += [{"type": "keyDown", "value": part} for part in parts]
            actions += [{"type": "keyUp", "value": part} for part in reversed(parts)]
        self._ask("POST", "actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def click_at(self, selector, x, y):
        """Click so many pixels from the upper left corner of an element."""
        left, top = self.run(
            "const box = document.querySelector(arguments[0]).getBoundingClientRect(); return [box.left, box.top]",
            selector,
        )
        move = {"type": "pointerMove", "duration": 0, "x": round(left + x), "y": round(top + y)}
        actions = [move, {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self._ask("POST", "actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": actions}]})

    def prefer(self, scheme):
        """Have the system ask for ``light`` or ``dark``."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._ask("POST", "goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {"features": [feature]}})

    def log(self):
        """What the page has complained about."""
        return [entry["message"] for entry in self._ask("POST", "se/log", {"type": "browser"})]

    def screenshot(self):
        return base64.b64decode(self._ask("GET", "screenshot"))

    def _find(self, selector):
        (found,) = self._ask("POST", "element", {"using": "css selector", "value": selector}).values()
        return found


@contextmanager
def browser(folder, size=(1440, 1100)):
    """A fresh browser, closed at the end; its own data go to ``folder``."""
    driver = subprocess.Popen(
        [DRIVER, "--port=0", f"--log-path={folder / 'driver.log'}"], stdout=subprocess.PIPE, text=True
    )
    try:
        port = next(line.split()[-1].rstrip(".") for line in driver.stdout if "started successfully on port" in line)
        base = f"http://127.0.0.1:{port}/session"
        options = {
            "binary": BROWSER,
            "args": [*FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={size[0]},{size[1]}"],
        }
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = _ask("POST", base, {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        try:
            yield Page(lambda method, path, body=None: _ask(method, f"{base}/{session}/{path}", body))
        finally:
            _ask("DELETE", f"{base}/{session}")
    finally:
        driver.terminate()
        driver.wait(10)
        driver.stdout.close()


def _ask(method, url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        with error:
            value = json.load(error)["value"]
        raise AssertionError(f"{value['error']}: {value['message']}") from None
