import { randomBytes, randomUUID } from 'node:crypto'
import { formatKey, keyRandomFrom } from '@alter-vault/contracts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openApp } from '../support/management-client.ts'
import { ensurePython, type Line, startScript } from '../support/python.ts'
import { type RecordingApi, startRecordingApi } from '../support/recording-api.ts'
import { startVault, type Vault } from '../support/start-vault.ts'
import { startTamperingProxy } from '../support/tampering-proxy.ts'

/* What an installation, a first start and forty calls may take on a small machine. */
const SETUP_MS = 600_000

const TOKEN = 'tok_python_client_1'
const CHECKS = [
  'App and Agent construct and point at the vault',
  'a proxied call is answered inline',
  "a provider's own refusal is a result",
  'a held call is approved, executed once and its result awaited',
  'a denied call ends in ApprovalDeniedError with the reason',
  'a call that nobody decided ends in ApprovalExpiredError',
  "an agent's held call is awaited by the agent",
  "a denied destination ends in PolicyViolationError with the rule's code",
  'a bearer token reaches the provider by request',
  'an API key in a header reaches the provider by request',
  'a key in the query reaches the provider by request',
  'basic credentials reach the provider by request',
  'an AWS signature made by the client verifies',
  'an AWS signature made by the vault verifies',
  'the same AWS refuses a signature with another secret',
  'narrowed scopes are enforced and cannot widen',
  'a one-off deny rule refuses what it names and nothing else',
  'a one-off approval rule holds the call',
  'grants are listed for the app and for the agent',
  'an agent reads who it is and an app does not',
  'an app acting as an agent reaches what the agent reaches',
  'the scope catalog is read',
  'an unknown key ends in InvalidKeyError',
  'a revoked key ends in KeyRevokedError',
  'a deprecated key works and says so',
  'a replayed request is refused',
  'a changed body is refused',
  'a changed caller is refused',
  'a caller header that was taken away is refused',
  'a request from a clock that is wrong is refused',
  'a grant that needs approval or is restricted is not handed out',
  'an unknown grant is told apart for apps and agents',
  'several grants that fit end in AmbiguousGrantError with the candidates',
  'a destination that the credential is not for is refused',
  'a grant is created, used and revoked by the app',
]

describe('the published Python client', () => {
  const stack = new AsyncDisposableStack()
  const results = new Map<string, Line>()
  let vault: Vault
  let api: RecordingApi
  let complaints = ''

  beforeAll(async () => {
    const python = await ensurePython()
    vault = stack.use(await startVault({ fromNothing: true }))
    api = stack.use(await startRecordingApi())
    const aws = stack.use(startScript(python, 'aws.py'))
    const awsPlace = await firstLine(aws.lines)
    const tampering = stack.use(await startTamperingProxy(vault.baseUrl))
    const described = await prepare(awsPlace)

    const script = stack.use(startScript(python, 'client_checks.py', { ALTER_BASE_URL: vault.baseUrl }))
    script.send(JSON.stringify({ ...described, aws: awsPlace, tampering_proxy: tampering.url }))
    for await (const line of script.lines) {
      if (line.ask === 'expire') {
        await endWindow(String(line.approval_id))
        script.send('done')
      } else results.set(String(line.check), line)
    }
    complaints = script.complaints()
  }, SETUP_MS)

  afterAll(() => stack.disposeAsync())

  /** Everything that the checks use, made by an operator. */
  async function prepare(aws: Line) {
    const { operator, appId, runtimeKey } = await openApp(vault)
    await operator.allowPrivateHosts(api.host, String(aws.host))
    const allowed_hosts = [api.host]
    const secret = (name: string, rest: object) =>
      operator.createSecret({ name, credential_type: 'bearer', value: { token: TOKEN }, allowed_hosts, ...rest })

    const bearer = await secret('Python bearer', {})
    const header = await secret('Python header', {
      credential_type: 'api_key',
      value: { token: 'header-key-1' },
      injection: { header: 'X-Service-Key', format: 'Key {token}' },
    })
    const query = await secret('Python query', {
      credential_type: 'custom',
      value: { token: 'query-token-1', fields: { site: 'site-7' } },
      injection: {
        header: 'X-Query-Token',
        format: '{token}',
        additional: [
          { target: 'query_param', key: 'api_key', value_source: 'token' },
          { target: 'query_param', key: 'site', value_source: 'additional_credentials.site' },
        ],
      },
    })
    const basic = await secret('Python basic', {
      credential_type: 'basic',
      value: { username: 'vault', password: 'pass:wörd' },
    })
    const signed = await secret('Python AWS', {
      credential_type: 'aws_sigv4',
      value: {
        access_key_id: aws.access_key_id,
        secret_access_key: aws.secret_access_key,
        region: aws.region,
        service: 's3',
      },
      allowed_hosts: [String(aws.host)],
    })
    const siblings = await secret('Python siblings', { no_base_grant: true })
    for (const label of ['billing', 'support']) {
      await operator.createGrant(siblings.id, { principal: { type: 'system' }, label })
    }
    const needsApproval = await operator.createGrant(bearer.id, {
      principal: { type: 'system' },
      label: 'needs approval',
      grant_policy: { requires_approval: { window_seconds: 600 } },
    })
    const restricted = await operator.createGrant(bearer.id, {
      principal: { type: 'system' },
      label: 'restricted',
      grant_policy: { restrictions: { allowed_methods: ['GET'] } },
    })
    const agent = await operator.createAgent({
      name: 'python-agent',
      scopes: { managed_secret_slugs: [bearer.slug] },
    })
    const ofAgent = await operator.createGrant(bearer.id, { principal: { type: 'agent', id: agent.id } })

    const target = { type: 'app' as const, id: appId }
    const denying = await operator.createRule({
      target,
      type: 'json_match',
      body: { when: { mode: 'proxy', path: '/denied' }, effect: 'deny' },
    })
    const holding = (when: object, approval: object) =>
      operator.createRule({
        target,
        type: 'require_approval',
        body: { effect: 'require_approval', approval, when: { mode: 'proxy', ...when } },
      })
    await holding({ path: { glob: '/held/*' } }, {})
    await holding({ path: '/held/briefly' }, { window_seconds: 60 })

    const key = (name: string, scopes: string[]) => operator.mintKey({ name, scopes })
    const revoked = await key('to be revoked', ['grants:read', 'proxy:execute'])
    await operator.revokeKey(revoked.id)
    const deprecated = await key('deprecated', ['grants:read'])
    await operator.ask('POST', `${operator.inApp}/keys/${deprecated.id}/deprecate`)
    const narrow = await key('narrow', ['grants:read'])

    return {
      base_url: vault.baseUrl,
      api: api.url,
      runtime_key: runtimeKey,
      agent_key: agent.api_key,
      agent_id: agent.id,
      agent_grants: [ofAgent.id],
      narrow_key: narrow.api_key,
      revoked_key: revoked.api_key,
      deprecated_key: deprecated.api_key,
      unknown_key: formatKey('rk', keyRandomFrom(randomBytes(22))),
      unknown_id: randomUUID(),
      secret_id: bearer.id,
      siblings: siblings.slug,
      deny_rule_id: denying.id,
      grants: {
        bearer: bearer.base_grant_id,
        header: header.base_grant_id,
        query: query.base_grant_id,
        basic: basic.base_grant_id,
        aws: signed.base_grant_id,
        agent: ofAgent.id,
        needs_approval: needsApproval.id,
        restricted: restricted.id,
      },
    }
  }

  /** Lets the window of a held request lie in the past; the server finds it by itself. */
  async function endWindow(approvalId: string): Promise<void> {
    await vault.asOwner(async (owner) => {
      await owner.query(
        `with gate as (update approval_gates set expires_at = now() - interval '1 second' where approval_id = $1
           returning app_id, approval_group_id)
         , held as (update approval_groups g set expires_at = now() - interval '1 second' from gate
           where g.app_id = gate.app_id and g.approval_group_id = gate.approval_group_id)
         update due_work w set due_at = now() from gate
           where w.kind = 'approval_expiry' and w.app_id = gate.app_id and w.subject_id = gate.approval_group_id`,
        [approvalId],
      )
    })
  }

  it.each(CHECKS)('%s', (sentence) => {
    const result = results.get(sentence)
    expect(result?.ok, String(result?.error ?? `not reported: ${complaints}`)).toBe(true)
  })

  it('made no check that is not in this list', () => {
    expect([...results.keys()].toSorted()).toEqual(CHECKS.toSorted())
  })

  it('sent every credential where and as it belongs', () => {
    const bearer = `Bearer ${TOKEN}`
    expect(api.to('/direct/bearer').map(({ headers }) => headers.authorization)).toEqual([bearer])
    expect(api.to('/direct/header').map(({ headers }) => headers['x-service-key'])).toEqual(['Key header-key-1'])
    expect(api.to('/direct/query').map(({ query }) => Object.fromEntries(query))).toEqual([
      { page: '2', api_key: 'query-token-1', site: 'site-7' },
    ])
    expect(api.to('/direct/basic').map(({ headers }) => headers.authorization)).toEqual([
      `Basic ${Buffer.from('vault:pass:wörd').toString('base64')}`,
    ])
    const [inline] = api.to('/inline')
    expect(inline?.headers).toMatchObject({ authorization: bearer, 'x-trace': 't-1' })
    expect(inline?.query.toString()).toBe('expand=a&expand=b&dry=false')
  })

  it('executed each approved call once and sent nothing that was refused', () => {
    const sent = (path: string) => api.to(path).length
    expect(['/held/approved', '/held/agent', '/one-off/held', '/one-off'].map(sent)).toEqual([1, 1, 1, 1])
    expect(['/held/denied', '/held/briefly', '/denied', '/never', '/one-off/refused'].map(sent)).toEqual([
      0, 0, 0, 0, 0,
    ])
    // The first of a replayed pair is the client's own call.
    expect(api.requests.filter(({ path }) => path.startsWith('/tampered/')).map(({ path }) => path)).toEqual([
      '/tampered/replay',
    ])
  })
})

async function firstLine(lines: AsyncIterable<Line>): Promise<Line> {
  for await (const line of lines) return line
  throw new Error('the script ended before it printed a line')
}
