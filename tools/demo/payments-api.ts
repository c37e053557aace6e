import { timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Secret } from '../../packages/server/src/crypto/secret.ts'

/** A payment of the demonstration shop. Amounts are in cents. */
type Payment = { id: string; amount: number; currency: 'eur'; customer: string; refunded: number; created_at: string }
type Refund = { id: string; payment: string; amount: number; reason: string | null; created_at: string }
/** One line for each request that changed something: what really happened here, whatever a client believes. */
type LedgerEntry = { seq: number; at: string; method: string; path: string; refund: string; amount: number }

export type PaymentsApi = { url: string; close(): Promise<void> }

const BODY_MAX_BYTES = 64 * 1024

/**
 * The API that the demonstration calls: a small payments service with its own bearer check and its own memory. It is a real HTTP
 * server on loopback and knows nothing of the vault.
 *
 *   GET  /v1/payments            GET /v1/payments/:id
 *   POST /v1/refunds {payment, amount, reason?}
 *   GET  /v1/refunds             GET /v1/ledger
 */
export async function startPaymentsApi({
  token,
  port = 0,
  now = Date.now,
}: {
  token: Secret
  port?: number
  now?: () => number
}): Promise<PaymentsApi> {
  const payments = new Map<string, Payment>(
    [
      ['pay_1001', 4_900, 'Ada Vance'],
      ['pay_1002', 45_000, 'Bo Lindqvist'],
      ['pay_1003', 129_900, 'Chidi Okafor'],
    ].map(([id, amount, customer]) => [
      id as string,
      {
        id: id as string,
        amount: amount as number,
        currency: 'eur',
        customer: customer as string,
        refunded: 0,
        created_at: new Date(now()).toISOString(),
      },
    ]),
  )
  const refunds: Refund[] = []
  const ledger: LedgerEntry[] = []

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', 'http://demo')
    if (!isAuthorized(request.headers.authorization, token)) {
      response.setHeader('WWW-Authenticate', 'Bearer realm="demo payments"')
      return send(response, 401, { error: 'unauthorized', message: 'A bearer token of this API is needed.' })
    }
    const route = `${request.method} ${pathname}`
    if (route === 'GET /v1/payments') return send(response, 200, { data: [...payments.values()] })
    if (route === 'GET /v1/refunds') return send(response, 200, { data: refunds })
    if (route === 'GET /v1/ledger') return send(response, 200, { data: ledger })
    if (route === 'POST /v1/refunds') return refund(request, response)
    const payment = request.method === 'GET' ? payments.get(pathname.replace('/v1/payments/', '')) : undefined
    if (payment !== undefined) return send(response, 200, payment)
    return send(response, 404, { error: 'not_found', message: `There is no ${route}.` })
  }

  async function refund(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readJson(request)
    const payment = typeof body?.payment === 'string' ? payments.get(body.payment) : undefined
    if (payment === undefined)
      return send(response, 422, { error: 'unknown_payment', message: '"payment" names no payment.' })
    const amount = body?.amount
    if (
      typeof amount !== 'number' ||
      !Number.isInteger(amount) ||
      amount < 1 ||
      amount > payment.amount - payment.refunded
    ) {
      const message = `"amount" must be whole cents from 1 to ${payment.amount - payment.refunded}.`
      return send(response, 422, { error: 'invalid_amount', message })
    }
    payment.refunded += amount
    const made: Refund = {
      id: `ref_${2001 + refunds.length}`,
      payment: payment.id,
      amount,
      reason: typeof body?.reason === 'string' ? body.reason : null,
      created_at: new Date(now()).toISOString(),
    }
    refunds.push(made)
    ledger.push({
      seq: ledger.length + 1,
      at: made.created_at,
      method: 'POST',
      path: '/v1/refunds',
      refund: made.id,
      amount,
    })
    return send(response, 201, made)
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() =>
      send(response, 400, { error: 'bad_request', message: 'The request could not be read.' }),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function isAuthorized(header: string | undefined, token: Secret): boolean {
  const given = Buffer.from(header ?? '')
  const wanted = Buffer.from(`Bearer ${token.reveal()}`)
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}

async function readJson(request: IncomingMessage): Promise<Record<string, unknown> | undefined> {
  let text = ''
  for await (const chunk of request) {
    text += String(chunk)
    if (text.length > BODY_MAX_BYTES) throw new RangeError('body too large')
  }
  const value: unknown = JSON.parse(text)
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
}

function send(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent) return
  const text = JSON.stringify(body)
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) })
  response.end(text)
}
