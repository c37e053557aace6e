import { gunzipSync } from 'node:zlib'
import { type DecisionReason, LINK_TOKEN_HEADER, type RuleType } from '@alter-vault/contracts'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { newId } from './kernel/ids.ts'
import { systemAuthor } from './management/index.ts'
import type { AuditedRow } from './testing/audited-rows.ts'
import { type GoldenCase, readGoldenCases } from './testing/golden-cases.ts'
import { createHandClock } from './testing/management.ts'
import { type RecordingProvider, startRecordingProvider } from './testing/recording-provider.ts'
import { createTestServer, type Reply, type TestServer } from './testing/test-server.ts'

/*
 * Every golden case through the whole server: signed requests in, a recording provider behind, the audit log read from the store.
 *
 * Three things differ from the files, in URLs and nowhere a rule can see them, since rules know scheme-less hosts:
 *   `https://api.stripe.com` is `http://api.stripe.com:<port>`, a name that this server's resolver leads to loopback and that the app
 *   may dial. A compressed body is sent in plain words under its `Content-Encoding`: the SDK API takes JSON values only. A rule of the
 *   organization is written by its use case and the version of a rule into the store: no API takes them from a token.
 */

const HOST = 'api.stripe.com'
const OFFICE = '198.51.100.7'
const DEFAULT_AT = '2026-03-04T12:00:00Z'

/** Cases that this suite cannot act out, and why. */
const NOT_HERE: Record<string, string> = {
  '17-suspended-user': 'no identity provider can be configured, so no request names an end user',
}
/** When the request of an execution case comes in, where that is not the moment of its decision. */
const HELD_AT: Record<string, string> = { '19-office-hours-at-execution': '2026-03-06T12:00:00Z' }

const cases = readGoldenCases()
const startOf = (name: string, golden: GoldenCase) => HELD_AT[name] ?? golden.at ?? DEFAULT_AT

/** What a case needs of its app, by the names that the cases use. */
type World = {
  appId: string
  appKey: string
  agentKey: string
  agentId: string
  systemGrant: string
  agentGrant: string
}

let provider: RecordingProvider
let servers: Map<string, Promise<TestServer>>
/** Done once, after the next approved request was claimed and before it is looked at again. */
let afterClaim: (() => Promise<void>) | undefined

beforeAll(async () => {
  provider = await startRecordingProvider()
  servers = new Map()
})

afterAll(async () => {
  for (const server of servers.values()) await (await server)[Symbol.asyncDispose]()
  await provider[Symbol.asyncDispose]()
})

/** One server for all cases that begin at the same instant: a clock that is set back is not to be trusted. */
function serverFrom(at: string): Promise<TestServer> {
  const known =
    servers.get(at) ??
    createTestServer({
      clock: createHandClock(Date.parse(at)),
      resolve: async (host) => {
        if (host !== HOST) throw new Error(`nobody should ask for ${host}`)
        return [{ address: '127.0.0.1', family: 4 }]
      },
      faults: {
        async at(point) {
          if (point !== 'after_claim') return
          const once = afterClaim
          afterClaim = undefined
          await once?.()
        },
      },
    })
  servers.set(at, known)
  return known
}

async function createWorld({ operator }: TestServer, name: string): Promise<World> {
  const must = async (method: string, path: string, body: unknown) => {
    const reply = await operator(method, path, body)
    expect(reply.status, reply.text).toBe(201)
    return reply.body
  }
  const host = `${HOST}:${provider.port}`
  const app = await must('POST', '/api/v1/apps', { name, settings: { allowed_private_hosts: [host] } })
  const inApp = `/api/v1/apps/${app.id}`
  const secret = await must('POST', `${inApp}/managed-secrets`, {
    name: 'stripe',
    credential_type: 'bearer',
    value: { token: `sk_${newId()}` },
    allowed_hosts: [host],
  })
  const scopes = ['tokens:retrieve', 'proxy:execute']
  const key = await must('POST', `${inApp}/keys`, { name: 'live', scopes })
  const agent = await must('POST', `${inApp}/agents`, {
    name: 'refunds',
    scopes: { managed_secret_slugs: [secret.slug] },
  })
  const grant = await must('POST', `${inApp}/managed-secrets/${secret.id}/grants`, {
    principal: { type: 'agent', id: agent.id },
  })
  return {
    appId: app.id,
    appKey: key.api_key,
    agentKey: agent.api_key,
    agentId: agent.id,
    systemGrant: secret.base_grant_id,
    agentGrant: grant.id,
  }
}

const grantOf = (world: World, golden: GoldenCase) =>
  golden.request?.agent === null ? world.systemGrant : world.agentGrant

/** Names stand for ids inside rule bodies as well. */
function withIds(value: unknown, world: World): unknown {
  if (value === 'B') return world.agentId
  if (Array.isArray(value)) return value.map((each) => withIds(each, world))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withIds(member, world)]))
}

/** Answers how to take back what would hold in the apps of other cases, too. */
async function writeRules(server: TestServer, world: World, golden: GoldenCase): Promise<() => Promise<unknown>> {
  let takeBack: () => Promise<unknown> = async () => undefined
  const targets: Record<string, string> = {
    app: world.appId,
    agent: world.agentId,
    grant: grantOf(world, golden),
    provider: 'stripe',
  }
  for (const rule of golden.rules ?? []) {
    const { name, type, mode } = rule
    const body = withIds(rule.body, world)
    if (rule.on === 'organization') {
      const { organization_id: organizationId } = server.dev
      const home = { kind: 'organization', organizationId } as const
      const target = { type: 'organization', id: organizationId }
      const typed = { type: type as RuleType, body: body as Record<string, unknown> }
      const { id: ruleId, version: expectedVersion } = await server.writeRules.createRule({
        home,
        author: systemAuthor,
        target,
        name,
        ...typed,
      })
      takeBack = () => server.writeRules.deleteRule({ home, author: systemAuthor, ruleId, expectedVersion })
      continue
    }
    const target = { type: rule.on, id: targets[rule.on] }
    const written = await server.operator('POST', `/api/v1/apps/${world.appId}/rules`, {
      name,
      type,
      target,
      body,
      ...(mode === undefined ? {} : { mode }),
    })
    expect(written.status, written.text).toBe(201)
    if (rule.body_version !== undefined) {
      await server.asOwner('update rules set body_version = $1 where rule_id = $2', [
        rule.body_version,
        written.body.id,
      ])
    }
  }
  return takeBack
}

function bodyOf({ body, body_base64: encoded }: NonNullable<GoldenCase['request']>): unknown {
  const text = encoded === undefined ? body : gunzipSync(Buffer.from(encoded, 'base64')).toString('utf8')
  return text === undefined ? undefined : JSON.parse(text)
}

/** Makes the request of a case as an SDK would. */
function makeRequest(server: TestServer, world: World, golden: GoldenCase, rule = golden.request_rule): Promise<Reply> {
  const { request = {} } = golden
  const method = request.method ?? 'GET'
  const url = (request.url ?? `https://${HOST}/v1/charges`).replace(
    `https://${HOST}`,
    `http://${HOST}:${provider.port}`,
  )
  const body = bodyOf(request)
  const ruleHeader = rule && Buffer.from(JSON.stringify(rule)).toString('base64url')
  const addressed = { grant_id: grantOf(world, golden), reason: 'a golden case' }
  return server.sdk(request.agent === null ? world.appKey : world.agentKey, {
    path: request.mode === 'retrieve' ? '/sdk/token' : '/sdk/proxy',
    clientIp: request.client_ip ?? OFFICE,
    ...(ruleHeader === undefined ? {} : { headers: { 'x-alter-request-rule': ruleHeader } }),
    body:
      request.mode === 'retrieve'
        ? { ...addressed, request: { method, url } }
        : {
            ...addressed,
            method,
            url,
            ...(request.headers === undefined ? {} : { headers: request.headers }),
            ...(body === undefined ? {} : { body }),
          },
  })
}

/** Holds the request of an execution case, lets what the case tells happen, approves, and waits for the end. */
async function execute(server: TestServer, world: World, name: string, golden: GoldenCase): Promise<Reply> {
  const number = name.slice(0, 2)
  const appPath = `/api/v1/apps/${world.appId}`
  let rule = golden.request_rule
  if (number === '20') {
    // The rule of the file would refuse the request at once. This one begins to match while the request waits.
    rule = { rule_type: 'json_match', rule_body: { when: { environment: 'retired' }, effect: 'deny' } }
    const hold = { effect: 'require_approval', approval: {} }
    const target = { type: 'app', id: world.appId }
    const written = await server.operator('POST', `${appPath}/rules`, {
      name: 'Hold',
      type: 'require_approval',
      target,
      body: hold,
    })
    expect(written.status, written.text).toBe(201)
  }
  const held = await makeRequest(server, world, golden, rule)
  expect(held.status, held.text).toBe(202)
  if (number === '20') {
    const app = await server.operator('GET', appPath)
    const changed = await server.operator(
      'PATCH',
      appPath,
      { environment: 'retired' },
      { 'if-match': app.headers.get('etag')! },
    )
    expect(changed.status, changed.text).toBe(200)
  }
  if (golden.audit.execution_error === 'grant_revoked') {
    afterClaim = async () => {
      const revoked = await server.operator('POST', `${appPath}/grants/${grantOf(world, golden)}/revoke`, {})
      expect(revoked.status, revoked.text).toBe(200)
    }
  }
  server.advance(Date.parse(golden.at ?? DEFAULT_AT) - Date.parse(startOf(name, golden)))

  const { approval_id: id, approval_url: link } = held.body
  const token = new URLSearchParams(new URL(link).hash.slice(1)).get('t')!
  const path = `${server.origin}/wallet/api/approvals/${id}`
  const page = (await (await fetch(path, { headers: { [LINK_TOKEN_HEADER]: token } })).json()) as Record<
    string,
    unknown
  >
  const decided = await fetch(`${path}/decide`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ decision: 'approve', action_hash: page.action_hash, link_token: token }),
  })
  expect(decided.status, await decided.text()).toBe(200)
  const ended = await server.sdk(world.agentKey, { method: 'GET', path: `/sdk/approvals/${id}?wait=15` })
  expect(['executed', 'failed']).toContain(ended.body.status)
  return ended
}

/** Rows of what the case did, setting it up left out. */
async function rowsOf(server: TestServer, world: World, since: number): Promise<AuditedRow[]> {
  const rows = (await server.auditRows(world.appId)).slice(since)
  return rows.filter(({ keep }) => keep.stream === 'runtime' || keep.stream === 'approvals')
}

const decisionOf = (row: AuditedRow) =>
  row.detail.decision as { decision_id: string; effect: string; shadow_effect: string; reasons: DecisionReason[] }

/** Reasons as the case lists them; of an organization's rule a caller sees code and id alone. */
function expectReasons(came: Partial<DecisionReason>[], golden: GoldenCase, seenByCaller: boolean): void {
  const hidden = new Set((golden.rules ?? []).filter(({ on }) => on === 'organization').map(({ name }) => name))
  const expected = (golden.decision.reasons ?? []).filter(({ shadow }) => !(seenByCaller && shadow))
  expect(came).toHaveLength(expected.length)
  expect(came).toMatchObject(
    expected.map(({ rule, ...reason }) =>
      seenByCaller && rule !== null && hidden.has(rule) ? { code: reason.code } : { ...reason, rule_name: rule },
    ),
  )
}

function expectRefusal({ status, headers, body }: Reply, golden: GoldenCase): void {
  const { error, status: expected, retry_after_seconds: wait, refused_before: early } = golden.decision
  expect([status, body.error]).toEqual([expected, error])
  expect(headers.get('x-alter-refusal')).toBe(error)
  expect(headers.get('x-alter-decision-id')).toBe(body.decision_id)
  expect(body).toMatchObject({
    message: expect.any(String),
    request_id: expect.any(String),
    advice: expect.any(String),
  })
  if (wait !== undefined) expect(headers.get('retry-after')).toBe(String(wait))
  if (early !== undefined) return
  expect(body.policy_error).toBe(error)
  expectReasons(body.reasons, golden, true)
}

async function expectGates(server: TestServer, { body }: Reply, golden: GoldenCase): Promise<void> {
  const gates = await server.asOwner<{
    approval_id: string
    approvers: unknown
    quorum: number
    window_seconds: number
    rules: string[]
  }>(
    `select approval_id, configuration->'approvers' as approvers, quorum,
       (configuration->>'window_seconds')::int as window_seconds,
       array(select jsonb_array_elements(rules)->>'rule_name') as rules
     from approval_gates where approval_group_id = $1 order by position`,
    [body.approval_group_id],
  )
  expect(gates.map(({ approval_id: _, ...gate }) => gate)).toEqual(golden.decision.gates)
  const told = body.gates.map((gate: { approval_id: string }) => gate.approval_id)
  expect(told).toEqual(gates.map((gate) => gate.approval_id))
  expect(body.approval_id).toBe(told[0])
}

describe('golden cases through the whole server', () => {
  const acted = cases.filter(([name]) => NOT_HERE[name] === undefined)
  const inTime = [...acted].sort((a, b) => Date.parse(startOf(...a)) - Date.parse(startOf(...b)))

  test.skip.each(Object.entries(NOT_HERE))('%s: %s', () => undefined)

  test.each(inTime.map(([name, golden]) => ({ name, golden })))('$name: $golden.title', async ({ name, golden }) => {
    const server = await serverFrom(startOf(name, golden))
    const world = await createWorld(server, name)
    const takeBack = await writeRules(server, world, golden)
    onTestFinished(async () => void (await takeBack()))
    if (golden.spent !== undefined) {
      for (let i = 0; i < 60; i++) expect((await makeRequest(server, world, golden)).status).toBe(200)
    }
    const since = (await server.auditRows(world.appId)).length
    provider.requests.length = 0
    const { decision, audit } = golden
    const isExecution = golden.phase === 'execution'
    const reply = isExecution ? await execute(server, world, name, golden) : await makeRequest(server, world, golden)

    expect(provider.requests).toHaveLength(audit.upstream_calls)
    const rows = await rowsOf(server, world, since)
    const told = rows.map(({ keep }) => keep.event)
    if (isExecution) {
      expect(told.slice(-audit.events.length)).toEqual(audit.events)
      expect(reply.body.execution_error).toBe(audit.execution_error ?? null)
    } else {
      expect(told).toEqual(audit.events)
    }
    const entry = rows.find(({ keep }) => keep.event === audit.events[0])!
    const { shadow_reasons: shadow = [], ...kept } = audit.entry
    expect(entry.keep).toMatchObject(kept)
    const record = decisionOf(entry)
    expect((record?.reasons ?? []).filter((reason) => reason.shadow).map(({ code }) => code)).toEqual(shadow)

    if (isExecution) return
    expect(record.effect).toBe(decision.effect)
    if (decision.effect === 'deny') {
      expectRefusal(reply, golden)
      expect(record.decision_id).toBe(reply.body.decision_id)
    } else {
      expect(reply.status, reply.text).toBe(decision.status)
      expect(reply.headers.has('x-alter-refusal')).toBe(false)
    }
    if (decision.refused_before === undefined) {
      expect(record.shadow_effect).toBe(decision.shadow_effect ?? decision.effect)
      expectReasons(record.reasons, golden, false)
    }
    if (decision.effect === 'hold') await expectGates(server, reply, golden)
    if (decision.effect === 'allow') expect(provider.requests[0]!.authorization).toMatch(/^Bearer sk_/)
  })
})
