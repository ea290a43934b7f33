"""Who may use the server: names of the host, origins of web pages, the API key, and the number of requests."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import socket
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from translate.errors import UserError

HOST = re.compile(r"(?:\[([^][]*)\]|([^][:]*))(?::\d*)?")
NAME = re.compile(r"[^][:/?#@,*\s]+")
ORIGIN = re.compile(rf"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|{NAME.pattern})(?::\d+)?|null", re.IGNORECASE)
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
ANY_ADDRESS = ("0.0.0.0", "::")
COOKIE = "translate_key"
RATE_SECONDS = 60.0
WITHOUT_KEY = "Please send an API key (api_key); in a browser, open the page once as /?api_key=KEY"


@dataclass
class Access:
    """The rules of a server. Each check raises HTTPException with status 403 or 429."""

    host: str = "127.0.0.1"
    hosts: Collection[str] = ()  # further names under which the server is known
    origins: Collection[str] = ()  # origins of other pages that may send requests
    api_key: str = ""
    rate_limit: int = 0  # requests per minute and client; 0: no limit
    _counts: Counter[str] = field(default_factory=Counter)
    _counting_since: float = 0.0
    _cookie_secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def __post_init__(self) -> None:
        """Raise UserError for names and origins that no request can have."""
        for origin in self.origins:
            if not ORIGIN.fullmatch(origin):
                raise UserError(f"--cors {origin}: should be an origin such as https://page.example.org")
        for name in self.hosts:
            if not NAME.fullmatch(name):
                raise UserError(f"--allow-host {name}: should be a name such as translate.example.org, without port")

    def check_host(self, header: str) -> None:
        """Refuse names that are not the server's: a page elsewhere may point its own name here (DNS rebinding)."""
        name = _host_name(header)
        known = {*LOOPBACK_NAMES, self.host, *self.hosts}
        if self.host in ANY_ADDRESS:
            known.add(socket.gethostname())
        is_address = self.host not in LOOPBACK_NAMES and _is_address(name)  # an address cannot be rebound
        if name not in {each.lower() for each in known} and not is_address:
            raise HTTPException(403, "unknown host name; to allow it, start the server with --allow-host NAME")

    def allows_origin(self, origin: str) -> bool:
        """Return whether pages of this origin may send requests and read the answers."""
        return origin.lower() in [each.lower() for each in self.origins]

    def check_origin(self, headers: Headers) -> None:
        """Refuse requests of pages from elsewhere. Programs that are not browsers send no origin."""
        origin = headers.get("origin")
        if origin is None or self.allows_origin(origin):
            return
        try:
            is_own = urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
        except ValueError:
            is_own = False
        if not is_own:
            raise HTTPException(403, "requests from other web pages are refused; start the server with --cors ORIGIN")

    def check_key(self, given: str, headers: Headers) -> None:
        """Refuse requests without the API key, if there is one: in the request, as bearer token or by cookie."""
        if not self.api_key:
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        token = token.encode("latin-1").decode("utf-8", "replace")  # headers are bytes
        keys = [given, token if scheme.lower() == "bearer" else ""]
        cookies = [each.strip().partition("=") for each in headers.get("cookie", "").split(";")]
        has_cookie = any(name == COOKIE and _is_same(value, self.cookie) for name, _, value in cookies)
        if not has_cookie and not any(_is_same(key, self.api_key) for key in keys):
            raise HTTPException(403, "Invalid API key" if any(keys) else WITHOUT_KEY)

    @property
    def cookie(self) -> str:
        """The value of the cookie that stands for the API key while this server runs."""
        return hmac.new(self._cookie_secret, self.api_key.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def count(self, client: str) -> None:
        """Count a request, and refuse it if the client has sent too many within a minute."""
        if not self.rate_limit:
            return
        now = time.monotonic()
        if now - self._counting_since > RATE_SECONDS:
            self._counting_since = now
            self._counts.clear()
        self._counts[client] += 1
        if self._counts[client] > self.rate_limit:
            wait = str(1 + int(self._counting_since + RATE_SECONDS - now))
            message = f"Slowdown: more than {self.rate_limit} requests per minute"
            raise HTTPException(429, message, {"Retry-After": wait})


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def _host_name(header: str) -> str:
    """Return the host of a Host header without its port, or "" if it is none."""
    found = HOST.fullmatch(header.lower())
    return (found[1] or found[2]) if found else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
