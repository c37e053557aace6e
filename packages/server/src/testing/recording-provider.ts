import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A provider on loopback that remembers what it was asked and answers everything with 200. */
export type RecordingProvider = AsyncDisposable & {
  port: number
  requests: { method: string; path: string; authorization: string }[]
}

export async function startRecordingProvider(): Promise<RecordingProvider> {
  const requests: RecordingProvider['requests'] = []
  const server = createServer((request, response) => {
    const { method = '', url: path = '', headers } = request
    requests.push({ method, path, authorization: headers.authorization ?? '' })
    request.resume()
    response.end('{"object":"charge"}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
}
