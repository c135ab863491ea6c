"""How the journeys get a server and a browser; the screenshots use the same."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = ROOT / "tests" / "unit" / "dashboard" / "fake_app.py"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 60_000
HURRIED = {
    "FILLBOOK_SETTLE_S": "1",
    "FILLBOOK_RECONCILE_EVERY_S": "2",
    "FILLBOOK_CONFIRM_RUNS": "2",
    "FILLBOOK_IB_HOST": "",
}
"""Settings under which a difference is a confirmed break within seconds."""


def chromium_path():
    for candidate in (os.environ.get("FILLBOOK_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        found = candidate and shutil.which(candidate)
        if found:
            return found
    raise LookupError("Chromium is not installed; `make chromium` installs it, FILLBOOK_CHROMIUM names another one")


class Server:
    """``panel serve`` in a process of its own."""

    def __init__(self, script, folder, *arguments, **environment):
        self.port = free_port()
        self.script, self.arguments = Path(script), arguments
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment}
        self.log = Path(folder) / "server.log"
        self.process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/{self.script.stem}"

    def start(self):
        command = [sys.executable, "-m", "panel", "serve", str(self.script), "--address", "127.0.0.1"]
        command += ["--port", str(self.port), "--warm", "--unused-session-lifetime", "90000", *self.arguments]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
        self.wait_until_up()
        return self

    def health(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=10) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read() or b"{}") if refused.code == 503 else {}
        except OSError:
            return 0, {}

    def wait_until_up(self, seconds=90):
        deadline = time.monotonic() + seconds
        while not self.answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.2)

    def answers(self):
        status, report = self.health()
        return status in {200, 503} and report.get("problems") != ["the engine is starting"]

    def stop(self, number=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            try:
                return self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
                raise
        return None if self.process is None else self.process.returncode


def with_login(folder):
    """The stand-in behind Panel's own login: ``ann`` (password act) may act, ``bob`` (look) may only look."""
    users = Path(folder) / "users.json"
    users.write_text(json.dumps({"bob": "look", "ann": "act"}))
    login = ["--basic-auth", str(users), "--cookie-secret", "for-this-test-only"]
    # Panel's own login page asks another host for a picture.
    login += ["--basic-login-template", str(ROOT / "dashboard" / "login.html")]
    return Server(STAND_IN, folder, *login, FAKE_VIEWERS="bob").start()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def choose_option(page, label, option):
    page.get_by_label(label).first.click()
    # What the library calls the entries of a select.
    page.get_by_role("menuitem", name=option).first.click()


def painted(page):
    """Wait until the page has painted live news at least once; asked by the clock, since a busy machine gives few frames."""
    page.wait_for_function("document.documentElement.dataset.fillbookPainted !== undefined", polling=50)


def mended(page, view):
    """Wait until this screen is on the page and its tables have all that mend.js gives them: names, roles, keys."""
    page.wait_for_function(f"document.documentElement.dataset.fillbookMended === '{view}'", polling=50)
