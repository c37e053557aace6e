/*
 * The provider that both proxies call: answers every request at once with the same JSON. It reads no more than the end of the
 * request's head, so that the cores it shares with what is measured are left alone. A program of its own; says its port to its parent.
 */

import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'

const payments = Array.from({ length: 5 }, (_, i) => ({
  id: `pay_${1001 + i}`,
  amount: 1_900 + i,
  currency: 'EUR',
  customer: 'Ada Vance',
  status: 'settled',
}))
const body = JSON.stringify({ data: payments, has_more: false })
const answer = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: bench\r\nX-Request-Id: 8f14e45fceea167a\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
)
const END_OF_HEAD = '\r\n\r\n'

const server = createServer({ noDelay: true }, (socket) => {
  let pending = ''
  socket.on('data', (chunk) => {
    pending += chunk.toString('latin1')
    // Requests without a body only, one or more in a chunk.
    for (let end = pending.indexOf(END_OF_HEAD); end >= 0; end = pending.indexOf(END_OF_HEAD)) {
      pending = pending.slice(end + END_OF_HEAD.length)
      socket.write(answer)
    }
  })
  socket.on('error', () => socket.destroy())
})
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on('disconnect', () => process.exit())
