import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ManagementClient, openApp } from '../support/management-client.ts'
import { signedRequest } from '../support/signed-request.ts'
import { startVault, type Vault } from '../support/start-vault.ts'
import {
  type Counterpart,
  type CounterpartName,
  missing,
  type RawRequest,
  type Reading,
  startCounterpart,
} from './counterparts.ts'

/*
 * Where the product says that a server reads a request in another way than it is written, the server says so itself: each differential is
 * shown on the server first, without the vault, and then the same request is refused by a rule on what the server would have read.
 */

const FORM = 'application/x-www-form-urlencoded'
const POLYGLOT = '{"amount":1,"x":"&amount=9999&"}'
const UTF7 = '{"amount":1,"x":"+ACI-,+ACI-amount+ACI-:9999,+ACI-y+ACI-:+ACI-"}'
const part = (disposition: string) => `--b\r\nContent-Disposition: ${disposition}\r\n\r\n9999\r\n--b--\r\n`
const typed = (type: string, body: string): RawRequest => ({ headers: { 'Content-Type': type }, body })

type Differential = {
  /** The attack of the review that rests on it. */
  attack: string
  title: string
  server: CounterpartName
  request: RawRequest
  /** What the server makes of it. */
  reads: Partial<Reading>
  /** What the vault is asked for, where that is no copy of the raw request. */
  call?: { body?: unknown }
  rule: { type: string; body: unknown }
}

const deny = (when: Record<string, unknown>) => ({ type: 'json_match', body: { when, effect: 'deny' } })
const onAmount = deny({ method: 'POST', 'body:/amount': { gt: 500 } })
const onDelete = deny({ method: 'DELETE' })
const onForce = deny({ 'query.force': { exists: true } })
const onAdmin = deny({ path: { glob: '/admin/**' } })
const isAmount = { form: expect.objectContaining({ amount: '9999' }) }

const DIFFERENTIALS: Differential[] = [
  ...(['php', 'rack'] as const).map(
    (server): Differential => ({
      attack: 'F2',
      title: `${server} reads a form behind a comma in the content type`,
      server,
      request: typed(`${FORM},x`, POLYGLOT),
      reads: isAmount,
      rule: onAmount,
    }),
  ),
  {
    attack: 'F2',
    title: 'PHP reads a form behind a space in the content type',
    server: 'php',
    request: typed(`${FORM} x`, POLYGLOT),
    reads: isAmount,
    rule: onAmount,
  },
  {
    attack: 'F2',
    title: 'aiohttp obeys a charset of JSON',
    server: 'aiohttp',
    request: typed('application/json; charset=utf-7', UTF7),
    reads: { json: expect.objectContaining({ amount: 9999 }) },
    rule: onAmount,
  },
  {
    attack: 'F2',
    title: 'Django REST framework obeys a charset of JSON',
    server: 'django',
    request: typed('application/json; charset=utf-7', UTF7),
    reads: { json: expect.objectContaining({ amount: 9999 }) },
    rule: onAmount,
  },
  {
    attack: 'F2',
    title: 'PHP drops spaces before a name',
    server: 'php',
    request: typed(FORM, '+amount=9999'),
    call: { body: { ' amount': 9999 } },
    reads: isAmount,
    rule: onAmount,
  },
  {
    attack: 'F2',
    title: 'PHP drops what follows a NUL in a name',
    server: 'php',
    request: { method: 'GET', path: '/v1/things?force%00x=1' },
    reads: { query: expect.objectContaining({ force: '1' }) },
    rule: onForce,
  },
  ...(['rack', 'php'] as const).map(
    (server): Differential => ({
      attack: 'F2',
      title: `${server} reads a list under the name before its brackets`,
      server,
      request: typed(FORM, 'amount%5B%5D=9999'),
      call: { body: { 'amount[]': 9999 } },
      reads: { form: expect.objectContaining({ amount: ['9999'] }) },
      rule: onAmount,
    }),
  ),
  ...(['php', 'wsgi', 'django', 'rack'] as const).map(
    (server): Differential => ({
      attack: 'F6',
      title: `${server} sees a hyphen where an underscore was sent in a header name`,
      server,
      request: { headers: { X_Secret_Key: 'mine' }, body: '' },
      reads: { headers: expect.objectContaining({ HTTP_X_SECRET_KEY: 'mine' }) },
      rule: onDelete,
    }),
  ),
  {
    attack: 'F6',
    title: 'Rack runs DELETE for a POST with X_HTTP_Method_Override',
    server: 'rack',
    request: { headers: { X_HTTP_Method_Override: 'DELETE' }, body: '' },
    reads: { method: 'DELETE' },
    rule: onDelete,
  },
  {
    attack: 'F6',
    title: 'Rack runs DELETE for a POST with _method in a form',
    server: 'rack',
    request: typed(FORM, '_method=DELETE'),
    call: { body: { _method: 'DELETE' } },
    reads: { method: 'DELETE' },
    rule: onDelete,
  },
  {
    attack: 'F6',
    title: 'Rack runs DELETE for a POST with _method in a multipart body, whatever stands between its letters',
    server: 'rack',
    request: typed('multipart/form-data; boundary=b', part('form-data; name="_met\\hod"').replace('9999', 'DELETE')),
    reads: { method: 'DELETE' },
    rule: onDelete,
  },
  ...(['django', 'wsgi'] as const).map(
    (server): Differential => ({
      attack: 'F7',
      title: `${server} decodes an escaped slash of a path`,
      server,
      request: { method: 'GET', path: '/admin%2Fx' },
      reads: { path: '/admin/x' },
      rule: onAdmin,
    }),
  ),
  {
    attack: 'F7',
    title: 'Django joins slashes at the beginning of a path',
    server: 'django',
    request: { method: 'GET', path: '//admin/x' },
    reads: { path: '/admin/x' },
    rule: onAdmin,
  },
  {
    attack: 'F7',
    title: 'Rack 2 parts a query at a semicolon',
    server: 'rack',
    request: { method: 'GET', path: '/v1/things?a=2;force=1' },
    reads: { query: expect.objectContaining({ force: '1' }) },
    rule: onForce,
  },
  {
    attack: 'F7',
    title: 'Rack reads a name in brackets as the name',
    server: 'rack',
    request: { method: 'GET', path: '/v1/things?[force]=1' },
    reads: { query: expect.objectContaining({ force: '1' }) },
    rule: onForce,
  },
  ...['force[]=1', '%20force=1', '+force=1'].map(
    (query): Differential => ({
      attack: 'F7',
      title: `PHP reads force in ?${query}`,
      server: 'php',
      request: { method: 'GET', path: `/v1/things?${query}` },
      reads: { query: expect.objectContaining({ force: expect.anything() }) },
      rule: onForce,
    }),
  ),
  ...(['php', 'rack'] as const).flatMap((server) =>
    [
      'form-data; x="; name=note; "; name="amount"',
      'form-data; name="amount"\r\nContent-Disposition: form-data; name="note"',
    ].map(
      (disposition): Differential => ({
        attack: 'F8',
        title: `${server} names the field of ${JSON.stringify(disposition)} "amount"`,
        server,
        request: typed('multipart/form-data; boundary=b', part(disposition)),
        reads: isAmount,
        rule: onAmount,
      }),
    ),
  ),
]

/** Why a test is left out, for its name. */
const said = (why: string | undefined): string => (why === undefined ? '' : ` (skipped: ${why})`)

let vault: Vault
let operator: ManagementClient
let key: string
const stack = new AsyncDisposableStack()
const running = new Map<CounterpartName, Promise<{ server: Counterpart; grantId: string }>>()

beforeAll(async () => {
  vault = stack.use(await startVault())
  const app = await openApp(vault)
  operator = app.operator
  key = app.runtimeKey
})
afterAll(() => stack.disposeAsync())

/** The server, with a secret that the app may use there. */
function counterpart(name: CounterpartName) {
  const known =
    running.get(name) ??
    (async () => {
      const server = stack.use(await startCounterpart(name))
      await operator.allowPrivateHosts(server.host)
      const secret = await operator.createSecret({
        name,
        credential_type: 'bearer',
        value: { token: 'a-token-of-the-interop' },
        allowed_hosts: [server.host],
      })
      return { server, grantId: secret.base_grant_id ?? '' }
    })()
  running.set(name, known)
  return known
}

async function throughVault({ server: name, request, call }: Differential) {
  const { server, grantId } = await counterpart(name)
  const { method = 'POST', path = '/v1/things', headers, body } = request
  return signedRequest(vault.baseUrl, {
    apiKey: key,
    path: '/sdk/proxy',
    body: { method, url: `http://${server.host}${path}`, grant_id: grantId, headers, body: call?.body ?? body },
  })
}

describe.each(DIFFERENTIALS.map((one) => [`attack ${one.attack}: ${one.title}`, one] as const))('%s', (_, one) => {
  const why = missing(one.server)

  it.skipIf(why !== undefined)(`and no rule is passed by it${said(why)}`, async () => {
    const { server } = await counterpart(one.server)
    expect(await server.reads(one.request)).toMatchObject(one.reads)
    const rule = await operator.createRule({ target: { type: 'app', id: await appId() }, ...one.rule } as never)
    try {
      const answer = await throughVault(one)
      expect([403, 422], answer.text).toContain(answer.status)
    } finally {
      await operator.deleteRule(rule.id)
    }
  })
})

const appId = async (): Promise<string> => (await operator.app()).id

describe.each(['php', 'rack', 'aiohttp', 'django', 'wsgi'] as const)('%s', (name) => {
  const why = missing(name)

  it.skipIf(why !== undefined)(`is called where no rule says otherwise${said(why)}`, async () => {
    const { grantId, server } = await counterpart(name)
    const url = `http://${server.host}/v1/things`
    const answer = await signedRequest(vault.baseUrl, {
      apiKey: key,
      path: '/sdk/proxy',
      body: { method: 'POST', url, grant_id: grantId, body: { amount: 1 } },
    })
    expect(answer.status, answer.text).toBe(200)
    const reading = JSON.parse(Buffer.from(String(answer.body.body_b64), 'base64').toString()) as Reading
    expect(reading).toMatchObject({ method: 'POST', path: '/v1/things' })
  })
})
