import type { Client } from 'pg'
import type { LoggedRow } from './audit-log.ts'
import type { SdkAnswer } from './signed-request.ts'

/** One call that somebody made: the URL that only it used, and the answer, if one came. */
export type MadeCall = { url: string; answer: SdkAnswer | undefined }

/** The vault says that it does not know whether the call took place. */
export const isUnsure = (answer: SdkAnswer): boolean => answer.text.includes('"upstream_may_have_executed":true')

const INTENTS = new Set(['proxy.requested', 'approval.executing'])
const OUTCOMES = new Set(['proxy.executed', 'proxy.failed', 'proxy.refused', 'proxy.outcome_unknown'])
const urlOf = (row: LoggedRow): string => String(row.detail.url)

/** Intents that committed after the revocation of what they rest on had been answered. */
export async function latePermissions(
  watcher: Client,
  rows: readonly LoggedRow[],
  revoked: readonly { target: { kind: string; path: string }; snapshot: string }[],
  apiUrl: string,
): Promise<string[]> {
  const intents = rows.filter(({ event }) => INTENTS.has(event))
  const found: string[] = []
  for (const { target, snapshot } of revoked) {
    const own = intents.filter((row) => urlOf(row).startsWith(`${apiUrl}${target.path}/`))
    for (const id of await unseen(watcher, own, snapshot)) {
      found.push(
        `${target.kind} ${target.path}: an intent committed in ${id}, after the revocation was answered (${snapshot})`,
      )
    }
  }
  return found
}

/** Requests that arrived after the pause on intents from before it. */
export async function lateSends(
  watcher: Client,
  rows: readonly LoggedRow[],
  { seen, arrivedBefore }: { seen: string; arrivedBefore: number },
  arrived: readonly string[],
): Promise<string[]> {
  const late = new Set(arrived.slice(arrivedBefore))
  const own = rows.filter((row) => INTENTS.has(row.event) && late.has(urlOf(row)))
  const after = new Set(await unseen(watcher, own, seen))
  return own
    .filter(({ transactionId }) => !after.has(transactionId))
    .map((row) => `${urlOf(row)} was sent after the pause on an intent from before it`)
}

/** The transactions of the rows that a snapshot could not see yet. */
async function unseen(watcher: Client, rows: readonly LoggedRow[], snapshot: string): Promise<string[]> {
  const ids = [...new Set(rows.map(({ transactionId }) => transactionId))]
  const { rows: found } = await watcher.query<{ id: string }>(
    'select id from unnest($1::text[]) id where not pg_visible_in_snapshot(id::xid8, $2::pg_snapshot)',
    [ids, snapshot],
  )
  return found.map(({ id }) => id)
}

/** What somebody was told, or the log says, and is not so. */
export function wrongBeliefs(
  rows: readonly LoggedRow[],
  calls: readonly MadeCall[],
  arrived: readonly string[],
): string[] {
  const found: string[] = []
  const intents = Map.groupBy(
    rows.filter(({ event }) => INTENTS.has(event)),
    urlOf,
  )
  const outcomes = Map.groupBy(
    rows.filter(({ event, intentId }) => OUTCOMES.has(event) && intentId !== null),
    ({ intentId }) => intentId,
  )
  const arrivals = Map.groupBy(arrived, (url) => url)

  for (const [url, times] of arrivals) {
    if (times.length > 1) found.push(`${url} was sent ${times.length} times`)
    if (!intents.has(url)) found.push(`${url} was sent without an intent`)
  }
  for (const [intentId, all] of outcomes) {
    if (all.length > 1) found.push(`the intent ${intentId} has ${all.length} outcomes`)
  }
  for (const { url, answer } of calls) {
    const sent = arrivals.has(url)
    if (answer === undefined) continue
    if (answer.status === 200) {
      const intent = intents.get(url)?.at(-1)
      const outcome = intent && outcomes.get(intent.eventId)?.[0]
      if (!sent) found.push(`${url} was answered and never sent`)
      if (outcome?.event !== 'proxy.executed') found.push(`${url} was answered and has the outcome ${outcome?.event}`)
    } else {
      if (answer.status === 500) found.push(`${url} met a fault: ${answer.text}`)
      if (answer.status === 429) found.push(`${url} met a rate limit, which this test lifts`)
      if (sent && !isUnsure(answer)) found.push(`${url} was refused with ${answer.text} and sent`)
    }
  }
  return found
}
