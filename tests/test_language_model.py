"""The assistant against a small HTTP server: what it sends, and how an answer can be wrong."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bridge.service.language_model import MAX_PROMPTS, Assistant, AssistantFailed, parse_prompts


def chat(content):
    """A whole answer of a chat endpoint that says `content`."""
    return 200, json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]})


class Endpoint(BaseHTTPRequestHandler):
    """Gives the answers that the test put in its server's list, one a question."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers), json.loads(body)))
        answer = self.server.answers.pop(0)
        if answer == "hang":
            self.server.over.wait(30)
            return
        if answer in ("drip", "drip head"):
            self.wfile.write(b"HTTP/1.0 200 OK\r\n" + (b"\r\n" if answer == "drip" else b"X: "))
            while not self.server.over.wait(0.05):
                try:
                    self.wfile.write(b"x")
                except OSError:
                    return
            return
        code, text = answer
        self.send_response(code)
        if 300 <= code < 400:
            self.send_header("Location", text)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@contextmanager
def endpoint(*answers):
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        server.answers, server.asked, server.over = [*answers], [], threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server, f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def test_tags_and_words_go_out_and_prompts_come_back():
    with endpoint(chat('["rain on a tent", "a dog barking"]')) as (server, url):
        helper = Assistant(url, "llama3.2", key_env="MY_KEY", seconds=20)
        found = helper.prompts(("rain", "dog"), "camping", environ={"MY_KEY": "secret"})
    assert found == ("rain on a tent", "a dog barking")
    ((path, headers, body),) = server.asked
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert body["model"] == "llama3.2"
    assert body["stream"] is False
    assert json.loads(body["messages"][1]["content"]) == {
        "tags": ["rain", "dog"],
        "description": "camping",
    }


def test_without_a_key_none_is_sent():
    with endpoint(chat('["rain"]')) as (server, url):
        assert Assistant(url, "m", seconds=20).prompts((), "rain") == ("rain",)
    assert "Authorization" not in server.asked[0][1]


def test_a_wrong_answer_is_asked_about_once_again():
    wrong = chat('Sure! ["rain"]')
    with endpoint(wrong, chat('["rain"]')) as (server, url):
        assert Assistant(url, "m", seconds=20).prompts(("rain",)) == ("rain",)
    assert len(server.asked) == 2
    said = server.asked[1][2]["messages"]
    assert said[2] == {"role": "assistant", "content": 'Sure! ["rain"]'}
    assert "JSON list" in said[3]["content"]


@pytest.mark.parametrize("content", ["no list", "[]", '[""]', "[1]", '{"a": "b"}', "[[[", None])
def test_two_wrong_answers_are_a_failure_in_one_sentence(content):
    with endpoint(chat(content), chat(content)) as (server, url):
        with pytest.raises(AssistantFailed, match="answered twice with no JSON list"):
            Assistant(url, "m", seconds=20).prompts(("rain",))
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((500, "no"), "says 500"),
        ((404, "no"), "says 404"),
        ((302, "http://127.0.0.1:9/elsewhere"), "says 302"),
        ((200, "<html>"), "does not answer as an OpenAI-compatible"),
        ((200, "{}"), "does not answer as an OpenAI-compatible"),
        ((200, '{"choices": []}'), "does not answer as an OpenAI-compatible"),
        ((200, "[" * 100_000), "does not answer as an OpenAI-compatible"),
        ((200, " " * (2**20 + 1)), "is over 1 MiB"),
    ],
)
def test_a_broken_endpoint_is_a_failure_in_one_sentence(answer, words):
    with endpoint(answer) as (server, url):
        with pytest.raises(AssistantFailed, match=words):
            Assistant(url, "m", seconds=20).prompts(("rain",))
    assert len(server.asked) == 1  # these are not asked again


@pytest.mark.parametrize("way", ["hang", "drip", "drip head"])
def test_a_silent_or_endless_answer_has_a_time_limit(way):
    with endpoint(way) as (_, url):
        with pytest.raises(AssistantFailed, match=r"did not answer within 0\.5 seconds"):
            Assistant(url, "m", seconds=0.5).prompts(("rain",))


def test_nobody_there_is_a_failure_in_one_sentence():
    with endpoint() as (_, url):
        pass
    with pytest.raises(AssistantFailed, match=r"cannot be asked: .*refused"):
        Assistant(url, "m", seconds=20).prompts(("rain",))


def test_a_missing_key_is_named():
    with pytest.raises(AssistantFailed, match="set NO_SUCH_KEY"):
        Assistant("https://llm.example", "m", key_env="NO_SUCH_KEY").prompts((), environ={})


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1/v1", "http://example.org", "ftp://127.0.0.1", "file:///etc/passwd", "https:",
     "localhost:11434", "http://127.0.0.1.example.org", ""],
)  # fmt: skip
def test_words_leave_this_machine_only_encrypted(url):
    with pytest.raises(ValueError, match="must be https, or http on this machine"):
        Assistant(url, "m")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:11434/v1", "http://[::1]:1", "http://localhost", "https://a.example"]
)
def test_loopback_and_https_are_allowed(url):
    assert Assistant(url, "m").url == url


def test_prompts_are_trimmed_single_and_few():
    assert parse_prompts('[" a  bell ", "a bell"]') == ("a bell",)
    assert parse_prompts(json.dumps([f"sound {i}" for i in range(MAX_PROMPTS)])) is not None
    assert parse_prompts(json.dumps([f"sound {i}" for i in range(MAX_PROMPTS + 1)])) is None
    assert parse_prompts(json.dumps(["x" * 61])) is None
