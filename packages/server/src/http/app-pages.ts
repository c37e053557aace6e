import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fastifyStatic from '@fastify/static'
import { VaultError } from '../kernel/vault-error.ts'
import type { Pages } from './listener.ts'

type AppPages = {
  /** Where the app lives, without a slash at the end: `/wallet`. */
  prefix: string
  /** Folder of the built app: `index.html` and `assets/`. */
  folder: string
}

/**
 * A built browser app. Every path below the prefix that is no file is the app's own and gets `index.html`; files under `assets/`
 * carry their content in their name, so they are kept for a year.
 *
 * The policy lets in scripts, styles, fonts and calls of this origin only, nothing inline, and no frame around the page: a person
 * decides on what it shows. Throws when the app is not built.
 */
export function appPages({ prefix, folder }: AppPages): Pages {
  const index = readFileSync(join(folder, 'index.html'), 'utf8')
  const etag = `"${createHash('sha256').update(index).digest('base64url').slice(0, 27)}"`
  return (app) => {
    app.addHook('onSend', async (_request, reply) => {
      for (const [name, value] of Object.entries(PAGE_HEADERS)) reply.header(name, value)
    })
    app.register(fastifyStatic, {
      root: folder,
      prefix: `${prefix}/`,
      index: false,
      wildcard: false,
      cacheControl: false,
      setHeaders: (response, path) => {
        const fixed = path.startsWith(join(folder, 'assets'))
        response.header('Cache-Control', fixed ? 'public, max-age=31536000, immutable' : 'no-cache')
      },
    })
    for (const url of [prefix, `${prefix}/*`]) {
      app.get(url, (request, reply) => {
        // What the app asks the server, misspelt: a page would be taken for its answer.
        if (request.url.startsWith(`${prefix}/api/`)) throw new VaultError('not_found')
        reply.header('Cache-Control', 'no-cache').header('ETag', etag)
        if (request.headers['if-none-match'] === etag) return reply.code(304).send()
        return reply.type('text/html; charset=utf-8').send(index)
      })
    }
  }
}

const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
}
