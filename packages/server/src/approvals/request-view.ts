import { domainToUnicode } from 'node:url'
import type { RequestView } from '@alter-vault/contracts'
import { isForbiddenCallerHeader } from '../egress/header-rules.ts'
import { FormData } from '../policy/form-data.ts'
import { createPolicyRequest, type PolicyRequest } from '../policy/policy-context.ts'
import { bodyView } from './body-view.ts'
import { bodyOf, type FrozenRequest } from './frozen-request.ts'

/** What a person decides on: the frozen bytes, and the names of what the vault adds. */
export function requestView(
  request: FrozenRequest,
  { hideBody, wholeBody }: { hideBody: boolean; wholeBody: boolean },
): RequestView {
  const url = new URL(request.url)
  const read = createPolicyRequest({
    method: request.method,
    scheme: url.protocol.slice(0, -1),
    host: url.hostname,
    port: Number(url.port),
    path: url.pathname,
    query: url.search.slice(1),
    headers: request.headers,
    body: request.body,
  })
  // A name that carries credentials is never frozen; should one ever be, its value is not for the page.
  const [open, secret] = [request.headers.filter(([name]) => !isForbiddenCallerHeader(name)), new Set<string>()]
  for (const [name] of request.headers) if (isForbiddenCallerHeader(name)) secret.add(name)
  return {
    method: request.method,
    url: request.url,
    url_parts: {
      scheme: url.protocol === 'http:' ? 'http' : 'https',
      host: url.hostname,
      host_unicode: unicodeHost(url.hostname),
      port: url.port === '' ? null : Number(url.port),
      path: url.pathname,
      path_reads: otherReading(read),
    },
    query: [...url.searchParams].map(([name, value]) => ({ name, value })),
    query_ambiguous: !(read.query instanceof FormData) || read.query.isMisleading,
    names_other_method: read.namesOtherMethod,
    headers: open.map(([name, value]) => ({ name, value })),
    added_by_vault: [
      ...request.addedByVault.map(({ place, name }) => ({ place, name })),
      ...[...secret].map((name) => ({ place: 'header' as const, name })),
    ],
    body: bodyView(bodyOf(request).bytes, headerOf(request, 'content-type'), {
      contentEncoding: headerOf(request, 'content-encoding'),
      hidden: hideBody,
      whole: wholeBody,
    }),
  }
}

const headerOf = ({ headers }: FrozenRequest, wanted: string): string | null =>
  headers.find(([name]) => name === wanted)?.[1] ?? null

/** The reading that is farthest from what is sent; null when they differ by a final slash at most. */
function otherReading({ path, pathReadings }: PolicyRequest): string | null {
  const reading = pathReadings.all.at(-1) ?? path
  return reading === path || `${reading}/` === path ? null : reading
}

/** How the host reads when its labels are decoded; null when it reads as it is written. */
function unicodeHost(host: string): string | null {
  if (!host.includes('xn--')) return null
  const unicode = domainToUnicode(host)
  return unicode === '' || unicode === host ? null : unicode
}
