#!/usr/bin/env python3
"""Drives the page of `aerie judge serve` in headless Chromium, by keys alone, as raters do.

Three raters, two of them in browsers at once, cast 200 votes while the server is killed 20 times at random. A vote cast
while the server is down outlives the page, too. Then votes.jsonl has to hold exactly the votes that were cast, each once,
with what each rater chose, and a rater who comes back goes on. A page of another origin tries to vote and must not, nor
may one whose name has been made to lead here. Pictures of the page go to --pictures. Needs Debian's package chromium and
Python's standard library.

usage: scripts/check-judge.py AERIE [--pictures DIR] [--votes 200] [--kills 20] [--seed 1]
       scripts/check-judge.py AERIE --study DIR --pictures DIR    pictures of that study alone
"""
import argparse
import base64
import http.server
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request


class Socket:
    """The least of RFC 6455 that the DevTools protocol needs: text frames, answered in order."""

    def __init__(self, url):
        host, path = url.removeprefix("ws://").split("/", 1)
        name, port = host.rsplit(":", 1)
        self.link = socket.create_connection((name, int(port)), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        self.link.sendall(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.link.recv(1)
        assert b" 101 " in head.split(b"\r\n")[0], head

    def send(self, text):
        data, mask = text.encode(), os.urandom(4)
        n = len(data)
        size = bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n) if n < 65536 else b"\xff" + struct.pack(">Q", n)
        self.link.sendall(b"\x81" + size + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def take(self, n):
        data = b""
        while len(data) < n:
            part = self.link.recv(n - len(data))
            assert part, "the browser closed the connection"
            data += part
        return data

    def receive(self):
        text = b""
        while True:
            first, size = self.take(2)
            n = size & 127
            if n > 125:
                n = struct.unpack(">H" if n == 126 else ">Q", self.take(2 if n == 126 else 8))[0]
            part = self.take(n)
            if first & 15 in (0, 1):
                text += part
                if first & 128:
                    return text.decode()


class Tab:
    """One page of one browser."""

    def __init__(self, port, url):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(request) as reply:
            self.socket = Socket(json.load(reply)["webSocketDebuggerUrl"])
        self.number = 0
        self.url = url
        self.call("Page.enable")
        self.call("Page.navigate", url=url)

    def call(self, method, **params):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.receive())
            if message.get("id") == self.number:
                assert "error" not in message, message
                return message["result"]

    def run(self, script):
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def look(self, script, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                value = self.run(script)
            except AssertionError:  # a page that is being loaded
                value = None
            if value:
                return value
            time.sleep(0.02)
        return None

    def until(self, script, seconds=90):
        value = self.look(script, seconds)
        if value:
            return value
        raise SystemExit(f"FAIL: waited {seconds} s for {script}; the page says: {self.run('document.body.innerText')[:500]}")

    def key(self, key, **more):
        code = {"Enter": 13, "Escape": 27}.get(key, ord(key.upper()[0]))
        text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code, **more)

    def write(self, text):
        self.call("Input.insertText", text=text)

    def size(self, width, height, phone=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone)

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def picture(self, folder, name):
        if folder:
            time.sleep(0.3)
            data = self.call("Page.captureScreenshot", format="png")["data"]
            with open(os.path.join(folder, name + ".png"), "wb") as f:
                f.write(base64.b64decode(data))


class Browser:
    def __init__(self, folder):
        self.process = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run",
             "--hide-scrollbars", "--window-size=1280,900", "--host-resolver-rules=MAP rebound.example 127.0.0.1",
             f"--user-data-dir={folder}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        note = os.path.join(folder, "DevToolsActivePort")
        end = time.monotonic() + 60
        while not (os.path.exists(note) and open(note).read().count("\n")):
            assert time.monotonic() < end, "chromium did not start"
            time.sleep(0.1)
        self.port = int(open(note).read().split()[0])

    def close(self):
        self.process.terminate()
        self.process.wait()


class Server:
    """`aerie judge serve`, which is killed at random and started again, at the same port."""

    def __init__(self, aerie, study):
        self.command = [aerie, "judge", "serve", study, "--port", "0", "--quiet"]
        self.start()
        self.command[self.command.index("0")] = self.url.split(":")[2].split("/")[0]
        self.kills = 0

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        assert self.url, "the server did not start"

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1

    def kill(self):
        self.stop()
        self.start()

    def close(self):
        self.process.terminate()
        self.process.wait()


def make_study(aerie, folder, rows):
    path = os.path.join(folder, "given.jsonl")
    with open(path, "w") as f:
        for i in range(rows):
            prompt = f"Question {i}: which <b>city</b> lies on the Seine?"
            f.write(json.dumps({"id": f"q{i}", "prompt": prompt, "completions": [
                {"model": "north", "completion": f"Paris does.\n\n    <script>document.title = 'broken'</script>\n{'It does. ' * (i % 9 * 12)}"},
                {"model": "south", "completion": f"Rouen & Paris, no. {i}.\n\n1. Paris\n2. Rouen"}]}) + "\n")
    study = os.path.join(folder, "study")
    subprocess.run([aerie, "judge", "make", path, "--output", study], check=True, stdout=subprocess.DEVNULL)
    return study


def begin(tab, name):
    find = "['welcome', 'ballot', 'end'].find((id) => !document.getElementById(id).hidden)"
    shown = tab.look(find, 3)
    while not shown:  # the server was killed while the page was on its way: reload, as the page then says
        tab.call("Page.navigate", url=tab.url)
        shown = tab.look(find, 3)
    if shown != "welcome":  # this browser remembers another rater
        tab.until("!document.getElementById('who').hidden && !document.getElementById('vote').disabled")
        tab.run("document.getElementById('who').click()")
        tab.until("!document.getElementById('welcome').hidden")
    tab.write(name)
    tab.key("Enter")
    tab.until("!document.getElementById('ballot').hidden || !document.getElementById('end').hidden")


def cast(tab, draw, notes, folder=None):
    """One vote by keys; what was chosen goes into the notes under the question that the page shows."""
    before = tab.run("document.getElementById('count').textContent")
    question = tab.run("document.getElementById('prompt').textContent")
    left_is_north = tab.run("document.getElementById('left').textContent").startswith("Paris does.")
    choice, a, b, comment = draw.randrange(1, 6), draw.randrange(3), draw.randrange(3), draw.random() < 0.1
    tab.key(str(choice))
    for _ in range(a):
        tab.key("a")
    for _ in range(b):
        tab.key("b")
    if comment:
        tab.key("c")
        tab.write(f"seen by key: {choice} <i>&")
    text = tab.run("document.getElementById('comment').value") or None  # after an undo there is one already
    assert not comment or f"seen by key: {choice} <i>&" in text, text
    tab.key("Enter", modifiers=2 if comment else 0)
    tab.until(f"document.getElementById('count').textContent !== {json.dumps(before)} && !document.getElementById('vote').disabled")
    said = [None, True, False]
    notes[question.split(":")[0].replace("Question ", "q")] = (choice - 3, left_is_north, said[a], said[b], text)


def rate(port, url, name, votes, seed, notes, failures, pictures):
    try:
        draw = random.Random(f"{seed} {name}")
        tab = Tab(port, url)
        begin(tab, name)
        for i in range(votes):
            cast(tab, draw, notes)
            if i == votes // 2:  # what was voted last is taken back and voted again
                last = list(notes)[-1]
                before = tab.run("document.getElementById('count').textContent")
                tab.key("u")
                tab.until(f"document.getElementById('count').textContent !== {json.dumps(before)} && !document.getElementById('vote').disabled")
                del notes[last]
                cast(tab, draw, notes)
                assert last in notes, "after an undo another pair came"
        assert tab.run("document.title").endswith("aerie judge"), "an answer was run as a script"
        assert tab.run("document.querySelectorAll('.text b, .text script').length") == 0, "an answer was taken as HTML"
    except BaseException as e:  # a thread would end in silence
        failures.append(f"{name}: {e!r}")


def check_outage(browser, server, notes):
    """A vote while the server is down; then the page goes, too, and both come back."""
    tab = Tab(browser.port, server.url)
    begin(tab, "dora")
    cast(tab, random.Random(2), notes)
    question = tab.run("document.getElementById('prompt').textContent")
    left_is_north = tab.run("document.getElementById('left').textContent").startswith("Paris does.")
    server.stop()
    tab.key("5")
    tab.key("Enter")
    tab.until("document.getElementById('notice').textContent.startsWith('The server does not answer')")
    tab.call("Page.navigate", url="about:blank")
    server.start()
    tab.call("Page.navigate", url=server.url)
    tab.until("document.getElementById('count').textContent.startsWith('2 of ') && !document.getElementById('vote').disabled")
    notes[question.split(":")[0].replace("Question ", "q")] = (2, left_is_north, None, None, None)


def check_votes(study, notes):
    """The file against what was chosen at the keys."""
    standing, views = {}, set()
    for line in open(os.path.join(study, "votes.jsonl")):
        vote = json.loads(line)
        if vote.get("undone"):
            standing = {k: v for k, v in standing.items() if v["view"] != vote["view"]}
            continue
        assert vote["view"] not in views, "a view has two votes"
        views.add(vote["view"])
        assert (vote["rater"], vote["item"]) not in standing, "a vote is doubled"
        standing[vote["rater"], vote["item"]] = vote
    cast_votes = {(name, item): chosen for name, of in notes.items() for item, chosen in of.items()}
    assert standing.keys() == cast_votes.keys(), (len(standing), len(cast_votes), standing.keys() ^ cast_votes.keys())
    for at, (choice, left_is_north, a, b, comment) in cast_votes.items():
        vote = standing[at]
        found = (vote["choice"], vote["left"] == "north", vote["left_acceptable"], vote["right_acceptable"], vote.get("comment"))
        assert found == (choice, left_is_north, a, b, comment), (at, found, (choice, left_is_north, a, b, comment))
    left = sum(v["left"] == "north" for v in standing.values())
    assert abs(left - len(standing) / 2) < 2 * len(standing) ** 0.5, f"{left} of {len(standing)} have one model on the left"
    return len(standing)


def check_foreign(browser, server, study):
    """A page of another origin, which even knows the address, tries to vote, to read and to frame the page."""
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>foreign</title><iframe id=f></iframe>")

        def log_message(self, *_):
            pass
    foreign = http.server.HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=foreign.serve_forever, daemon=True).start()
    path = os.path.join(study, "votes.jsonl")
    before = open(path).read()
    tab = Tab(browser.port, f"http://localhost:{foreign.server_port}/")
    tab.until("document.title === 'foreign'")
    vote = json.dumps({"view": "0" * 32, "at": 0, "rater": "mallory", "choice": 2})
    for mode, kind in (("no-cors", "text/plain"), ("no-cors", "application/json"), ("cors", "application/json")):
        tab.run(f"fetch({json.dumps(server.url + 'vote')}, {{method: 'POST', mode: '{mode}', body: {json.dumps(vote)}, "
                f"headers: {{'Content-Type': '{kind}'}}}}).then(() => 0, () => 0)")
    tab.run(f"(() => {{ const f = document.createElement('form'); f.method = 'POST'; f.enctype = 'text/plain'; f.target = 'f'; "
            f"f.action = {json.dumps(server.url + 'vote')}; document.body.append(f); f.submit(); return 1; }})()")
    read = tab.run(f"fetch({json.dumps(server.url + 'next?rater=mallory')}).then((r) => r.text(), () => '')")
    time.sleep(0.5)
    assert not read, "a foreign page reads"
    rebound = Tab(browser.port, server.url.replace("127.0.0.1", "rebound.example"))
    rebound.until("document.body && document.body.innerText.startsWith('Host: expected the address of this server')")
    for path_of in ("next?rater=mallory", "vote"):
        how = {} if path_of.startswith("next") else {"method": "POST", "body": vote, "headers": {"Content-Type": "application/json"}}
        code = rebound.run(f"fetch({json.dumps(path_of)}, {json.dumps(how)}).then((r) => r.status)")
        assert code == 403, f"a name that was made to lead here gets {code}"
    assert open(path).read() == before, "a foreign page votes"
    foreign.shutdown()


def check_return(browser, server, name, votes):
    """A rater who comes back in another browser goes on there."""
    tab = Tab(browser.port, server.url)
    begin(tab, name)
    count = tab.run("document.getElementById('count').textContent")
    assert count.startswith(f"{votes} of "), f"{name} comes back to {count} after {votes} votes"


def take_pictures(port, url, folder):
    os.makedirs(folder, exist_ok=True)
    tab = Tab(port, url)
    tab.size(1280, 860)
    tab.until("!document.getElementById('welcome').hidden")
    tab.picture(folder, "welcome")
    begin(tab, "emil")
    tab.key("4")
    tab.key("a")
    tab.key("b")
    tab.key("b")
    tab.picture(folder, "light")
    tab.key("?")
    tab.picture(folder, "keys")
    tab.key("?")
    tab.scheme("dark")
    tab.picture(folder, "dark")
    tab.size(390, 844, phone=True)
    tab.picture(folder, "phone-dark")
    tab.scheme("light")
    tab.picture(folder, "phone")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("aerie")
    parser.add_argument("--pictures")
    parser.add_argument("--study")
    parser.add_argument("--votes", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    o = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="aerie-judge-")
    if o.study:
        server, browser = Server(o.aerie, o.study), Browser(folder)
        take_pictures(browser.port, server.url, o.pictures)
        browser.close()
        server.close()
        shutil.rmtree(folder, ignore_errors=True)
        return
    names = ["anna", "ben", "Zoë Ω"]
    share = [o.votes // 3 + (i < o.votes % 3) for i in range(3)]
    study = make_study(o.aerie, folder, max(share) + 5)
    server = Server(o.aerie, study)
    browsers = [Browser(os.path.join(folder, f"browser-{i}")) for i in range(2)]
    notes, failures = {name: {} for name in names}, []
    try:
        threads = [threading.Thread(target=rate, args=(browsers[i % 2].port, server.url, name, share[i], o.seed, notes[name], failures,
                                                       o.pictures)) for i, name in enumerate(names)]
        # The third shares a browser, and so what it remembers, with the first: it begins when that one is done.
        for thread in threads[:2]:
            thread.start()
        draw, started = random.Random(o.seed), time.monotonic()
        third = False
        while any(t.is_alive() for t in threads if t.ident) or not third:
            time.sleep(draw.uniform(0.2, 1.2))
            if not third and not threads[0].is_alive():
                third = True
                threads[2].start()
            if server.kills < o.kills:
                server.kill()
        while server.kills < o.kills:
            server.kill()
        for thread in threads:
            thread.join()
        assert not failures, failures
        notes["dora"] = {}
        check_outage(browsers[0], server, notes["dora"])
        n = check_votes(study, notes)
        check_return(browsers[1], server, names[0], share[0])
        check_foreign(browsers[1], server, study)
        if o.pictures:
            take_pictures(browsers[1].port, server.url.replace("127.0.0.1", "localhost"), o.pictures)
        print(f"{n} votes of {len(notes)} raters by keys in {time.monotonic() - started:.0f} s, {server.kills} kills: none lost, none "
              f"doubled; foreign pages could not vote")
    finally:
        server.close()
        for browser in browsers:
            browser.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
