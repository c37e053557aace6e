import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join, normalize } from 'node:path'
import {
  type ApprovalPage,
  type DecisionState,
  decideApprovalByLink,
  type ErrorCode,
  errorRegistry,
  LINK_TOKEN_HEADER,
  readApprovalPage,
} from '@alter-vault/contracts'
import type Type from 'typebox'
import { Value } from 'typebox/value'
import { ids } from './approval-samples.ts'

/** The policy under which the server delivers the page. */
export const PAGE_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

/** The token that the scripted vault takes for genuine. */
export const LINK_TOKEN = 'v1.genuine-token_of-this-approval'

type Refusal = { refusal: ErrorCode }
type DecideBody = { decision: 'approve' | 'deny'; action_hash: string; reason?: string; link_token: string }

/** What the scripted vault answers, changed by a test while the page is open. */
export type Script = {
  page: ApprovalPage
  /** Answers `?body=whole`. */
  wholePage?: ApprovalPage
  decide: (body: DecideBody) => DecisionState | Refusal | 'drop_connection'
  /** Reads fail with a lost connection while true. */
  unreachable?: boolean
}

/** State after one approval or denial of the sample. */
export const decisionState = (about: Partial<DecisionState> = {}): DecisionState => ({
  approval_id: ids.approval,
  approval_group_id: ids.group,
  status: 'approved',
  gate_status: 'approved',
  quorum: 1,
  approvals: 1,
  expires_at: '2026-03-02T10:47:00Z',
  decided_at: '2026-03-02T10:00:05Z',
  warning: null,
  reasons: [],
  ...about,
})

const TYPES: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  woff2: 'font/woff2',
  svg: 'image/svg+xml',
}

async function bodyOfRequest(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

function assertShape(schema: Type.TSchema, value: unknown, what: string) {
  if (Value.Check(schema, value)) return
  const [first] = Value.Errors(schema, value)
  throw new Error(`${what} does not have the shape of the contract: ${JSON.stringify(first)}`)
}

/**
 * Serves the built page as the vault does, and a scripted vault beside it that speaks the contract and nothing else: an answer or a
 * question of another shape is remembered in `mistakes`. Every request is kept in `requests`.
 */
export async function startApprovalPageServer(dist: string) {
  let script: Script | undefined
  const requests: { method: string; url: string; headers: IncomingMessage['headers'] }[] = []
  const decisions: DecideBody[] = []
  const mistakes: string[] = []

  const send = (response: ServerResponse, status: number, value: unknown) => {
    response.writeHead(status, { 'content-type': 'application/json', 'x-request-id': 'req_01HZX5' })
    response.end(JSON.stringify(value))
  }
  const refuse = (response: ServerResponse, code: ErrorCode) => {
    const { status, sentence } = errorRegistry[code]
    send(response, status, { error: code, message: sentence, request_id: 'req_01HZX5' })
  }

  async function serveFile(path: string, response: ServerResponse) {
    const file = path.startsWith('/wallet/approvals/') ? 'index.html' : normalize(path.slice('/wallet/'.length))
    const content = file.startsWith('..') ? undefined : await readFile(join(dist, file)).catch(() => undefined)
    if (!content) return response.writeHead(404).end()
    response.writeHead(200, {
      'content-type': TYPES[file.split('.').at(-1) ?? ''] ?? 'application/octet-stream',
      'content-security-policy': PAGE_CSP,
      'x-content-type-options': 'nosniff',
    })
    return response.end(content)
  }

  async function serveApi(request: IncomingMessage, url: URL, response: ServerResponse) {
    if (!script) throw new Error('no story is being played')
    const path = `/wallet/api/approvals/${ids.approval}`
    if (request.method === 'GET' && url.pathname === path) {
      if (script.unreachable) return request.socket.destroy()
      if (request.headers[LINK_TOKEN_HEADER] !== LINK_TOKEN) return refuse(response, 'approval_not_found')
      const wantsWhole = url.searchParams.get('body') === 'whole'
      const page = wantsWhole && script.wholePage ? script.wholePage : script.page
      assertShape(readApprovalPage.success, page, 'the page')
      return send(response, 200, page)
    }
    if (request.method === 'POST' && url.pathname === `${path}/decide`) {
      const body = JSON.parse(await bodyOfRequest(request)) as DecideBody
      assertShape(decideApprovalByLink.body, body, 'the decision')
      decisions.push(body)
      if (body.link_token !== LINK_TOKEN) return refuse(response, 'approval_not_found')
      const answer = script.decide(body)
      if (answer === 'drop_connection') return request.socket.destroy()
      if ('refusal' in answer) return refuse(response, answer.refusal)
      assertShape(decideApprovalByLink.success, answer, 'the state')
      return send(response, 200, answer)
    }
    return refuse(response, 'approval_not_found')
  }

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://vault.test')
    requests.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers })
    const serving = url.pathname.startsWith('/wallet/api/')
      ? serveApi(request, url, response)
      : serveFile(url.pathname, response)
    serving.catch((error: Error) => {
      mistakes.push(error.message)
      response.writeHead(500).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }

  return {
    origin: `http://127.0.0.1:${port}`,
    /** The link of the sample, with any token. */
    link: (token: string | null = LINK_TOKEN) =>
      `http://127.0.0.1:${port}/wallet/approvals/${ids.approval}${token === null ? '' : `#t=${token}`}`,
    requests,
    decisions,
    mistakes,
    /** Starts a new story: what the vault answers from now on, with nothing remembered. */
    play(next: Script) {
      script = next
      requests.length = 0
      decisions.length = 0
      mistakes.length = 0
    },
    /** Changes what the vault answers in the middle of a story. */
    replace(change: Partial<Script>) {
      if (!script) throw new Error('no story is being played')
      script = { ...script, ...change }
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
