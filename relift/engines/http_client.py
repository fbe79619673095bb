"""Try a server once over HTTP: bounded in time and size, with no key in anything that is said about it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2
from pydantic import SecretStr

from relift.engines.openai_replies import Retryable, failure_of
from relift.errors import InputError

LARGEST_BODY = 64 * 2**20  # bytes
CONNECT_SECONDS = 15.0
DROPPED_SECONDS = 2.0  # a connection that is lost sooner was none
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,99}")  # what may be shown: other names may be keys
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def read_key(variable: str | None) -> SecretStr | None:
    """Read the key in the environment variable of this name; None for None. Raises InputError when there is none."""
    if variable is None:
        return None
    value = os.environ.get(variable, "").strip()
    if not value and not _VARIABLE.fullmatch(variable):
        raise InputError(
            "--engine-option api_key_env: the name of an environment variable is needed, as in OPENAI_API_KEY; what is "
            "there looks like a key itself, which belongs into such a variable"
        )
    if not value:
        raise InputError(f"--engine-option api_key_env={variable}: this environment variable is not set, or empty")
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise InputError(
            f"--engine-option api_key_env={variable}: what is in this environment variable cannot be a key"
        )
    return SecretStr(value)


def base_url_of(url: str | None, *, option: str = "--base-url ") -> str:
    """Check an address, drop the slash at its end. Raises InputError for no address, or one with a password; `option`
    is how the reader named it."""
    if url is None:
        raise InputError(f"{option.rstrip(' =')} is missing: give the server's address, as in http://127.0.0.1:8000/v1")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InputError(f"{option}is no address; it should look like http://127.0.0.1:8000/v1") from None
    plain = url.isprintable() and " " not in url and parts.netloc.isascii()  # a foreign name is written as xn--...
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not plain:
        raise InputError(f"{option}{shown_url(url)!r} is no address; it should look like http://127.0.0.1:8000/v1")
    if parts.username is not None or parts.query or parts.fragment:
        raise InputError(
            f"{option}holds a user name, a password or a query, which would be written down; name the environment "
            "variable that holds a key with --engine-option api_key_env=NAME"
        )
    return url.rstrip("/")


def shown_url(url: str) -> str:
    """Leave user, password and query out of an address."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def host_of(url: str) -> str:
    """Name the machine of an address; "loopback" for this one, whose ports mean nothing tomorrow."""
    parts = urlsplit(url)
    return "loopback" if parts.hostname in LOOPBACK else f"{parts.scheme}://{parts.netloc}{parts.path}"


class HttpClient:
    """JSON to one server. `key` goes into the header that asks for it, and is blotted out of all that comes back."""

    def __init__(self, base_url: str, key: SecretStr | None, *, connections: int) -> None:
        self._base_url, self._key = base_url, key
        self._connections = connections
        self._client: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> HttpClient:
        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "relift"}
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key.get_secret_value()}"
        self._client = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),  # the rest is bounded as a whole, in `send`
            limits=httpx2.Limits(max_connections=self._connections, max_keepalive_connections=self._connections),
            follow_redirects=False,  # the key is for this server alone
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def send(self, method: str, path: str, body: Mapping[str, Any] | None, *, seconds: float) -> bytes:
        """Get the body of a reply with status 200. Raises Retryable or Rejected; never lasts longer than `seconds`,
        slow servers that send a byte now and then included."""
        assert self._client is not None
        begin = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(seconds):
                async with self._client.stream(method, self._base_url + path, json=body) as response:
                    data = self._without_key(await _read(response))
                    if response.status_code != 200:
                        raise failure_of(response.status_code, response.headers, data)
                    return data
        except TimeoutError:
            raise Retryable(f"no answer within {seconds:.0f} s", paid=True) from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise Retryable(f"cannot connect: {self._words(error)}", connected=False) from None
        except httpx2.TransportError as error:
            # a proxy before a server that is gone takes each connection and drops it at once
            there = asyncio.get_running_loop().time() - begin > DROPPED_SECONDS
            raise Retryable(f"connection lost: {self._words(error)}", paid=True, connected=there) from None
        except httpx2.HTTPError as error:
            raise Retryable(self._words(error), paid=True) from None

    def _words(self, error: Exception) -> str:
        return self._without_key(" ".join(str(error).split()).encode() or type(error).__name__.encode()).decode()

    def _without_key(self, data: bytes) -> bytes:
        """Blot the key out, also where JSON writes some of its letters as escapes."""
        if self._key is None:
            return data
        key = self._key.get_secret_value()
        data = data.replace(key.encode(), b"[key]")
        if b"\\" in data:
            with contextlib.suppress(ValueError, RecursionError):
                plain, written = json.dumps(json.loads(data)), json.dumps(key)[1:-1]
                if written in plain:
                    return plain.replace(written, "[key]").encode()
        return data


async def _read(response: httpx2.Response) -> bytes:
    data = bytearray()
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > LARGEST_BODY:
            raise Retryable(f"a reply of more than {LARGEST_BODY:,} bytes", paid=True)
    return bytes(data)
