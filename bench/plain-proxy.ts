/*
 * What the vault is held against: the least that a proxy in Node can do. Bare node:http in front, undici with an own handler behind,
 * no decision, no credential, no record. A program of its own; says its port to its parent.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Pool } from 'undici'

const upstream = new Pool(process.argv[2]!, { connections: 128, pipelining: 1 })

const server = createServer((request, response) => {
  upstream.dispatch(
    { path: request.url!, method: 'GET', headers: { accept: '*/*', 'user-agent': 'plain-proxy' } },
    {
      onRequestStart() {},
      onResponseStart(_, status, { connection: __, 'keep-alive': ___, ...headers }) {
        response.writeHead(status, headers)
      },
      onResponseData: (_, chunk) => void response.write(chunk),
      onResponseEnd: () => void response.end(),
      onResponseError: () => void response.destroy(),
    },
  )
})
// Longer than any pause between two rounds.
server.keepAliveTimeout = 300_000
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on('disconnect', () => process.exit())
