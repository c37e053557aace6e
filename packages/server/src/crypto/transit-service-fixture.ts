import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A Transit engine on loopback with one key, as OpenBao and Vault serve it: the same paths, statuses and error texts. */
export type TransitService = AsyncDisposable & {
  address: string
  /** Calls so far, as `<verb> <key>`. */
  calls: string[]
  /** The one that it takes. */
  token: string
  isSealed: boolean
  /** Takes requests and does not answer them. */
  hangs: boolean
  /** Another answer than its own. */
  answers: { status: number; body: string } | undefined
  /** The key ignores associated data, as one of a type without them would. */
  ignoresAssociatedData: boolean
  /** Adds a version, with which everything is encrypted from now on. */
  rotate(): void
  /** Ciphertexts of earlier versions are decrypted no longer. */
  setMinimumVersion(version: number): void
}

const KEY = 'alter-vault'
export const TOKEN = 'hvs.the-token-of-this-test'

export async function startTransitService(): Promise<TransitService> {
  const versions = [randomBytes(32)]
  let minimum = 1

  const server = createServer((request, response) => {
    void answer(request, response)
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = ''
    for await (const chunk of request) text += String(chunk)
    const [, verb = '', name = ''] = /^\/v1\/transit\/(encrypt|decrypt)\/([^/]+)$/.exec(request.url ?? '') ?? []
    service.calls.push(`${verb} ${name}`)
    if (service.hangs) return
    const refuse = (status: number, ...errors: string[]) => send(response, status, JSON.stringify({ errors }))
    if (service.answers !== undefined) return send(response, service.answers.status, service.answers.body)
    if (service.isSealed) return refuse(503, 'Vault is sealed')
    if (request.headers['x-vault-token'] !== service.token) {
      return refuse(403, '1 error occurred:\n\t* permission denied\n\n')
    }
    if (verb === '' || request.method !== 'POST') {
      return refuse(404, `no handler for route "${request.url}". route entry not found.`)
    }
    if (name !== KEY) return refuse(400, 'encryption key not found')
    const body = JSON.parse(text) as Record<string, string>
    const aad = service.ignoresAssociatedData ? Buffer.alloc(0) : Buffer.from(body.associated_data ?? '', 'base64')
    if (verb === 'encrypt') {
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', versions.at(-1)!, nonce).setAAD(aad)
      const parts = [nonce, cipher.update(Buffer.from(body.plaintext!, 'base64')), cipher.final(), cipher.getAuthTag()]
      const ciphertext = `vault:v${versions.length}:${Buffer.concat(parts).toString('base64')}`
      return send(response, 200, JSON.stringify({ data: { ciphertext, key_version: versions.length } }))
    }
    const [, version = '', sealed = ''] = /^vault:v(\d+):(.+)$/.exec(body.ciphertext ?? '') ?? []
    const key = versions[Number(version) - 1]
    if (key === undefined) return refuse(400, 'invalid ciphertext: version is too new')
    if (Number(version) < minimum)
      return refuse(400, 'ciphertext or signature version is disallowed by policy (too old)')
    const bytes = Buffer.from(sealed, 'base64')
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12)).setAAD(aad)
    decipher.setAuthTag(bytes.subarray(-16))
    try {
      const plaintext = Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()])
      return send(response, 200, JSON.stringify({ data: { plaintext: plaintext.toString('base64') } }))
    } catch {
      return refuse(400, 'cipher: message authentication failed')
    }
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const service: TransitService = {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: [],
    token: TOKEN,
    isSealed: false,
    hangs: false,
    answers: undefined,
    ignoresAssociatedData: false,
    rotate: () => void versions.push(randomBytes(32)),
    setMinimumVersion(version) {
      minimum = version
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return service
}

function send(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(body)
}
