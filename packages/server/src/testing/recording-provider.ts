import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A provider on loopback that remembers what it was asked and answers everything alike, with 200 unless told otherwise. */
export type RecordingProvider = AsyncDisposable & {
  port: number
  requests: { method: string; path: string; authorization: string }[]
  status: number
}

export async function startRecordingProvider(): Promise<RecordingProvider> {
  const requests: RecordingProvider['requests'] = []
  const server = createServer((request, response) => {
    const { method = '', url: path = '', headers } = request
    requests.push({ method, path, authorization: headers.authorization ?? '' })
    request.resume()
    response.writeHead(provider.status).end('{"object":"charge"}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const provider: RecordingProvider = {
    port: (server.address() as AddressInfo).port,
    requests,
    status: 200,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
  return provider
}
