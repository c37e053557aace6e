import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'

type Message = { headers: Record<string, string>; body: string }

/** What somebody between client and vault may try, by the first segment of the path. */
const TAMPERINGS: Record<string, (message: Message) => Message[]> = {
  replay: (message) => [message, message],
  'changed-body': (message) => [{ ...message, body: message.body.replace('"amount":1', '"amount":9') }],
  'changed-caller': ({ headers, body }) => [{ headers: { ...headers, 'x-alter-caller': 'payroll' }, body }],
  'stripped-caller': ({ headers, body }) => {
    const { 'x-alter-caller': _caller, 'x-alter-caller-type': _type, ...rest } = headers
    return [{ headers: rest, body }]
  },
}

/**
 * Passes requests to the vault, changed on the way; the answer is that of the last one it sent. `<url>/<tampering>` is a base URL for
 * clients, since the path of a base URL is not signed.
 */
export async function startTamperingProxy(vaultUrl: string): Promise<AsyncDisposable & { url: string }> {
  async function pass(method: string, path: string, message: Message): Promise<Response> {
    const [, tampering = '', ...rest] = path.split('/')
    const tamper = TAMPERINGS[tampering]
    if (tamper === undefined) throw new Error(`"${tampering}" is no tampering`)
    let answer: Response | undefined
    for (const { headers, body } of tamper(message)) {
      await answer?.arrayBuffer()
      answer = await fetch(`${vaultUrl}/${rest.join('/')}`, { method, headers, ...(body === '' ? {} : { body }) })
    }
    return answer as Response
  }

  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    const answer = await pass(request.method ?? '', request.url ?? '', { headers: ownHeaders(request.headers), body })
    response.writeHead(answer.status, { 'Content-Type': answer.headers.get('content-type') ?? 'application/json' })
    response.end(Buffer.from(await answer.arrayBuffer()))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** The headers of the message itself, without those of the connection. */
function ownHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const ofConnection = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'accept-encoding'])
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (ofConnection.has(name) ? [] : [[name, String(value)]])),
  )
}
