import type { IncomingMessage } from 'node:http'
import { VaultError } from '../kernel/vault-error.ts'

/** Body limit of everything but the proxied call. */
export const MANAGEMENT_BODY_MAX_BYTES = 1024 * 1024
/** Body limit of `POST /sdk/proxy`. */
export const PROXY_BODY_MAX_BYTES = 10 * 1024 * 1024

/** Read and thrown away after the limit, so that a caller who sent a little too much hears why before the connection ends. */
const DISCARDED_MAX_BYTES = 16 * 1024 * 1024

const NO_BODY = Buffer.alloc(0)

/**
 * The whole body of a request. Refuses with `body_too_large` past `limitBytes`; the connection then has to end with the answer,
 * which `sendRefusal` sees to. Rejects with `RequestAbandoned` when the caller goes away first.
 */
export function readBody(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const declared = request.headers['content-length']
  if (declared === undefined && request.headers['transfer-encoding'] === undefined) {
    // RFC 9112, 6.3: neither header, no body.
    request.resume()
    return Promise.resolve(NO_BODY)
  }
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = []
    let length = 0
    const tooLarge = () =>
      new VaultError('body_too_large', {
        message: `The body must be at most ${limitBytes} bytes; got ${declared === undefined ? 'more' : declared}. Nothing was done.`,
      })
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length <= limitBytes) chunks.push(chunk)
      else {
        chunks = []
        if (length > limitBytes + DISCARDED_MAX_BYTES) {
          request.pause()
          reject(tooLarge())
        }
      }
    })
    request.on('end', () => {
      if (length > limitBytes) reject(tooLarge())
      else resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length))
    })
    // Node emits it for a connection that broke off, and for nothing else once the headers are in.
    request.on('error', () => reject(new RequestAbandoned()))
    request.on('close', () => {
      // Emitted behind the end of each request too; an error with its stack would then be made for nobody.
      if (!request.readableEnded) reject(new RequestAbandoned())
    })
  })
}

/** The caller went away before the request was whole; there is nobody to answer. */
export class RequestAbandoned extends Error {
  constructor() {
    super('the caller went away')
    this.name = 'RequestAbandoned'
  }
}
