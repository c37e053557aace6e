import { defineAccess, defineApi, noAudit } from '@alter-vault/contracts'
import Type from 'typebox'
import { expect, expectTypeOf, it } from 'vitest'
import { systemClock } from '../kernel/clock.ts'
import { silentLog } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { Authenticator } from './authenticators.ts'
import { bindFor } from './bind-endpoint.ts'
import { createListener } from './listener.ts'
import { describeApi } from './openapi.ts'

/* All that a new kind of access and a new API family take: an object each, an authenticator, and endpoints that name them. */

const ticketApi = defineApi({
  name: 'tickets',
  prefix: '/tickets',
  envelope: 'problem',
  nullIsAbsent: true,
  errors: ['unknown_field', 'unknown_parameter'],
  sentence: '`/tickets/*` is what holders of a ticket call.',
})

const ticket = defineAccess<'ticket', { row: number }>({
  name: 'ticket',
  title: 'ticket',
  who: ({ row }) => `ticket for row ${row}`,
  security: { name: 'ticket', scheme: { type: 'apiKey', in: 'header', name: 'X-Ticket' } },
  challenge: 'Ticket',
  errors: () => ['authentication_required'],
})

const takeSeat = ticketApi.defineEndpoint({
  id: 'take_seat',
  method: 'POST',
  path: '/tickets/:ticket_id/seat',
  summary: 'Take a seat',
  tag: 'tickets',
  access: ticket({ row: 7 }),
  params: Type.Object({ ticket_id: Type.String() }),
  headers: Type.Object({ 'x-ticket': Type.String() }),
  body: Type.Object({ side: Type.Optional(Type.String()) }),
  success: Type.Object({ holder: Type.String(), row: Type.Integer() }),
  errors: [],
  audit: noAudit('a test'),
})

type Holder = { name: string; row: number }
const checkTicket: Authenticator<{ row: number }, Holder> = async ({ headers }, { row }) => {
  if (headers['x-ticket'] !== 'good') throw new VaultError('authentication_required')
  return { principal: { name: 'Ann', row }, answerHeaders: { 'X-Row': String(row) } }
}

it('a new kind of access and a new API are served and described without a word about them in this folder', async () => {
  const bindForHolders = bindFor<'ticket', Holder>()
  const listener = await createListener({
    declared: [takeSeat],
    bound: [
      bindForHolders(takeSeat, async ({ principal }) => {
        expectTypeOf(principal).toEqualTypeOf<Holder>()
        return { holder: principal.name, row: principal.row }
      }),
    ],
    hotRoutes: new Map(),
    authenticators: { ticket: checkTicket },
    log: silentLog,
    clock: systemClock,
    publicUrl: 'https://vault.example',
    trustedProxies: [],
    maxConnections: 1_000,
    bodyMemoryMib: 256,
    assertContracts: true,
  })
  const { port } = await listener.listen({ host: '127.0.0.1', port: 0 })
  const call = (path: string, ticketHeader: string, body: object = {}) =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-ticket': ticketHeader },
      body: JSON.stringify(body),
    })
  try {
    const seated = await call('/tickets/1/seat', 'good', { side: null })
    expect([seated.status, await seated.json()]).toEqual([200, { holder: 'Ann', row: 7 }])
    expect(seated.headers.get('x-row')).toBe('7')
    const refused = await call('/tickets/1/seat', 'bad')
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Ticket realm="alter-vault"'])
    expect(await refused.json()).toMatchObject({ code: 'authentication_required', status: 401 })
    expect(await (await call('/tickets/1/seat', 'good', { sied: 'left' })).json()).toMatchObject({
      code: 'unknown_field',
    })
    expect(await (await call('/tickets/1/nothing', 'good')).json()).toMatchObject({ code: 'not_found', status: 404 })
  } finally {
    await listener.close(1_000)
  }
})

it('a new kind of access and a new API are in the description', () => {
  const described = describeApi([takeSeat], { version: '1', serverUrl: 'https://vault.example' })
  expect(described).toMatchObject({
    info: { description: expect.stringContaining(ticketApi.sentence) },
    components: { securitySchemes: { ticket: { name: 'X-Ticket' } } },
    paths: {
      '/tickets/{ticket_id}/seat': {
        post: {
          description: 'Who may: ticket for row 7. Writes no audit row: a test.',
          security: [{ ticket: [] }],
          parameters: [expect.objectContaining({ name: 'ticket_id' })],
          responses: { 401: expect.anything() },
        },
      },
    },
  })
  expect(JSON.stringify(described)).toContain('`/tickets/*`: RFC 9457')
})

it('a kind of access without an authenticator keeps the server from starting', async () => {
  const start = async () =>
    createListener({
      declared: [takeSeat],
      bound: [bindFor<'ticket', Holder>()(takeSeat, async () => ({ holder: '', row: 0 }))],
      hotRoutes: new Map(),
      authenticators: {},
      log: silentLog,
      clock: systemClock,
      publicUrl: 'https://vault.example',
      trustedProxies: [],
      maxConnections: 1_000,
      bodyMemoryMib: 256,
    })
  await expect(start()).rejects.toThrow('the access "ticket" has no authenticator')
})

it('an endpoint outside of the paths of its API is no endpoint', () => {
  expect(() => ticketApi.defineEndpoint({ ...takeSeat, path: '/ticketsale/:ticket_id/seat' })).toThrow(
    'take_seat lies outside its API',
  )
})
