"""Turn tags or a caption into prompts by a language model; off unless the settings name one.

It speaks to any endpoint that answers OpenAI's `POST /chat/completions`, such as a local Ollama.
Only words are sent, never sound: the tags that `suggest` found, and what the user wrote.
"""

from __future__ import annotations

import ipaddress
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from threading import Thread
from typing import IO, Any
from urllib.parse import urlsplit

from presets.reading import read_json

MAX_PROMPTS = 6
MAX_WORDS = 60  # characters of a prompt
MAX_ANSWER = 2**20  # bytes
BLOCK = 2**14
TASK = (
    "You name the sounds that a recording should be separated into. Answer with a JSON list of 1 "
    f"to {MAX_PROMPTS} short noun phrases in English, one a sound that can be heard by itself, the "
    "most prominent first, and with nothing else. Tags come from a machine that listens badly: "
    "join those that name one sound and leave out what does not fit the description."
)
AGAIN = f"That was not a JSON list of 1 to {MAX_PROMPTS} short strings. Answer with the list alone."


class AssistantFailed(ValueError):
    """The assistant gave no prompts: one sentence says why."""


@dataclass(frozen=True, slots=True)
class Assistant:
    """Where the language model is: `url` is what stands before `/chat/completions`.

    `key_env` names the environment variable of the key, if one is needed. `seconds` limits each
    question.
    """

    url: str
    model: str
    key_env: str = ""
    seconds: float = 60.0

    def __post_init__(self) -> None:
        """Refuse an address that would carry words in the clear to another machine."""
        parts = urlsplit(self.url)
        local = parts.scheme == "http" and _is_loopback(parts.hostname or "")
        if not (local or (parts.scheme == "https" and parts.hostname)):
            raise ValueError(
                f"assistant url must be https, or http on this machine, got {self.url!r}"
            )
        if not self.model:
            raise ValueError("assistant model must be the name of a model, got nothing")
        if not 0 < self.seconds <= 600:
            raise ValueError(f"assistant seconds must be above 0 to 600, got {self.seconds:g}")

    def prompts(
        self,
        tags: Sequence[str],
        words: str = "",
        *,
        environ: Mapping[str, str] = os.environ,
    ) -> tuple[str, ...]:
        """1 to `MAX_PROMPTS` prompts from tags and the user's own words; asks at most twice.

        Raises `AssistantFailed`.
        """
        question = json.dumps({"tags": list(tags), "description": words}, ensure_ascii=False)
        talk = [{"role": "system", "content": TASK}, {"role": "user", "content": question}]
        answer = self._ask(talk, environ)
        parsed = parse_prompts(answer)
        if parsed is None:
            talk.append({"role": "assistant", "content": answer[:2000]})
            talk.append({"role": "user", "content": AGAIN})
            answer = self._ask(talk, environ)
            parsed = parse_prompts(answer)
        if parsed is None:
            raise AssistantFailed(
                f"the assistant {self.model} answered twice with no JSON list of 1 to "
                f"{MAX_PROMPTS} short prompts, the last time with {answer[:80]!r}"
            )
        return parsed

    def _ask(self, talk: list[dict[str, str]], environ: Mapping[str, str]) -> str:
        """The text of one answer."""
        body = {"model": self.model, "messages": talk, "temperature": 0, "stream": False}
        headers = {"Content-Type": "application/json"}
        if self.key_env:
            key = environ.get(self.key_env, "")
            if not key:
                raise AssistantFailed(f"the assistant's key is missing: set {self.key_env}")
            headers["Authorization"] = f"Bearer {key}"
        url = self.url.rstrip("/") + "/chat/completions"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310
        try:
            data = self._fetch(request)
        except urllib.error.HTTPError as error:
            with error:
                raise AssistantFailed(f"the assistant at {self.url} says {error.code}") from error
        except TimeoutError as error:
            raise AssistantFailed(self._late()) from error
        except (OSError, HTTPException) as error:
            why = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(why, TimeoutError):
                raise AssistantFailed(self._late()) from error
            raise AssistantFailed(f"the assistant at {self.url} cannot be asked: {why}") from error
        try:
            text = read_json(data)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError) as error:
            raise AssistantFailed(
                f"{self.url} does not answer as an OpenAI-compatible chat endpoint does"
            ) from error
        return str(text)

    def _fetch(self, request: urllib.request.Request) -> bytes:
        """The body of the answer, or `TimeoutError`.

        In a thread that can be left behind: a socket's time limit is one of each step, and bounds
        neither the look-up of a name nor a server that drips bytes.
        """
        body: Future[bytes] = Future()

        def fetch() -> None:
            try:
                body.set_result(self._read(request))
            except (OSError, HTTPException, ValueError) as error:
                body.set_exception(error)

        Thread(target=fetch, daemon=True).start()
        return body.result(self.seconds)

    def _read(self, request: urllib.request.Request) -> bytes:
        handlers: list[Any] = [_NoRedirect()]
        if _is_loopback(urlsplit(self.url).hostname or ""):
            handlers.append(urllib.request.ProxyHandler({}))
        data = b""
        opener = urllib.request.build_opener(*handlers)
        with opener.open(request, timeout=self.seconds) as answer:
            while block := answer.read1(BLOCK):
                data += block
                if len(data) > MAX_ANSWER:
                    raise AssistantFailed(f"the assistant's answer is over {MAX_ANSWER >> 20} MiB")
        return data

    def _late(self) -> str:
        return f"the assistant at {self.url} did not answer within {self.seconds:g} seconds"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: it could lead words and key to a place nobody allowed."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        """Go nowhere (urllib)."""


def parse_prompts(text: str) -> tuple[str, ...] | None:
    """The prompts of an answer, each once; None when it is no JSON list of 1 to 6 short strings.

    >>> parse_prompts('["rain", "a dog barking", "rain"]')
    ('rain', 'a dog barking')
    >>> parse_prompts('Here you go: ["rain"]') is None
    True
    """
    try:
        items = read_json(text)
    except ValueError:
        return None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        return None
    names = tuple(dict.fromkeys(" ".join(item.split()) for item in items))
    fit = all(0 < len(name) <= MAX_WORDS for name in names)
    return names if fit and 1 <= len(names) <= MAX_PROMPTS else None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
