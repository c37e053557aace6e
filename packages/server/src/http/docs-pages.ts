import { createHash } from 'node:crypto'
import { type ErrorCode, errorRegistry } from '@alter-vault/contracts'
import apiReference from '@scalar/fastify-api-reference'
import type { Pages } from './listener.ts'

const INLINE_SCRIPT = /<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/g

/**
 * The description of the API as a page, at `/docs/`, with scripts of this server only: no CDN, no fonts, no telemetry, no proxy.
 * `/errors/<code>`, where the `type` of a problem leads, says in plain text what the code means.
 *
 * The one inline script of the page is allowed by its hash. Styles are put in by that script, hence `unsafe-inline` for them alone.
 */
export const docsPages: Pages = (app) => {
  app.addHook('onSend', async (_request, reply, payload) => {
    reply.header('X-Content-Type-Options', 'nosniff')
    reply.header('Referrer-Policy', 'no-referrer')
    if (typeof payload !== 'string' || !String(reply.getHeader('content-type')).startsWith('text/html')) return payload
    const hashes = [...payload.matchAll(INLINE_SCRIPT)].map(
      ([, script = '']) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`,
    )
    reply.header(
      'Content-Security-Policy',
      [
        "default-src 'none'",
        `script-src 'self' ${hashes.join(' ')}`,
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
      ].join('; '),
    )
    return payload
  })
  app.register(apiReference, {
    routePrefix: '/docs',
    configuration: {
      url: '/api/v1/openapi.json',
      pageTitle: 'Alter Vault API',
      withDefaultFonts: false,
      telemetry: false,
      hideClientButton: true,
      showDeveloperTools: 'never',
      persistAuth: false,
      // Both would send the description to a service elsewhere.
      agent: { disabled: true },
      mcp: { disabled: true },
      documentDownloadType: 'json',
    },
  })
  // What a person sees who opens the address that the start message prints.
  app.get('/', (_request, reply) => reply.redirect('/docs/', 302))
  app.get<{ Params: { code: string } }>('/errors/:code', (request, reply) => {
    const { code } = request.params
    if (!Object.hasOwn(errorRegistry, code))
      return reply.code(404).type('text/plain; charset=utf-8').send('No such code.\n')
    const { status, advice, sentence } = errorRegistry[code as ErrorCode]
    return reply.type('text/plain; charset=utf-8').send(`${code} (HTTP ${status}, advice: ${advice})\n\n${sentence}\n`)
  })
}
