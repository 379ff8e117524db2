"""Downloads against a server on this machine that misbehaves on purpose."""

import contextlib
import fcntl
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from fasa.datasets import download
from fasa.datasets.download import fetch
from fasa.errors import UserError

CONTENT = np.random.default_rng(0).bytes(700_000)
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


class Server:
    """Serves CONTENT at /; `answers` says how each request in turn misbehaves, and `ranges` what was asked."""

    def __init__(self):
        self.answers: list[str] = []
        self.ranges: list[str | None] = []
        self.meeting = threading.Barrier(2)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.ranges.append(self.headers.get("Range"))
                outer.answer(self, outer.answers.pop(0) if outer.answers else "whole")

            def log_message(self, *arguments):
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_port}/file.tar.gz"
        self.thread = threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def answer(self, handler: BaseHTTPRequestHandler, how: str) -> None:
        if how.isdigit():
            handler.send_error(int(how))
            return
        asked = self.ranges[-1]
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and how != "ignore range" else 0
        if start >= len(CONTENT):
            handler.send_error(416)
            return
        body = CONTENT[start:]
        if how == "wrong byte":
            body = bytes([body[0] ^ 1]) + body[1:]
        handler.send_response(206 if start else 200)
        if start:
            first = start + 1 if how == "wrong range" else start
            handler.send_header("Content-Range", f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
        if how not in ("no length", "endless"):
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if how == "meet":
            self.meeting.wait(10)
        with contextlib.suppress(OSError):  # the other side may have had enough
            while how == "endless":
                handler.wfile.write(bytes(100_000))
            handler.wfile.write(body[: len(body) // 2] if how == "drop" else body)

    def stop(self) -> None:
        self.httpd.shutdown()
        self.thread.join()
        self.httpd.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def waits(monkeypatch) -> list[float]:
    """The seconds that would have been waited."""
    seconds: list[float] = []
    monkeypatch.setattr(download, "sleep", seconds.append)
    return seconds


@pytest.fixture
def target(tmp_path):
    return tmp_path / "downloads" / "file.tar.gz"


def only_file(target) -> bool:
    return [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("how", ["whole", "no length"])
def test_plain_download(how, server, target):
    server.answers = [how]
    fetch([server.url], target, MD5)
    assert target.read_bytes() == CONTENT and only_file(target)


def test_a_file_that_is_there_is_not_fetched_again(server, target):
    fetch([server.url], target, MD5)
    fetch([server.url], target, MD5)
    assert len(server.ranges) == 1


def test_a_file_with_another_checksum_is_replaced(server, target):
    target.parent.mkdir()
    target.write_bytes(b"an older release")
    fetch([server.url], target, MD5)
    assert target.read_bytes() == CONTENT


def test_a_dropped_connection_is_resumed_where_it_broke(server, target, waits):
    server.answers = ["drop", "drop", "whole"]
    fetch([server.url], target, MD5)
    assert target.read_bytes() == CONTENT and only_file(target)
    assert server.ranges == [None, "bytes=350000-", "bytes=525000-"]
    assert len(waits) == 2 and waits[0] < waits[1]


def test_a_server_that_ignores_range_starts_over(server, target):
    server.answers = ["drop", "ignore range"]
    fetch([server.url], target, MD5)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=350000-"]


def test_a_server_that_resumes_elsewhere_is_not_believed(server, target):
    server.answers = ["drop", "wrong range", "whole"]
    fetch([server.url], target, MD5)
    assert target.read_bytes() == CONTENT
    assert server.ranges[-1] is None


def test_a_wrong_byte_is_caught_and_fetched_anew(server, target):
    server.answers = ["wrong byte", "whole"]
    fetch([server.url], target, MD5)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, None]


def test_a_file_that_stays_wrong_is_refused_and_not_kept(server, target):
    server.answers = ["wrong byte"] * 3
    with pytest.raises(UserError, match=f"{server.url}.*{MD5}.*its bytes have another one.*FASA_MIRROR"):
        fetch([server.url], target, MD5, attempts=3)
    assert list(target.parent.iterdir()) == []


def test_a_finished_part_is_only_checked(server, target):
    target.parent.mkdir()
    target.with_name("file.tar.gz.part").write_bytes(CONTENT)
    fetch([server.url], target, MD5)
    assert target.read_bytes() == CONTENT and only_file(target)


def test_a_foreign_part_is_dropped(server, target):
    target.parent.mkdir()
    target.with_name("file.tar.gz.part").write_bytes(b"something else")
    fetch([server.url], target, MD5)
    assert target.read_bytes() == CONTENT
    assert server.ranges == ["bytes=14-", None]


def test_a_busy_server_is_asked_again(server, target):
    server.answers = ["503", "429", "whole"]
    fetch([server.url], target, MD5)
    assert target.read_bytes() == CONTENT


def test_what_keeps_failing_is_given_up_and_kept_for_the_next_call(server, target, waits):
    server.answers = ["drop", "503", "503"]
    with pytest.raises(UserError, match="503"):
        fetch([server.url], target, MD5, attempts=3)
    assert len(waits) == 2
    fetch([server.url], target, MD5)
    assert server.ranges[-1] == "bytes=350000-"
    assert target.read_bytes() == CONTENT


def test_a_missing_page_is_not_asked_for_twice(server, target):
    server.answers = ["404"] * 5
    with pytest.raises(UserError, match="404"):
        fetch([server.url], target, MD5)
    assert len(server.ranges) == 1


def test_no_server_at_all(target, monkeypatch, waits):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    gone = Server()
    gone.stop()
    with pytest.raises(UserError, match=r"check the network.*FASA_MIRROR=file:"):
        fetch([gone.url], target, MD5, attempts=3)
    assert len(waits) == 2


def test_a_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="cannot be written"):
        fetch([server.url], tmp_path / "file" / "file.tar.gz", MD5)


@pytest.fixture
def second(server):
    running = Server()
    yield running
    running.stop()


def test_the_next_mirror_goes_on_where_the_first_broke(server, second, target):
    server.answers = ["drop"]
    fetch([server.url, second.url], target, MD5)
    assert target.read_bytes() == CONTENT and only_file(target)
    assert (server.ranges, second.ranges) == ([None], ["bytes=350000-"])


def test_a_mirror_without_the_file_is_asked_once(server, second, target):
    server.answers = ["404"] * 5
    second.answers = ["503", "wrong byte", "whole"]
    fetch([server.url, second.url], target, MD5)
    assert target.read_bytes() == CONTENT
    assert (len(server.ranges), len(second.ranges)) == (1, 3)


def test_the_users_mirror_comes_first(server, second, target, monkeypatch):
    monkeypatch.setenv("FASA_MIRROR", second.url.removesuffix("/file.tar.gz") + "/")
    fetch([server.url], target, MD5)
    assert target.read_bytes() == CONTENT and not server.ranges


def test_a_folder_as_mirror(server, target, tmp_path, monkeypatch):
    monkeypatch.setenv("FASA_MIRROR", tmp_path.as_uri())
    (tmp_path / "file.tar.gz").write_bytes(CONTENT)
    fetch([server.url], target, MD5)
    assert target.read_bytes() == CONTENT and not server.ranges
    (tmp_path / "file.tar.gz").unlink()
    target.unlink()
    fetch([server.url], target, MD5)  # a folder that lacks the file is passed over
    assert target.read_bytes() == CONTENT and len(server.ranges) == 1


def test_the_first_digits_of_a_sha256_are_enough(server, target):
    digits = hashlib.sha256(CONTENT).hexdigest()
    fetch([server.url], target, f"sha256:{digits[:8]}")
    assert target.read_bytes() == CONTENT
    wrong = "".join("1" if digit == "0" else "0" for digit in digits[:8])
    with pytest.raises(UserError, match=f"sha256:{wrong}"):
        fetch([server.url], target, f"sha256:{wrong}", attempts=2)


def test_two_at_once_do_not_share_what_is_downloaded(server, target):
    """Both are being answered before either has a byte."""
    server.answers = ["meet", "meet"]
    with ThreadPoolExecutor() as pool:
        done = [pool.submit(fetch, [server.url], target, MD5) for _ in range(2)]
        assert [each.result() for each in done] == [None, None]
    assert target.read_bytes() == CONTENT and only_file(target)
    assert server.ranges == [None, None]


def test_what_another_downloads_is_left_alone(server, target):
    target.parent.mkdir()
    part = target.with_name("file.tar.gz.part")
    with part.open("wb") as others:
        fcntl.flock(others, fcntl.LOCK_EX)
        others.write(CONTENT[:1000])
        others.flush()
        fetch([server.url], target, MD5)
        assert target.read_bytes() == CONTENT and part.read_bytes() == CONTENT[:1000]
    assert server.ranges == [None]


@pytest.mark.parametrize("how", ["endless", "whole", "no length"])
def test_a_server_that_sends_more_than_the_file_has_is_left(how, server, second, target):
    server.answers = [how]
    with pytest.raises(UserError, match=r"the server (sends more than|has 700000 bytes, and the file) 699999"):
        fetch([server.url], target, MD5, largest=len(CONTENT) - 1)
    assert len(server.ranges) == 1 and list(target.parent.iterdir()) == []
    server.answers = ["endless"]
    fetch([server.url, second.url], target, MD5, largest=len(CONTENT))
    assert target.read_bytes() == CONTENT and second.ranges == [None]


def test_a_mirror_may_be_a_folder_without_a_scheme(server, target, tmp_path, monkeypatch):
    folder = tmp_path / "with space"
    folder.mkdir()
    (folder / "file.tar.gz").write_bytes(CONTENT)
    monkeypatch.setenv("FASA_MIRROR", str(folder))
    fetch([server.url], target, MD5)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASA_MIRROR", "with space")
    fetch([server.url], target.with_name("another") / "file.tar.gz", MD5)
    assert target.read_bytes() == CONTENT and not server.ranges


@pytest.mark.parametrize("mirror", ["/no/such/folder", "localhost:8000", "ftp://localhost"])
def test_a_mirror_that_is_none_is_one_sentence(mirror, server, target, monkeypatch):
    monkeypatch.setenv("FASA_MIRROR", mirror)
    with pytest.raises(UserError, match=f"FASA_MIRROR is '{mirror}', which is neither a folder nor the address of one"):
        fetch([server.url], target, MD5)
