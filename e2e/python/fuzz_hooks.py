"""What the fuzzer must know of this API: how requests are signed, which ids exist, which version an object has.

The fuzzer invents requests from the description alone. Most would end at a wrong signature, an unknown id or a stale version; the
hooks put a right one where the fuzzer put a well-formed one, so that the request reaches the code behind. What is malformed on purpose stays.

Read from the environment: FUZZ_WORLD, a file that says where the vault is, which keys it knows and which ids it has.
"""

import hashlib
import hmac
import json
import os
import random
import re
import secrets
import time
from collections import defaultdict
from urllib.parse import parse_qsl, quote_plus, unquote

import requests
import schemathesis

with open(os.environ["FUZZ_WORLD"], encoding="utf-8") as file:
    WORLD = json.load(file)

UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
VERSION = re.compile(r'^"[0-9]+"$')
# How often a well-formed id is replaced by one that exists; the rest shows what unknown ids are answered.
AIMED = 0.85

KNOWN = WORLD["ids"]
# Ids of what the fuzzer made itself, by the same names. Only this may it end: the rest of the run needs the others.
MADE = defaultdict(list)
NOUNS = {
    "/agents": "agent_id",
    "/apps": "app_id",
    "/grants": "grant_id",
    "/keys": "key_id",
    "/managed-secrets": "managed_secret_id",
    "/rules": "rule_id",
}
ENDS = re.compile(r"^(archive|delete|deprecate|revoke|rotate|set|suspend|update|sdk_revoke)_")
# Below the app that it was given everything goes, but that app itself stays as it is.
ENDS_APP = {"archive_app", "delete_app", "update_app"}
MADE_MAX = 50
# Calls that use a credential, and how a grant is picked there: by id or by provider, each with its own companions.
USES = {"proxy_request", "retrieve_token"}
BY_PROVIDER = ("provider_id", "account", "label", "app_user_id")

choose = random.Random(1)


def canonical_query(query: str) -> str:
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)


class Signature(requests.auth.AuthBase):
    """Signs the request as it is about to be sent, as the SDKs do."""

    def __call__(self, request):
        path, _, query = request.path_url.partition("?")
        target = unquote(path) + (f"?{canonical_query(query)}" if query else "")
        body = request.body or b""
        if isinstance(body, str):
            body = body.encode()
        timestamp, nonce = str(int(time.time())), secrets.token_hex(16)
        digest = hashlib.sha256(body).hexdigest()
        lines = [request.method.upper(), target, timestamp, nonce, digest, ""]
        api_key = WORLD["agent_key"] if path == "/sdk/agents/me" else WORLD["runtime_key"]
        key = hmac.new(api_key.encode(), b"alter-signing-v1", hashlib.sha256).digest()
        request.headers["x-api-key"] = api_key
        request.headers["X-Alter-Timestamp"] = timestamp
        request.headers["X-Alter-Nonce"] = nonce
        request.headers["X-Alter-Content-SHA256"] = digest
        request.headers["X-Alter-Signature"] = hmac.new(key, "\n".join(lines).encode(), hashlib.sha256).hexdigest()
        return request


class Token(requests.auth.AuthBase):
    def __call__(self, request):
        request.headers["Authorization"] = f"Bearer {WORLD['pat']}"
        return request


schemathesis.auth.set_from_requests(Signature()).apply_to(path_regex="^/sdk/")
schemathesis.auth.set_from_requests(Token()).apply_to(path_regex="^/api/v1/")


def existing(name: str, operation_id: str):
    """An id that exists, or None to leave the fuzzer's own."""
    if choose.random() > AIMED:
        return None
    is_about_app = name == "app_id" and operation_id not in ENDS_APP
    only_made = ENDS.match(operation_id) and not is_about_app
    ids = MADE[name] if only_made else KNOWN.get(name, []) + ([] if name == "app_id" else MADE[name])
    return choose.choice(ids) if ids else None


@schemathesis.hook
def before_call(context, case, kwargs):
    definition = case.operation.definition.raw
    operation_id = definition.get("operationId", "")
    parameters = case.path_parameters or {}
    for name, value in parameters.items():
        if is_id(value):
            parameters[name] = existing(name, operation_id) or value
    if isinstance(case.body, dict):
        aim_body(case.body, operation_id)
    aim_version(case)


def aim_body(body: dict, operation_id: str) -> None:
    if operation_id in USES and is_id(body.get("grant_id")) and choose.random() < AIMED:
        for name in (*BY_PROVIDER, "user_token"):
            body.pop(name, None)
    for name in ("grant_id", "agent_id"):
        if is_id(body.get(name)):
            body[name] = existing(name, "read") or body[name]
    url = body.get("url")
    if isinstance(url, str) and url and choose.random() < AIMED:
        body["url"] = WORLD["provider_url"] + choose.choice(["/v1/payments", "/v1/refunds", "/status/503", "/redirect?to=/", "/v1/../x?a=b"])
        if body.get("method") and choose.random() < AIMED:
            body["method"] = choose.choice(["GET", "POST", "HEAD", "DELETE"])
        if isinstance(body.get("headers"), dict) and choose.random() < AIMED:
            body.pop("headers")
    target = body.get("target")
    if isinstance(target, dict) and isinstance(target.get("type"), str) and isinstance(target.get("id"), str):
        target["id"] = existing(f"{target['type']}_id", "read") or target["id"]


def is_id(value) -> bool:
    return isinstance(value, str) and UUID.match(value) is not None


def aim_version(case) -> None:
    """The object's version where the fuzzer wrote any: otherwise no change would ever be made."""
    sent = (case.headers or {}).get("If-Match")
    if not isinstance(sent, str) or not VERSION.match(sent) or choose.random() > AIMED:
        return
    path = case.formatted_path
    if case.operation.path.endswith(("/allowed-hosts", "/delegation-policy")):
        path = path.rsplit("/", 1)[0]
    try:
        shown = requests.get(WORLD["base_url"] + path, auth=Token(), timeout=10)
    except (requests.RequestException, ValueError):
        return
    if "ETag" in shown.headers:
        case.headers["If-Match"] = shown.headers["ETag"]


@schemathesis.hook
def after_call(context, case, response):
    """Remembers what was made, so that later requests can read, change and end it."""
    if case.method.upper() != "POST" or response.status_code not in (200, 201, 202):
        return
    try:
        made = response.json()
    except ValueError:
        return
    if not isinstance(made, dict):
        return
    noun = next((name for end, name in NOUNS.items() if case.operation.path.endswith(end)), None)
    for name, made_id in ((noun, made.get("id")), ("approval_id", made.get("approval_id"))):
        if name is not None and is_id(made_id) and len(MADE[name]) < MADE_MAX:
            MADE[name].append(made_id)
