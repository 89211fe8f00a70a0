"""The dashboard: what it answers, to whom, and that it sends nothing but pages."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from archwright.__main__ import main
from archwright.dashboard.hosts import allowed
from command import archwright_command
from made_runs import HOSTILE, add_trials, failed, finished, under_way
from served import ask, served

pytest.importorskip("starlette", reason="the extra dashboard is not installed")
pytest.importorskip("uvicorn", reason="the extra dashboard is not installed")


def test_runs_are_listed_filtered_shown_and_compared(tmp_path: Path) -> None:
    finished(tmp_path / "one", data="photos")
    failed(tmp_path / "two")
    with under_way(tmp_path / "three"), served(tmp_path) as port:
        status, text, headers = ask(port, "/")
        assert status == 200
        assert text.index("/run/three") < text.index("/run/one")  # what is running comes first
        assert "script-src 'self'" in headers["content-security-policy"]
        assert ask(port, "/?q=failed+enas")[1].count('href="/run/') == 1
        assert "No run has this" in ask(port, "/?q=nowhere")[1]
        assert "What was gained" in ask(port, "/run/one")[1]
        assert "Trials under way" in ask(port, "/run/three")[1]
        assert "every trial of the search failed" in ask(port, "/run/two")[1]
        alone = ask(port, "/run/one/report.html")[1]
        assert "<script" not in alone
        compared = ask(port, "/compare?run=one&run=three&run=gone")[1]
        assert "2 runs compared" in compared
        assert ask(port, "/compare?run=gone")[0] == 404


def test_a_page_is_sent_anew_when_its_run_has_changed(tmp_path: Path) -> None:
    with under_way(tmp_path / "run") as store, served(tmp_path) as port:
        tag = ask(port, "/run/run")[2]["etag"]
        assert ask(port, "/run/run", **{"If-None-Match": tag})[0] == 304
        add_trials(store, 1, begin=50)
        status, text, _ = ask(port, "/run/run", **{"If-None-Match": tag})
        assert (status, "26 of 40" in text) == (200, True)


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1.example.com", "0.0.0.0", "", "localhost.example.com:80"])
def test_who_does_not_name_this_machine_gets_nothing(host: str, tmp_path: Path) -> None:
    finished(tmp_path / "secret", trials=3)
    with served(tmp_path) as port:
        status, text, _ = ask(port, "/", Host=host)
        assert status in (400, 421)
        assert "secret" not in text


def test_names_that_are_allowed() -> None:
    for host in ("127.0.0.1", "127.0.0.1:80", "localhost:8765", "[::1]:80", "[::1]"):
        assert allowed(host, "127.0.0.1"), host
    assert not allowed("192.168.0.7:80", "127.0.0.1")
    assert allowed("192.168.0.7:80", "0.0.0.0")
    assert allowed(socket.gethostname(), "0.0.0.0")
    assert not allowed("example.com", "0.0.0.0")
    assert allowed("lab.example.com:80", "lab.example.com")


def test_nothing_outside_the_runs_is_sent(tmp_path: Path) -> None:
    runs, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    finished(elsewhere / "private", trials=3, data="private data")
    runs.mkdir()
    (runs / "linked").symlink_to(elsewhere / "private")
    finished(runs / "own", trials=3)
    (runs / "own" / "report.html").write_text("<script>alert(1)</script>")
    with served(runs) as port:
        for path in (
            *("/run/linked", "/run/..%2felsewhere%2fprivate", "/run/../../elsewhere/private", "/run/%2e%2e/private"),
            *(
                "/run/own/run.sqlite",
                "/run/own/lock",
                "/run/own/../../elsewhere/private",
                "/etc/passwd",
                "/run/",
                "//etc",
            ),
        ):
            status, text, _ = ask(port, path)
            assert (status, "private data" in text) == (404, False), path
        assert "private" not in ask(port, "/")[1]
        assert "alert(1)" not in ask(port, "/run/own/report.html")[1]
        for method in ("POST", "PUT", "DELETE"):
            assert ask(port, "/run/own", method=method)[0] == 405


def test_runs_with_names_of_any_kind_have_pages(tmp_path: Path) -> None:
    for name in ("..x", "a b?c#d", "%2e%2e", HOSTILE.replace("/", "|"), os.fsdecode(b"bad\xff")):
        finished(tmp_path / name, trials=3)
    with served(tmp_path) as port:
        links = {part.partition('"')[0] for part in ask(port, "/")[1].split('href="')[1:] if part.startswith("/run/")}
        assert len(links) == 5
        assert {ask(port, link)[0] for link in links} == {200}


def test_a_damaged_run_does_not_hide_the_others(tmp_path: Path) -> None:
    finished(tmp_path / "good", trials=3)
    broken = finished(tmp_path / "broken", trials=3)
    (broken / "run.sqlite").write_bytes(b"SQLite format 3\0" + b"x" * 2000)
    with served(tmp_path) as port:
        assert "/run/good" in ask(port, "/")[1]
        status, text, _ = ask(port, "/run/broken")
        assert (status, len(text.splitlines())) == (500, 1)


def test_the_command_serves_until_ctrl_c(tmp_path: Path) -> None:
    finished(tmp_path / "runs" / "one", trials=3)
    process = archwright_command("dashboard", "runs", "--port", "0", "--json", cwd=tmp_path, stdin=subprocess.DEVNULL)
    assert isinstance(process, subprocess.Popen)
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    assert ask(int(url.rstrip("/").rpartition(":")[2]), "/")[0] == 200
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (130, False), err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "is not a folder"),
        (["--port", "70000"], "a port is 0 to 65535"),
        (["--host", "203.0.113.7", "--port", "0"], "--host 203.0.113.7"),
    ],
)
def test_wrong_input_is_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["dashboard", *words]) == 2
    err = capsys.readouterr().err
    assert (said in err, len(err.splitlines())) == (True, 1), err
