import sirv from 'sirv'
import { VaultError } from '../kernel/vault-error.ts'
import { pagePolicy } from './page-policy.ts'
import type { Page } from './routes.ts'

type AppPages = {
  /** Where the app lives, without a slash at the end: `/wallet`. */
  prefix: string
  /** Folder of the built app: `index.html` and `assets/`. */
  folder: string
}

/**
 * A built browser app. Every path below the prefix that is no file is the app's own and gets `index.html`; files under `assets/`
 * carry their content in their name, so they are kept for a year. Only files that were there at the start are served.
 *
 * The policy lets in scripts, styles, fonts and calls of this origin only, nothing inline, and no frame around the page: a person
 * decides on what it shows. Throws when the app is not built.
 */
export function appPages({ prefix, folder }: AppPages): Page[] {
  const send = sirv(folder, {
    etag: true,
    setHeaders(response, path) {
      const fixed = path.startsWith('/assets/')
      response.setHeader('Cache-Control', fixed ? 'public, max-age=31536000, immutable' : 'no-cache')
    },
  })
  const serve: Page['serve'] = (request, response) => {
    const below = request.url!.slice(prefix.length)
    // What the app asks the server, misspelt: a page would be taken for its answer.
    if (below.startsWith('/api/')) throw new VaultError('not_found')
    for (const [name, value] of Object.entries(PAGE_HEADERS)) response.setHeader(name, value)
    request.url = below
    send(request, response, () => {
      request.url = '/'
      send(request, response)
    })
  }
  return [prefix, `${prefix}/*`].map((path) => ({ path, serve }))
}

const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy': pagePolicy(),
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
}
