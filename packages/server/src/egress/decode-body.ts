import type { Transform } from 'node:stream'
import {
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
  constants as zlib,
} from 'node:zlib'
import type { HeaderList } from './header-rules.ts'

/** An answer's body with its content coding removed, or as it came where that cannot be done. */
export type DecodedBody = { headers: HeaderList; body: Buffer; truncated: boolean }

/** More codings than this on one body is an attack on the decoder, not a server. */
const MAX_CODINGS = 2

/**
 * Removes gzip, deflate, br and zstd, so that the body can be searched for the credential, and with them
 * `content-encoding` and `content-length`. Output stops at `maxBytes` (a small body can decode to gigabytes), with
 * `truncated`. A body in another coding, or one that does not decode, comes back as it was, with its headers.
 */
export async function decodeBody({ headers, body, truncated }: DecodedBody, maxBytes: number): Promise<DecodedBody> {
  const codings = headers
    .filter(([name]) => name === 'content-encoding')
    .flatMap(([, value]) => value.toLowerCase().split(','))
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'identity')
  if (codings.length === 0 || body.length === 0) return { headers, body, truncated }
  if (codings.length > MAX_CODINGS) return { headers, body, truncated }
  let decoded: { body: Buffer; truncated: boolean } = { body, truncated }
  for (const coding of codings.reverse()) {
    const decoder = decoderOf(coding, decoded)
    const output = decoder === undefined ? undefined : await run(decoder, decoded.body, maxBytes, decoded.truncated)
    if (output === undefined) return { headers, body, truncated }
    decoded = { body: output.body, truncated: decoded.truncated || output.truncated }
  }
  const kept = headers.filter(([name]) => name !== 'content-encoding' && name !== 'content-length')
  return { headers: kept, ...decoded }
}

/** A whole body must end as its coding says; only of one that was cut is the part that decodes enough. */
function decoderOf(coding: string, { body, truncated }: { body: Buffer; truncated: boolean }): Transform | undefined {
  const deflateOptions = truncated ? { finishFlush: zlib.Z_SYNC_FLUSH } : {}
  switch (coding) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip(deflateOptions)
    case 'deflate':
      // RFC 9110, 8.4.1.2 means the zlib format, yet many servers send the bare stream: the low bits of a zlib header are 8.
      return (body[0]! & 0x0f) === 0x08 ? createInflate(deflateOptions) : createInflateRaw(deflateOptions)
    case 'br':
      return createBrotliDecompress(truncated ? { finishFlush: zlib.BROTLI_OPERATION_FLUSH } : {})
    case 'zstd':
      return createZstdDecompress(truncated ? { finishFlush: zlib.ZSTD_e_flush } : {})
    default:
      return undefined
  }
}

/** The decoded bytes, at most `maxBytes`. What a cut input gave before its end counts; a damaged whole one is undefined. */
function run(
  decoder: Transform,
  input: Buffer,
  maxBytes: number,
  inputTruncated: boolean,
): Promise<{ body: Buffer; truncated: boolean } | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let length = 0
    decoder.on('data', (chunk: Buffer) => {
      const room = maxBytes - length
      chunks.push(chunk.length > room ? chunk.subarray(0, room) : chunk)
      length += Math.min(chunk.length, room)
      if (chunk.length > room) {
        resolve({ body: Buffer.concat(chunks), truncated: true })
        decoder.destroy()
      }
    })
    decoder.on('end', () => resolve({ body: Buffer.concat(chunks), truncated: false }))
    decoder.on('error', () => {
      resolve(inputTruncated && length > 0 ? { body: Buffer.concat(chunks), truncated: true } : undefined)
    })
    decoder.end(input)
  })
}
