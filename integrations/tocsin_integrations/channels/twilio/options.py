"""The options that both Twilio channels take."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tocsin.model import Option

ACCOUNT: Mapping[str, Option] = MappingProxyType(
    {
        "account_sid": Option("text", "the account's SID, AC and 32 hex digits", required=True),
        "auth_token": Option("secret", "the account's auth token; also verifies its callbacks", required=True),
        "api_base": Option("url", "another address of the API (a pretend Twilio); loopback only"),
        "allow_private": Option("flag", "lets api_base be another machine", default=False),
    }
)
