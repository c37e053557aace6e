"""The published Python client against a running vault.

Reads one line of JSON (where everything is), prints one line for each check: {"check", "ok", "error"?}.
A line {"ask", ...} asks whoever started this for something that no client can do; a line on standard input answers.
"""

import asyncio
import base64
import json
import sys
import time
import traceback
import warnings
from os import environ
from unittest import mock

import boto3
import httpx
from alter_sdk import (
    Agent,
    AgentDelegationMissingError,
    AmbiguousGrantError,
    App,
    ApprovalDeniedError,
    ApprovalExpiredError,
    BackendError,
    BlockedDestinationError,
    CallerType,
    GrantNotFoundError,
    GrantRevokedError,
    HttpMethod,
    InsufficientScopeError,
    InvalidKeyError,
    KeyRevokedError,
    MeRequiresAgentKeyError,
    PolicyViolationError,
    RestrictedGrantRequiresProxyError,
)
from alter_sdk.models import ApprovalResult, PendingApproval, SystemPrincipal
from botocore.exceptions import ClientError

vault = json.loads(sys.stdin.readline())
api = vault["api"]
grants = vault["grants"]
aws = vault["aws"]
checks = []


def check(sentence):
    def remember(function):
        checks.append((sentence, function))
        return function

    return remember


def emit(line):
    print(json.dumps(line), flush=True)


async def ask(**question):
    emit(question)
    return (await asyncio.to_thread(sys.stdin.readline)).strip()


async def raised(expected, awaitable):
    """The error that the call ends with; of exactly this class, since a base class says less than the client knows."""
    try:
        answer = await awaitable
    except Exception as error:  # noqa: BLE001
        assert type(error) is expected, f"expected {expected.__name__}, got {type(error).__name__}: {error}"
        return error
    raise AssertionError(f"expected {expected.__name__}, got the answer {answer!r}")


async def refused(code, awaitable, expected=BackendError):
    error = await raised(expected, awaitable)
    assert error.details["error"] == code, error.details
    return error


async def decide(link, decision, reason=None):
    url = httpx.URL(link)
    approval_id = url.path.rsplit("/", 1)[-1]
    token = url.fragment.removeprefix("t=")
    page_url = f"{vault['base_url']}/wallet/api/approvals/{approval_id}"
    async with httpx.AsyncClient() as browser:
        page = (await browser.get(page_url, headers={"x-alter-link-token": token})).json()
        body = {"decision": decision, "action_hash": page["action_hash"], "link_token": token}
        if reason is not None:
            body["reason"] = reason
        (await browser.post(f"{page_url}/decide", json=body)).raise_for_status()


def app(**options):
    return App(vault["runtime_key"], **options)


def agent(**options):
    return Agent(vault["agent_key"], **options)


async def hold(client, path, **options):
    pending = await client.proxy_request(
        HttpMethod.POST, f"{api}{path}", grant_id=grants["bearer"], json={"amount": 1}, **options
    )
    assert isinstance(pending, PendingApproval), pending
    return pending


@check("App and Agent construct and point at the vault")
async def construct():
    async with app(caller="checkout", caller_type=CallerType.SERVICE) as client, agent() as worker:
        assert client.base_url == vault["base_url"], client.base_url
        assert worker.base_url == vault["base_url"], worker.base_url


@check("a proxied call is answered inline")
async def inline():
    async with app() as client:
        result = await client.proxy_request(
            HttpMethod.POST,
            f"{api}/inline",
            grant_id=grants["bearer"],
            json={"customer": "José", "amount": 12},
            query_params={"expand": ["a", "b"], "dry": False},
            extra_headers={"X-Trace": "t-1"},
            reason="inline",
        )
    assert isinstance(result, ApprovalResult), result
    assert result.status_code == 200, result
    assert json.loads(result.body_json()["body"]) == {"customer": "José", "amount": 12}, result.body_json()


@check("a provider's own refusal is a result")
async def provider_refusal():
    async with app() as client:
        result = await client.proxy_request(HttpMethod.GET, f"{api}/status/503", grant_id=grants["bearer"])
    assert result.status_code == 503, result


@check("a held call is approved, executed once and its result awaited")
async def approved():
    async with app() as client:
        pending = await hold(client, "/held/approved", reason="Refund of order 7")
        assert pending.status == "pending" and len(pending.gates) == 1, pending
        assert 0 < pending.expires_in <= 3600, pending
        waiting = asyncio.create_task(client.await_approval(pending.approval_id, timeout=60, poll_interval=0.2))
        status = await client.get_approval_status(pending.approval_id)
        assert status.status == "pending" and not status.is_terminal, status
        await decide(pending.approval_url, "approve")
        result = await waiting
        assert result.status_code == 200 and result.body_json()["path"] == "/held/approved", result
        status = await client.get_approval_status(pending.approval_id)
        assert status.status == "executed" and status.is_terminal and status.has_result, status


@check("a denied call ends in ApprovalDeniedError with the reason")
async def denied():
    async with app() as client:
        pending = await hold(client, "/held/denied")
        await decide(pending.approval_url, "deny", "not this month")
        error = await raised(ApprovalDeniedError, client.await_approval(pending.approval_id, timeout=30))
    assert "not this month" in str(error), error


@check("a call that nobody decided ends in ApprovalExpiredError")
async def expired():
    async with app() as client:
        pending = await hold(client, "/held/briefly")
        assert pending.expires_in <= 60, pending
        assert await ask(ask="expire", approval_id=str(pending.approval_id)) == "done"
        await raised(ApprovalExpiredError, client.await_approval(pending.approval_id, timeout=30))


@check("an agent's held call is awaited by the agent")
async def agent_held():
    async with agent() as worker:
        pending = await worker.proxy_request(
            HttpMethod.POST, f"{api}/held/agent", grant_id=grants["agent"], json={"amount": 2}, reason="Nightly run"
        )
        await decide(pending.approval_url, "approve")
        result = await worker.await_approval(pending.approval_id, timeout=60, poll_interval=0.2)
    assert result.body_json()["path"] == "/held/agent", result
    async with app() as client:
        await refused("approval_not_found", client.get_approval_status(vault["unknown_id"]))


@check("a denied destination ends in PolicyViolationError with the rule's code")
async def policy():
    async with app() as client:
        error = await raised(
            PolicyViolationError, client.proxy_request(HttpMethod.GET, f"{api}/denied", grant_id=grants["bearer"])
        )
    assert error.policy_error == "policy_denied", error.policy_error
    assert error.details["reasons"][0]["rule_id"] == vault["deny_rule_id"], error.details


@check("a bearer token reaches the provider by request")
async def bearer():
    async with app() as client:
        response = await client.request(HttpMethod.GET, f"{api}/direct/bearer", grant_id=grants["bearer"], reason="direct")
    assert response.status_code == 200


@check("an API key in a header reaches the provider by request")
async def header():
    async with app() as client:
        await client.request(HttpMethod.GET, f"{api}/direct/header", grant_id=grants["header"])


@check("a key in the query reaches the provider by request")
async def query():
    async with app() as client:
        await client.request(
            HttpMethod.GET, f"{api}/direct/query", grant_id=grants["query"], query_params={"page": "2"}
        )


@check("basic credentials reach the provider by request")
async def basic():
    async with app() as client:
        await client.request(HttpMethod.POST, f"{api}/direct/basic", grant_id=grants["basic"], json={"n": 1})


@check("an AWS signature made by the client verifies")
async def sigv4_direct():
    url = f"{aws['url']}/{aws['bucket']}/direct/päth with space.txt"
    async with app() as client:
        put = await client.request(HttpMethod.PUT, url, grant_id=grants["aws"], body=b"made by the client")
        assert put.status_code == 200, put.text
        got = await client.request(HttpMethod.GET, url, grant_id=grants["aws"])
    assert got.content == b"made by the client", got.content


@check("an AWS signature made by the vault verifies")
async def sigv4_proxied():
    bucket = f"{aws['url']}/{aws['bucket']}"
    async with app() as client:

        async def call(method, url, **options):
            result = await client.proxy_request(method, url, grant_id=grants["aws"], **options)
            assert isinstance(result, ApprovalResult), result
            return result.status_code, base64.b64decode(result.body_b64).decode()

        status, text = await call(HttpMethod.PUT, f"{bucket}/proxied/a b+c.json", json={"made": "by the vault"})
        assert status == 200, text
        status, text = await call(HttpMethod.GET, f"{bucket}/proxied/a%20b%2Bc.json")
        assert (status, text) == (200, '{"made":"by the vault"}'), (status, text)
        status, text = await call(
            HttpMethod.GET, bucket, query_params={"list-type": "2", "prefix": "proxied/", "max-keys": 5}
        )
        assert status == 200 and "<Key>proxied/a b+c.json</Key>" in text, text


@check("the same AWS refuses a signature with another secret")
async def aws_refuses():
    stranger = boto3.client(
        "s3",
        endpoint_url=aws["url"],
        region_name=aws["region"],
        aws_access_key_id=aws["access_key_id"],
        aws_secret_access_key="another secret",
    )
    try:
        await asyncio.to_thread(stranger.list_objects_v2, Bucket=aws["bucket"])
    except ClientError as error:
        assert error.response["Error"]["Code"] == "SignatureDoesNotMatch", error
    else:
        raise AssertionError("the signature was not checked")


@check("narrowed scopes are enforced and cannot widen")
async def narrowed_scopes():
    async with app() as client:
        narrow = client.with_constraints(scopes=["grants:read"])
        await narrow.list_grants()
        error = await raised(
            InsufficientScopeError, narrow.proxy_request(HttpMethod.GET, f"{api}/never", grant_id=grants["bearer"])
        )
        assert error.missing == ["proxy:execute"], error.missing
        await narrow.close()
    async with App(vault["narrow_key"]) as client:
        wide = client.with_constraints(scopes=["proxy:execute"])
        await refused("constraint_not_narrowing", wide.list_grants())
        await wide.close()


@check("a one-off deny rule refuses what it names and nothing else")
async def one_off_deny():
    rule = {"rule_type": "json_match", "rule_body": {"when": {"method": ["POST", "DELETE"]}, "effect": "deny"}}
    async with app() as client:
        careful = client.with_constraints(rule=rule)
        result = await careful.proxy_request(HttpMethod.GET, f"{api}/one-off", grant_id=grants["bearer"])
        assert result.status_code == 200
        error = await raised(
            PolicyViolationError,
            careful.proxy_request(HttpMethod.POST, f"{api}/one-off/refused", grant_id=grants["bearer"], json={}),
        )
        assert error.policy_error == "policy_denied", error.policy_error
        # A raw token can issue any method, so the rule counts as matched.
        await raised(
            PolicyViolationError, careful.request(HttpMethod.GET, f"{api}/one-off/refused", grant_id=grants["bearer"])
        )
        await careful.close()


@check("a one-off approval rule holds the call")
async def one_off_approval():
    rule = {
        "rule_type": "require_approval",
        "rule_body": {"effect": "require_approval", "approval": {"channels": []}, "when": {"method": "DELETE"}},
    }
    async with agent() as worker:
        careful = worker.with_constraints(rule=rule)
        pending = await careful.proxy_request(HttpMethod.DELETE, f"{api}/one-off/held", grant_id=grants["agent"])
        assert isinstance(pending, PendingApproval), pending
        await decide(pending.approval_url, "approve")
        result = await careful.await_approval(pending.approval_id, timeout=60, poll_interval=0.2)
        assert result.body_json()["method"] == "DELETE", result
        await careful.close()


@check("grants are listed for the app and for the agent")
async def listed():
    async with app() as client, agent() as worker:
        everything = await client.list_grants(limit=1000)
        ids = {str(grant.grant_id) for grant in everything.grants}
        assert {grants["bearer"], grants["aws"]} <= ids, ids
        one = next(grant for grant in everything.grants if str(grant.grant_id) == grants["bearer"])
        assert (one.grant_kind, one.principal_type, one.status) == ("managed_secret", "system", "active"), one
        own = await worker.list_grants()
        assert {str(grant.grant_id) for grant in own.grants} == set(vault["agent_grants"]), own
        page = await client.list_grants(limit=1, offset=1)
        assert len(page.grants) == 1 and page.has_more and page.total == everything.total, page


@check("an agent reads who it is and an app does not")
async def me():
    async with agent() as worker, app() as client:
        info = await worker.me()
        assert (str(info.id), info.status) == (vault["agent_id"], "active"), info
        impersonated = client.get_agent(vault["agent_id"])
        assert str((await impersonated.me()).id) == vault["agent_id"]
        await impersonated.close()
    async with Agent(vault["runtime_key"]) as nobody:
        await raised(MeRequiresAgentKeyError, nobody.me())


@check("an app acting as an agent reaches what the agent reaches")
async def impersonation():
    async with app() as client:
        worker = client.get_agent(vault["agent_id"])
        result = await worker.proxy_request(HttpMethod.GET, f"{api}/as-agent", grant_id=grants["agent"])
        assert result.status_code == 200, result
        await raised(
            AgentDelegationMissingError,
            worker.proxy_request(HttpMethod.GET, f"{api}/never", grant_id=grants["bearer"]),
        )
        await worker.close()


@check("the scope catalog is read")
async def scope_catalog():
    async with app() as client:
        catalog = await client.scopes.list()
    assert catalog.scope_version == 1, catalog
    assert "proxy:execute" in catalog.action_verbs, catalog.action_verbs


@check("an unknown key ends in InvalidKeyError")
async def unknown_key():
    async with App(vault["unknown_key"]) as client:
        await raised(InvalidKeyError, client.list_grants())


@check("a revoked key ends in KeyRevokedError")
async def revoked_key():
    async with App(vault["revoked_key"]) as client:
        await raised(KeyRevokedError, client.list_grants())
        await raised(KeyRevokedError, client.proxy_request(HttpMethod.GET, f"{api}/never", grant_id=grants["bearer"]))


@check("a deprecated key works and says so")
async def deprecated_key():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        async with App(vault["deprecated_key"]) as client:
            await client.list_grants()
            await client.list_grants()
    assert len([one for one in seen if issubclass(one.category, UserWarning)]) == 1, [str(one.message) for one in seen]


async def through(tampering, code):
    """A client whose traffic is changed on the way; the prefix of the base URL is not part of what is signed."""
    before = environ["ALTER_BASE_URL"]
    environ["ALTER_BASE_URL"] = f"{vault['tampering_proxy']}/{tampering}"
    try:
        async with app(caller="checkout") as client:
            await refused(
                code,
                client.proxy_request(
                    HttpMethod.POST, f"{api}/tampered/{tampering}", grant_id=grants["bearer"], json={"amount": 1}
                ),
            )
    finally:
        environ["ALTER_BASE_URL"] = before


@check("a replayed request is refused")
async def replayed():
    await through("replay", "nonce_replayed")


@check("a changed body is refused")
async def changed_body():
    await through("changed-body", "signature_invalid")


@check("a changed caller is refused")
async def changed_caller():
    await through("changed-caller", "signature_invalid")


@check("a caller header that was taken away is refused")
async def stripped_caller():
    await through("stripped-caller", "signature_invalid")


@check("a request from a clock that is wrong is refused")
async def wrong_clock():
    now = time.time
    async with app() as client:
        for error_seconds in (-301, 301):
            with mock.patch("time.time", lambda: now() + error_seconds):  # noqa: B023
                await refused("timestamp_out_of_range", client.list_grants())


@check("a grant that needs approval or is restricted is not handed out")
async def needs_proxy():
    async with app() as client:
        for grant in ("needs_approval", "restricted"):
            await raised(
                RestrictedGrantRequiresProxyError,
                client.request(HttpMethod.GET, f"{api}/never", grant_id=grants[grant]),
            )


@check("an unknown grant is told apart for apps and agents")
async def unknown_grant():
    call = (HttpMethod.GET, f"{api}/never")
    async with app() as client, agent() as worker:
        await raised(GrantNotFoundError, client.proxy_request(*call, grant_id=vault["unknown_id"]))
        await raised(AgentDelegationMissingError, worker.proxy_request(*call, grant_id=vault["unknown_id"]))
        await raised(AgentDelegationMissingError, worker.request(*call, grant_id=grants["bearer"]))


@check("several grants that fit end in AmbiguousGrantError with the candidates")
async def ambiguous():
    async with app() as client:
        error = await raised(
            AmbiguousGrantError, client.proxy_request(HttpMethod.GET, f"{api}/never", provider=vault["siblings"])
        )
        assert {one.label for one in error.candidates} == {"billing", "support"}, error.candidates
        result = await client.proxy_request(
            HttpMethod.GET, f"{api}/labeled", provider=vault["siblings"], label="support"
        )
    assert result.status_code == 200, result


@check("a destination that the credential is not for is refused")
async def blocked():
    async with app() as client:
        for url in ("https://example.com/", "http://169.254.169.254/latest/meta-data/", f"{api}/a/%2e%2e%2fadmin"):
            await raised(
                BlockedDestinationError, client.proxy_request(HttpMethod.GET, url, grant_id=grants["bearer"])
            )


@check("a grant is created, used and revoked by the app")
async def lifecycle():
    async with app() as client:
        made = await client.create_managed_secret_grant(
            vault["secret_id"], principal=SystemPrincipal(label="from python")
        )
        grant_id = str(made.grant_id)
        result = await client.proxy_request(HttpMethod.GET, f"{api}/created", grant_id=grant_id)
        assert result.status_code == 200, result
        assert (await client.revoke_grant(grant_id, reason="over")).success
        await raised(GrantRevokedError, client.proxy_request(HttpMethod.GET, f"{api}/never", grant_id=grant_id))


async def main():
    for sentence, function in checks:
        try:
            await asyncio.wait_for(function(), 45)
            emit({"check": sentence, "ok": True})
        except Exception:  # noqa: BLE001
            emit({"check": sentence, "ok": False, "error": traceback.format_exc()[-4000:]})


asyncio.run(main())
