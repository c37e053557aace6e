/*
 * The floor under a vault: the least work that a call through one can take in Node with PostgreSQL. Bare node:http in front, the hash of the
 * body and two HMACs, JSON, AES-256-GCM, undici behind, and two rows of 330 bytes that are durable before the call is sent and before
 * it is answered. Rows of calls that come together share a commit. No rules, no checks of shape, no versions, no nonces, no index.
 * A program of its own; says its port to its parent.
 *
 *   node bench/floor.ts <origin of the provider> <socket folder of PostgreSQL>
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createSecretKey,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Client } from 'pg'
import { Pool } from 'undici'

const [origin, socketFolder] = process.argv.slice(2)
const upstream = new Pool(origin!, { connections: 128, pipelining: 1 })
const ROW = Buffer.alloc(330, 'x')

const database = new Client({ host: socketFolder!, user: 'postgres', database: 'postgres' })
// The vault whose database this is may be stopped or killed when the floor has been measured.
database.on('error', () => process.exit())
await database.connect()
await database.query('create table if not exists floor_batches (id bigserial primary key, rows bytea not null)')
await database.query('alter table floor_batches alter column rows set storage external')

let waiting: (() => void)[] = []
let isWriting = false
function commitRow(): Promise<void> {
  return new Promise((resolve, reject) => {
    waiting.push(resolve)
    if (!isWriting) writeBatches().catch(reject)
  })
}
async function writeBatches(): Promise<void> {
  isWriting = true
  while (waiting.length > 0) {
    const batch = waiting
    waiting = []
    const rows = Buffer.concat(batch.map(() => ROW))
    await database.query({ name: 'batch', text: 'insert into floor_batches (rows) values ($1)', values: [rows] })
    for (const stored of batch) stored()
  }
  isWriting = false
}

const pepper = createSecretKey(randomBytes(32))
const signingKey = createSecretKey(randomBytes(32))
const dataKey = createSecretKey(randomBytes(32))
const nonce = randomBytes(12)
const cipher = createCipheriv('aes-256-gcm', dataKey, nonce)
const sealed = Buffer.concat([cipher.update(`tok_${randomBytes(24).toString('base64url')}`), cipher.final()])
const tag = cipher.getAuthTag()

function openCredential(): string {
  const decipher = createDecipheriv('aes-256-gcm', dataKey, nonce)
  decipher.setAuthTag(tag)
  return Buffer.concat([decipher.update(sealed), decipher.final()]).toString()
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', async () => {
    const body = Buffer.concat(chunks)
    const bodyHash = createHash('sha256').update(body).digest('hex')
    createHmac('sha256', pepper).update(String(request.headers['x-api-key'])).digest()
    const signature = createHmac('sha256', signingKey).update(`POST\n${request.url}\n${bodyHash}`).digest()
    // Compared as a vault would; what it says is of no matter here.
    timingSafeEqual(signature, Buffer.from(String(request.headers['x-alter-signature']), 'hex'))
    const { url } = JSON.parse(body.toString()) as { url: string }
    await commitRow()
    const token = openCredential()
    upstream.dispatch(
      { path: new URL(url).pathname, method: 'GET', headers: { accept: '*/*', authorization: `Bearer ${token}` } },
      answerTo(async (statusCode, headers, bytes) => {
        await commitRow()
        const answer = JSON.stringify({ status_code: statusCode, headers, body_b64: bytes.toString('base64') })
        response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(answer) })
        response.end(answer)
      }),
    )
  })
})

function answerTo(done: (status: number, headers: object, body: Buffer) => Promise<void>) {
  const chunks: Buffer[] = []
  let status = 0
  let received: object = {}
  return {
    onRequestStart() {},
    onResponseStart(_: unknown, statusCode: number, headers: object) {
      status = statusCode
      received = headers
    },
    onResponseData: (_: unknown, chunk: Buffer) => void chunks.push(chunk),
    onResponseEnd: () => void done(status, received, Buffer.concat(chunks)),
    onResponseError(_: unknown, error: Error) {
      throw error
    },
  }
}

// Longer than any pause between two rounds.
server.keepAliveTimeout = 300_000
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on('disconnect', () => process.exit())
