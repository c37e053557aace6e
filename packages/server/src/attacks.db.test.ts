import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AttackDesk, createAttackDesk } from './testing/attack-desk.ts'
import type { Reply } from './testing/test-server.ts'

/*
 * Attacks that once got through (F1, F2, F5 to F8, F15, F16 of a review), through the whole server. F9 is a matter of the page:
 * e2e/browser/approval-page.test.ts. That the servers behind read these requests as it is said here is shown by e2e/interop.
 */

const FORM = 'application/x-www-form-urlencoded'
const HOLD = { effect: 'require_approval', approval: {} }
const encoded = (rule: unknown) => Buffer.from(JSON.stringify(rule)).toString('base64url')

let desk: AttackDesk

/** Rules of one test; gone after it. */
async function withRule(type: string, body: unknown, run: () => Promise<void>): Promise<void> {
  const id = await desk.rule(type, body)
  try {
    await run()
  } finally {
    await desk.manage('DELETE', `/rules/${id}`)
  }
}

beforeAll(async () => {
  desk = await createAttackDesk()
})
afterAll(() => desk[Symbol.asyncDispose]())

const windowOf = ({ expires_at, created_at }: { expires_at: string; created_at: string }) =>
  Date.parse(expires_at) - Date.parse(created_at)

const requestsOf = async (run: () => Promise<unknown>) => {
  const before = desk.provider.requests.length
  await run()
  return desk.provider.requests.slice(before)
}

describe('attack F1: the caller hides the body of its own request', () => {
  test.each(['show_body', 'show_result'])('by "%s" in a one-off rule, which is refused', async (member) => {
    const rule = { rule_type: 'require_approval', rule_body: { ...HOLD, approval: { [member]: false } } }
    const reply = await desk.call({ body: { amount: 99_900 } }, { headers: { 'x-alter-request-rule': encoded(rule) } })
    expect(reply.status, reply.text).toBe(400)
    expect(reply.body.error).toBe('invalid_request_rule')
  })

  test('by any one-off rule: the page has all that it would have without, and no less time', async () => {
    await withRule(
      'require_approval',
      { ...HOLD, approval: { window_seconds: 7_200, show_result: true } },
      async () => {
        const rule = {
          rule_type: 'require_approval',
          rule_body: { ...HOLD, approval: { window_seconds: 60, decision_reason: 'always', edit_allowed: false } },
        }
        const call = { body: { amount: 99_900 } }
        const plain = await desk.call(call)
        const sly = await desk.call(call, { headers: { 'x-alter-request-rule': encoded(rule) } })
        const [without, within] = [await desk.page(plain), await desk.page(sly)]
        expect(within.request).toEqual(without.request)
        expect(within.request.body).toMatchObject({ kind: 'json', content: '{"amount":99900}' })
        expect(windowOf(within)).toBe(windowOf(without))
        expect(within).toMatchObject({ options: { decision_reason: 'optional', show_body: true } })
      },
    )
  })
})

describe('attack F2: rules and page read a body in another way than the provider', () => {
  const polyglot = '{"amount":1,"x":"&amount=9999&"}'
  const utf7 = '{"amount":1,"x":"+ACI-,+ACI-amount+ACI-:9999,+ACI-y+ACI-:+ACI-"}'

  test.each<[type: string, body: unknown]>([
    ['application/x-www-form-urlencoded,x', polyglot],
    ['application/x-www-form-urlencoded x', polyglot],
    ['application/x-www-form-urlencoded;;=', polyglot],
    ['application/json, application/x-www-form-urlencoded', polyglot],
    ['application/json; charset=utf-7', utf7],
    ['application/json; charset="utf-16"', utf7],
    ['application/json; charset=utf-8; charset=utf-7', utf7],
    ['application/json; charset', utf7],
    ['text/plain; charset=iso-8859-1', 'ä'],
    ['json', polyglot],
  ])('by the content type %s, which is refused', async (type, body) => {
    const reply = await desk.call({ headers: { 'content-type': type }, body })
    expect([reply.status, reply.body.errors?.[0]?.pointer]).toEqual([422, '/headers/content-type'])
  })

  test.each<[type: string, body: unknown]>([
    ['application/json', { amount: 9_999 }],
    ['application/json', { amount: 1, Amount: 9_999 }],
    ['application/json', { AMOUNT: 9_999 }],
    ['application/json', { '\uFF41mount': 9_999 }],
    ['application/json', { ' amount': 9_999 }],
    ['application/json; v=1', { amount: 9_999 }],
    ['application/vnd.api+json', { amount: 9_999 }],
    ['text/plain', polyglot],
    ['text/json', polyglot],
    [
      'multipart/form-data; boundary=b',
      '--b\r\nContent-Disposition: form-data; name="amount"\r\n\r\n9999\r\n--b--\r\n',
    ],
    [FORM, { amount: 9_999 }],
    [FORM, { ' amount': 9_999 }],
    [FORM, { Amount: 9_999 }],
    [FORM, { 'amount[]': 9_999 }],
    [FORM, { '[amount]': 9_999 }],
    [FORM, { 'amount[x]': 9_999 }],
    [FORM, { 'amount.value': 9_999 }],
    [`${FORM}; charset=utf-8; x=y`, { amount: 9_999 }],
  ])('as %s %j is denied by a rule on its amount, and by an expression', async (type, body) => {
    for (const [kind, rule] of [
      ['json_match', { when: { method: 'POST', 'body:/amount': { gt: 500 } }, effect: 'deny' }],
      ['cel', { expression: 'has(request.body.amount) && double(request.body.amount) > 500.0', effect: 'deny' }],
    ] as const) {
      await withRule(kind, rule, async () => {
        const reply = await desk.call({ headers: { 'content-type': type }, body })
        expect([kind, reply.status], reply.text).toEqual([kind, 403])
      })
    }
  })

  test('and what cannot be told is not shown as if it could', async () => {
    await withRule('require_approval', HOLD, async () => {
      const shown = async (type: string, body: unknown) => {
        const page = await desk.page(await desk.call({ headers: { 'content-type': type }, body }))
        const { kind, doubt } = page.request.body
        return [kind, doubt]
      }
      expect(await shown('application/json', { amount: 1 })).toEqual(['json', null])
      expect(await shown('application/json', { amount: 1, Amount: 2 })).toEqual(['json', 'ambiguous'])
      expect(await shown('application/json; v=1', { amount: 1 })).toEqual(['text', 'content_type'])
      expect(await shown('text/plain', polyglot)).toEqual(['text', 'content_type'])
    })
  })
})

describe('attack F5: a held request of a revoked key is sent', () => {
  test.each(['of the agent', 'of the app'])('with a key %s', async (whose) => {
    await withRule('require_approval', HOLD, async () => {
      const { agent_id } = desk.server.dev
      const minted = await (whose === 'of the agent'
        ? desk.manage('POST', `/agents/${agent_id}/keys`, { name: 'stolen' })
        : desk.manage('POST', '/keys', { name: 'stolen', scopes: ['proxy:execute'] }))
      const held = await desk.call({ body: { amount: 1 } }, { key: minted.body.api_key })
      expect(held.status, held.text).toBe(202)
      const keyPath =
        whose === 'of the agent' ? `/agents/${agent_id}/keys/${minted.body.key_id}` : `/keys/${minted.body.id}`
      expect((await desk.manage('POST', `${keyPath}/revoke`, {})).status).toBe(200)
      expect(await desk.page(held)).toMatchObject({ view: 'ended', outcome: { withdrawn_reason: 'key_revoked' } })
      const sent = await requestsOf(async () => {
        expect((await desk.approve(held)).status).toBe(409)
        expect(await desk.outcome(held)).toMatchObject({ status: 'denied', decision_reason: 'key_revoked' })
      })
      expect(sent).toEqual([])
    })
  })
})

describe('attack F6: names that the provider folds', () => {
  test.each([
    ...[
      'X_HTTP_Method_Override',
      'x_http-method_override',
      'X-HTTP-Method-Override',
      'X-METHOD-OVERRIDE',
      'X-HTTP-Method',
    ],
    ...['x_secret_key', 'Content_Length', 'Transfer_Encoding', 'content_encoding', 'x_alter_caller', 'x_api_key'],
    ...['X-Original-URL', 'X-Rewrite-URL', 'X-Original-Host', 'X-Forwarded-Host', 'X-Forwarded-Prefix', 'Forwarded'],
    ...[
      'X-Host',
      'X-HTTP-Host-Override',
      'X-Original-Method',
      'X.HTTP.Method.Override',
      'authorization_',
      'Authoriz~ation',
    ],
  ])('%s is refused', async (name) => {
    const reply = await desk.call({ headers: { [name]: 'DELETE' }, body: {} })
    expect([reply.status, reply.body.error]).toEqual([422, 'forbidden_header'])
  })

  const named: [what: string, call: Record<string, unknown>][] = [
    ['a form', { headers: { 'content-type': FORM }, body: { _method: 'DELETE' } }],
    ['a form, folded', { headers: { 'content-type': FORM }, body: { '.method': 'DELETE' } }],
    ['a form, in brackets', { headers: { 'content-type': FORM }, body: { '[_method]': 'DELETE' } }],
    ['JSON', { body: { _method: 'DELETE' } }],
    ['a query', { path: '/v1/things?a=1&_method=DELETE' }],
    ['an escaped query', { path: '/v1/things?%5Fm%65thod=DELETE' }],
    ['a query behind a semicolon', { path: '/v1/things?a=1;_method=DELETE' }],
    ['a query of Salesforce', { path: '/v1/things?_HttpMethod=DELETE' }],
    ['query_params', { query_params: { _method: 'DELETE' } }],
    [
      'a multipart body',
      {
        headers: { 'content-type': 'multipart/form-data; boundary=b' },
        body: '--b\r\nContent-Disposition: form-data; name="_met\\hod"\r\n\r\nDELETE\r\n--b--\r\n',
      },
    ],
    ['a text', { headers: { 'content-type': 'text/plain' }, body: 'x=1&_method=DELETE' }],
  ]

  test.each(named)('another method in %s is denied by every rule on methods', async (_, call) => {
    const allow = { allow: { methods: ['GET', 'POST'] } }
    const endpoint = { allow: { endpoints: [{ methods: ['POST'], host: '127.0.0.1', path: '/**' }] } }
    for (const [kind, rule] of [
      ['json_match', { when: { method: 'DELETE' }, effect: 'deny' }],
      ['request_match', allow],
      ['request_match', endpoint],
      ['cel', { expression: "request.method == 'DELETE'", effect: 'deny' }],
    ] as const) {
      await withRule(kind, rule, async () => {
        const reply = await desk.call(call)
        expect([kind, reply.status], reply.text).toEqual([kind, 403])
      })
    }
  })

  test('what is no override is sent', async () => {
    await withRule('json_match', { when: { method: 'DELETE' }, effect: 'deny' }, async () => {
      for (const body of [{ payment_method: 'card' }, { method: 'eth_call' }, { shipping: { _method: 'post' } }]) {
        expect((await desk.call({ body })).status).toBe(200)
      }
      expect((await desk.call({ headers: { 'content-type': 'text/plain' }, body: 'payment_method=card' })).status).toBe(
        200,
      )
    })
  })
})

describe('attack F7: spellings of a path and a query that the provider folds', () => {
  const spellings = [
    ...[
      '/admin/x',
      '//admin/x',
      '///admin//x',
      '/admin%2Fx',
      '/admin%2fx',
      '/admin;v=1/x',
      '/;/admin/x',
      '/a/..//admin/x',
    ],
    ...[
      '/admin/x/',
      '/admin/x;y',
      '/admin/x%20',
      '/admin./x',
      '/admin/x.',
      '/%61dmin/x',
      '/admin%252Fx',
      '/Admin/x',
      '/ADMIN/x',
    ],
    ...[
      '/admin%C0%AFx',
      '/admin%EF%BC%8Fx',
      '/%EF%BD%81dmin/x',
      '/admin%25u002fx',
      '/admin%3Bv=1/x',
      '/%20admin/x',
      '/admin%09/x',
    ],
    ...['/admin%3Fa=1', '/admin', '/admin/', '/index.php/admin/x', '/admin/x.json'],
  ]

  test.each(spellings)('%s is denied by a rule on /admin/**, and held', async (path) => {
    await withRule('json_match', { when: { path: { glob: '/admin/**' } }, effect: 'deny' }, async () => {
      expect((await desk.call({ method: 'GET', path })).status).toBe(403)
    })
    await withRule('require_approval', { ...HOLD, when: { path: { prefix: '/admin' } } }, async () => {
      expect((await desk.call({ method: 'GET', path })).status).toBe(202)
    })
  })

  test.each([
    '/v1/refunds',
    '//v1/refunds',
    '/v1/refunds/',
    '/v1/refunds;x',
    '/v1/refunds%20',
    '/v1%2Frefunds',
    '/V1/Refunds',
    '/v1/refunds.json',
  ])('%s is denied by a rule on /v1/refunds, also as an expression', async (path) => {
    await withRule('json_match', { when: { path: '/v1/refunds' }, effect: 'deny' }, async () => {
      expect((await desk.call({ path, body: {} })).status).toBe(403)
    })
    if (/[A-Z]|json/.test(path.replace('%2F', ''))) return
    await withRule('cel', { expression: "request.path == '/v1/refunds'", effect: 'deny' }, async () => {
      expect((await desk.call({ path, body: {} })).status).toBe(403)
    })
  })

  test.each([
    '/public//x',
    '/public%2Fx',
    '/public/a%2Fb',
    '/public/..;/admin',
    '/public;/x',
    '/public/x;/y',
    '/public/a%252Fb',
    '/public/',
  ])('%s is not inside an allow list of /public/*, however it is read', async (path) => {
    for (const rule of [
      { allow: { paths: ['/public/*'] } },
      { allow: { endpoints: [{ methods: ['GET'], host: '127.0.0.1', path: '/public/*' }] } },
    ]) {
      await withRule('request_match', rule, async () => {
        expect((await desk.call({ method: 'GET', path })).status, JSON.stringify(rule)).toBeGreaterThanOrEqual(403)
      })
    }
  })

  test('what an allow list names is sent as it is written', async () => {
    const paths = ['/public/*', '/with/slash/', '/tree/**', '/a%2Fb', '/a/b']
    await withRule('request_match', { allow: { paths } }, async () => {
      for (const path of ['/public/x', '/public/x.json', '/with/slash/', '/tree/', '/tree/a/B;v=1', '/a%2Fb']) {
        expect([path, (await desk.call({ method: 'GET', path })).status]).toEqual([path, 200])
      }
    })
  })

  test.each([
    'force=1',
    'a=2;force=1',
    'force[]=1',
    '%20force=1',
    'Force=1',
    'f%6Frce=1',
    '[force]=1',
    'force%00=1',
    'force.x=1',
    '+force=1',
    'force[x][]=1',
  ])('the query %s is denied by a rule on query.force', async (query) => {
    await withRule('json_match', { when: { 'query.force': { exists: true } }, effect: 'deny' }, async () => {
      expect((await desk.call({ path: `/v1/things?${query}` })).status).toBe(403)
    })
    await withRule('cel', { expression: "'force' in request.query", effect: 'deny' }, async () => {
      expect((await desk.call({ path: `/v1/things?${query}` })).status).toBe(403)
    })
    await withRule('request_match', { allow: { query_names: ['a'] } }, async () => {
      expect((await desk.call({ path: `/v1/things?${query}` })).status).toBe(403)
    })
  })

  test('another query is none of it', async () => {
    await withRule('json_match', { when: { 'query.force': { exists: true } }, effect: 'deny' }, async () => {
      expect((await desk.call({ path: '/v1/things?expand[]=force&forceful=1&a.b=c' })).status).toBe(200)
    })
  })
})

describe('attack F8: the page names another multipart field than the provider reads', () => {
  test.each([
    'form-data; x="; name=note; "; name="amount"',
    'form-data; name="note"; name="amount"',
    'form-data; name=note\r\nContent-Disposition: form-data; name="amount"',
    "form-data; name=note; name*=utf-8''amount",
    'form-data;\r\n name="amount"',
  ])('under %j: no field is named, the text is shown', async (disposition) => {
    await withRule('require_approval', HOLD, async () => {
      const body = `--b\r\nContent-Disposition: ${disposition}\r\n\r\n9999\r\n--b--\r\n`
      const held = await desk.call({ headers: { 'content-type': 'multipart/form-data; boundary=b' }, body })
      const { request } = await desk.page(held)
      expect(request.body).toMatchObject({ kind: 'text', doubt: 'content_type', content: body, values: [] })
    })
  })
})

describe('attack F15: the page says what would have been refused a while ago', () => {
  test('a rule, a suspension and its end are seen at once', async () => {
    await withRule('require_approval', HOLD, async () => {
      const held = await desk.call({ body: { amount: 1 } })
      const refusal = async () => {
        const page = await desk.page(held)
        return page.view === 'open' ? (page.would_be_denied?.reasons[0]?.code ?? null) : page.status
      }
      expect(await refusal()).toBeNull()
      await withRule('json_match', { when: {}, effect: 'deny' }, async () => {
        expect(await refusal()).toBe('policy_denied')
      })
      expect(await refusal()).toBeNull()
      const agent = `/agents/${desk.server.dev.agent_id}`
      for (const [verb, code] of [
        ['suspend', 'agent_inactive'],
        ['resume', null],
      ] as const) {
        expect((await desk.manage('POST', `${agent}/${verb}`)).status).toBe(200)
        expect(await refusal()).toBe(code)
      }
    })
  })
})

describe('attack F16: the end of a long body is nowhere', () => {
  test('its last member is listed, and its last part shown', async () => {
    await withRule('require_approval', HOLD, async () => {
      const body = { amount: 1, pad: new Array(40_000).fill(7), to: 'attacker' }
      const { request } = await desk.page(await desk.call({ body }))
      expect(request.body.omitted_bytes).toBeGreaterThan(0)
      expect(request.body.tail).toContain('attacker')
      expect(request.body.values.map(({ name }) => name)).toEqual(['amount', 'pad', 'to'])
      expect(request.body.values[2]).toEqual({ name: 'to', value: '"attacker"', cut: false })
    })
  })
})

describe('a request that can never be sent', () => {
  test.each<[string, string]>([
    ['plain http to a public host', 'http://example.com/v2/x'],
    ['the address of cloud metadata', 'https://169.254.169.254/latest'],
    ['a private address', 'https://10.0.0.7/'],
    ['loopback at another port', 'https://127.0.0.1:9/'],
    ['a host that the secret is not for', 'https://api.example.com/'],
  ])('is refused before anybody is asked: %s', async (_, url) => {
    await withRule('require_approval', HOLD, async () => {
      const reply: Reply = await desk.call({ url })
      expect([reply.status, reply.body.error]).toEqual([422, 'blocked_destination'])
    })
  })
})
