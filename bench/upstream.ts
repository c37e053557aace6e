/*
 * The provider that both proxies call: bare node:http that answers every request at once with the same JSON. A program of its own; says
 * its port to its parent.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const payments = Array.from({ length: 5 }, (_, i) => ({
  id: `pay_${1001 + i}`,
  amount: 1_900 + i,
  currency: 'EUR',
  customer: 'Ada Vance',
  status: 'settled',
}))
const body = JSON.stringify({ data: payments, has_more: false })
const headers = {
  'Content-Type': 'application/json',
  Server: 'bench',
  'X-Request-Id': '8f14e45fceea167a',
  'Content-Length': String(body.length),
}

const server = createServer((request, response) => {
  request.resume()
  response.writeHead(200, headers)
  response.end(body)
})
// Longer than any pause between two rounds.
server.keepAliveTimeout = 300_000
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on('disconnect', () => process.exit())
