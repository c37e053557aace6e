import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { type ErrorCode, errorRegistry } from '@alter-vault/contracts'
import apiReference from '@scalar/fastify-api-reference'
import { pagePolicy } from './page-policy.ts'
import type { Page } from './routes.ts'

const INLINE_SCRIPT = /<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/g
const HTML = 'text/html; charset=utf-8'
const TEXT = 'text/plain; charset=utf-8'

type Fixed = { status: number; headers: Record<string, string>; body: string }

/**
 * The description of the API as a page, at `/docs/`, with scripts of this server only: no CDN, no fonts, no telemetry, no proxy.
 * `/errors/<code>`, where the `type` of a problem leads, says in plain text what the code means.
 *
 * The one inline script of the page is allowed by its hash. Styles are put in by that script, hence `unsafe-inline` for them alone.
 */
export const docsPages: readonly Page[] = [
  ...referenceAnswers().map(([path, fixed]) => {
    const { 'Content-Type': type = '' } = fixed.headers
    const policy = type === HTML ? { 'Content-Security-Policy': policyFor(fixed.body) } : {}
    const headers = { ...fixed.headers, ...policy }
    return { path, serve: (_request: unknown, response: ServerResponse) => send(response, { ...fixed, headers }) }
  }),
  // What a person sees who opens the address that the start message prints.
  {
    path: '/',
    serve: (_request, response) => send(response, { status: 302, headers: { Location: '/docs/' }, body: '' }),
  },
  {
    path: '/errors/:code',
    serve({ url = '' }, response) {
      const [code = ''] = url.slice('/errors/'.length).split('?')
      const known = Object.hasOwn(errorRegistry, code)
      send(response, {
        status: known ? 200 : 404,
        headers: { 'Content-Type': TEXT },
        body: known ? explained(code as ErrorCode) : 'No such code.\n',
      })
    },
  },
]

function send(response: ServerResponse, { status, headers, body }: Fixed): void {
  response.writeHead(status, {
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Content-Length': Buffer.byteLength(body),
    ...headers,
  })
  response.end(body)
}

function explained(code: ErrorCode): string {
  const { status, advice, sentence } = errorRegistry[code]
  return `${code} (HTTP ${status}, advice: ${advice})\n\n${sentence}\n`
}

function policyFor(html: string): string {
  const hashes = [...html.matchAll(INLINE_SCRIPT)].map(
    ([, script = '']) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`,
  )
  return pagePolicy({ script: hashes, style: ["'unsafe-inline'"], font: ['data:'] })
}

type Reply = {
  header(name: string, value: string): Reply
  redirect(location: string, status: number): Reply
  send(body: string): Reply
}
type Route = {
  url: string
  handler: (request: { url: string; protocol: string; hostname: string }, reply: Reply) => void
}

/**
 * The page with its script, by path. Its package is a plugin of Fastify that adds a few routes and asks for nothing else of it; their
 * answers are always the same, so each is taken once.
 */
function referenceAnswers(): [string, Fixed][] {
  const answers: [string, Fixed][] = []
  const app = {
    hasPlugin: () => false,
    route({ url, handler }: Route) {
      const fixed: Fixed = { status: 200, headers: {}, body: '' }
      const reply: Reply = {
        header(name, value) {
          fixed.headers[name] = value
          return reply
        },
        redirect(location, status) {
          fixed.status = status
          fixed.headers.Location = location
          return reply
        },
        send(body) {
          fixed.body = body
          return reply
        },
      }
      handler({ url, protocol: 'http', hostname: 'localhost' }, reply)
      answers.push([url, fixed])
    },
  }
  const options = {
    routePrefix: '/docs' as const,
    configuration: {
      url: '/api/v1/openapi.json',
      pageTitle: 'Alter Vault API',
      withDefaultFonts: false,
      telemetry: false,
      hideClientButton: true,
      showDeveloperTools: 'never' as const,
      persistAuth: false,
      // Both would send the description to a service elsewhere.
      agent: { disabled: true },
      mcp: { disabled: true },
      documentDownloadType: 'json' as const,
    },
  }
  apiReference(app as never, options, () => undefined)
  return answers
}
