import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from 'pg'
import { readAuditLog } from './audit-log.ts'
import type { Break } from './breakable-link.ts'
import { isUnsure, latePermissions, lateSends, type MadeCall, wrongBeliefs } from './broken-promises.ts'
import { openApp } from './management-client.ts'
import { startRecordingApi } from './recording-api.ts'
import { createRevocableTargets, REVOCABLE_KINDS, type RevocableTarget } from './revocable-target.ts'
import { signedRequest } from './signed-request.ts'
import { type Replica, startFleet } from './start-fleet.ts'

/*
 * Two servers on one database run calls as fast as they can, while grants, keys and agents are taken away and rules forbid paths, on
 * either server in turn. Meanwhile backends of PostgreSQL are killed, connections are lost at commits, and the second server is stopped
 * in the middle of a call for longer than it is believed to live.
 *
 * After each revocation was answered, the database is asked which transactions it can see. An intent that rests on what was revoked
 * must be one of them: had it committed later, the promise would be broken. No clock is compared.
 */

export type StormOptions = {
  revocations: number
  /** Calls at one time at each server. */
  callers: number
  /** Milliseconds between two kills of a backend. */
  killEveryMs: number
}

export type StormReport = {
  calls: number
  answered: number
  refused: number
  /** Calls whose answer never came, or says that nobody knows. */
  unknown: number
  revocations: number
  /** Revocations whose subject was in use before. */
  revokedInUse: number
  /** Calls that were refused because of a revocation. */
  refusedAfterwards: number
  killedBackends: number
  brokenLinks: Readonly<Record<string, number>>
  /** Each is a broken promise, in words. */
  violations: string[]
}

const LIVE_OF_EACH_KIND = 4
const RECENTLY_REVOKED = 6
const PAUSED_MS = 3_000
const BREAKS: readonly Break[] = ['after', 'before', 'late']
const REFUSALS_OF_A_REVOCATION = new Set([
  'grant_revoked',
  'grant_deleted',
  'key_revoked',
  'policy_denied',
  'agent_inactive',
])

export async function runRevocationStorm(
  options: StormOptions,
  tell: (line: string) => void = () => undefined,
): Promise<StormReport> {
  await using fleet = await startFleet()
  await using api = await startRecordingApi()
  const { vault, postgres, link, first, second } = fleet
  const { operator, appId, runtimeKey } = await openApp(vault, 'Storm')
  await operator.allowPrivateHosts(api.host)
  const secret = await operator.createSecret({
    name: 'Provider',
    credential_type: 'bearer',
    value: { token: 'tok_storm' },
    allowed_hosts: [api.host],
  })
  await postgres.asOwner(liftRateLimits)
  await postgres.asOwner(slowCommits)
  await postgres.asOwner(noteTransactions)

  const makeTarget = createRevocableTargets({
    operator,
    pat: vault.dev.pat,
    runtimeKey,
    secret: { id: secret.id, slug: secret.slug, baseGrantId: secret.base_grant_id ?? '' },
  })

  await using stack = new AsyncDisposableStack()
  const watcher = await postgres.ownerClient()
  stack.defer(() => watcher.end())
  const violations: string[] = []
  const calls: (MadeCall & { target: RevocableTarget })[] = []
  const revoked: { target: RevocableTarget; snapshot: string; used: number }[] = []
  const live: RevocableTarget[] = []
  /** Goes next; half of all calls are on it. */
  let doomed: RevocableTarget | undefined
  let killedBackends = 0
  let running = true

  async function persevere<T>(what: string, work: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await work()
      } catch (error) {
        if (tries === 40) throw new Error(`${what} did not succeed`, { cause: error })
        await delay(50)
      }
    }
  }

  async function caller(replica: Replica): Promise<void> {
    for (let turn = 0; running; turn++) {
      const late = revoked.slice(-RECENTLY_REVOKED).map(({ target }) => target)
      const from = turn % 6 === 5 && late.length > 0 ? late : turn % 2 === 0 && doomed !== undefined ? [doomed] : live
      const target = from[Math.floor(Math.random() * from.length)]
      if (target === undefined) return
      const url = `${api.url}${target.path}/${target.calls++}`
      const call: (typeof calls)[number] = { target, url, answer: undefined }
      calls.push(call)
      call.answer = await signedRequest(replica.baseUrl, {
        apiKey: target.apiKey,
        path: '/sdk/proxy',
        body: { grant_id: target.grantId, method: 'POST', url, body: { n: turn } },
      }).catch(() => undefined)
      if (call.answer?.status === 503) await delay(20)
    }
  }

  async function killer(): Promise<void> {
    while (running && options.killEveryMs > 0) {
      await delay(options.killEveryMs)
      const { rows } = await watcher.query(
        `select pg_terminate_backend(pid) from (select pid from pg_stat_activity
         where application_name = 'alter-vault' order by random() limit 1) one`,
      )
      killedBackends += rows.length
    }
  }

  async function snapshot(): Promise<string> {
    const { rows } = await watcher.query<{ seen: string }>('select pg_current_snapshot()::text as seen')
    return rows[0]?.seen ?? ''
  }

  /** Revokes one target and notes what the database can see once that was answered. */
  async function revoke(target: RevocableTarget, baseUrl: string): Promise<void> {
    const used = target.calls
    await persevere(`Revoking ${target.path}`, async () => {
      const { status } = await target.revoke(baseUrl)
      if (status >= 400) throw new Error(`refused with ${status}`)
    })
    revoked.push({ target, snapshot: await snapshot(), used })
  }

  let pause: { seen: string; arrivedBefore: number } | undefined

  /** Stops the second server between intent and send, and wakes it when sending may no longer begin. */
  async function pauseSecond(): Promise<void> {
    await second.pauseAt('after_intent')
    await until('the second server to stop', async () => stateOf(second.pid) === 'T')
    const seen = await snapshot()
    for (const target of live.splice(0, 2)) await revoke(target, first.baseUrl)
    // Longer than sending may begin after an intent.
    await delay(PAUSED_MS)
    pause = { seen, arrivedBefore: api.requests.length }
    second.resume()
  }

  for (const kind of REVOCABLE_KINDS) {
    for (let n = 0; n < LIVE_OF_EACH_KIND; n++) live.push(await makeTarget(kind))
  }
  const background = [
    ...Array.from({ length: options.callers }, () => [caller(first), caller(second)]).flat(),
    killer(),
  ]
  try {
    await delay(500)
    for (let n = 0; revoked.length < options.revocations; n++) {
      const kind = REVOCABLE_KINDS[n % REVOCABLE_KINDS.length] ?? 'grant'
      doomed = live.find((target) => target.kind === kind)
      await delay(100)
      if (doomed !== undefined && doomed.calls > 0) {
        const replica = Math.floor(n / REVOCABLE_KINDS.length) % 2 === 0 ? first : second
        const way = BREAKS[n % BREAKS.length] ?? 'after'
        link.breakNext(replica === second && n % 2 === 0 ? 'change' : 'append', way)
        await revoke(doomed, replica.baseUrl)
        live.splice(live.indexOf(doomed), 1)
      }
      live.push(await persevere(`Making a ${kind}`, () => makeTarget(kind)))
      if (pause === undefined && revoked.length >= options.revocations / 2) await pauseSecond()
      if (n % 20 === 19) tell(`${revoked.length} revocations, ${calls.length} calls`)
    }
    await delay(500)
  } catch (error) {
    const said = [first, second].map(({ logs }) => logs().slice(-4_000)).join('\n\nThe second:\n')
    throw new Error(`The storm ended early. The first server wrote last:\n${said}`, { cause: error })
  } finally {
    running = false
    if (stateOf(second.pid) === 'T') second.resume()
    await Promise.allSettled(background)
  }
  await Promise.all(background)

  const rows = await postgres.asOwner((owner) => readAuditLog(owner, appId))
  const arrived = api.requests.map(({ path }) => `${api.url}${path}`)
  violations.push(...(await latePermissions(watcher, rows, revoked, api.url)), ...wrongBeliefs(rows, calls, arrived))
  if (pause === undefined) violations.push('the second server was never paused')
  else violations.push(...(await lateSends(watcher, rows, pause, arrived)))

  const answers = calls.map(({ answer }) => answer)
  return {
    calls: calls.length,
    answered: answers.filter((answer) => answer?.status === 200).length,
    refused: answers.filter((answer) => answer !== undefined && answer.status !== 200 && !isUnsure(answer)).length,
    unknown: answers.filter((answer) => answer === undefined || isUnsure(answer)).length,
    revocations: revoked.length,
    revokedInUse: revoked.filter(({ used }) => used > 0).length,
    refusedAfterwards: answers.filter((answer) => REFUSALS_OF_A_REVOCATION.has(String(answer?.body.error))).length,
    killedBackends,
    brokenLinks: link.broken(),
    violations,
  }
}

/** The storm makes more calls than the limits let through. */
async function liftRateLimits(owner: Client): Promise<void> {
  const { rows } = await owner.query<{ organization_id: string }>('select organization_id from organizations')
  for (const { organization_id: id } of rows) {
    await owner.query('begin')
    await owner.query(`select set_config('vault.organization', $1, true)`, [id])
    await owner.query(
      `update organizations set settings = settings || '{"rate_limit_rpm": 10000000}' where organization_id = $1`,
      [id],
    )
    const apps = await owner.query<{ app_id: string }>('select app_id from apps where organization_id = $1', [id])
    for (const { app_id } of apps.rows) {
      await owner.query(`select set_config('vault.app', $1, true)`, [app_id])
      await owner.query('update keys set rate_limit_rpm = 100000 where app_id = $1', [app_id])
    }
    await owner.query('commit')
  }
}

/**
 * In some batches of calls time passes between the check of the versions and the commit, as on a busy disk: longer than it takes to
 * answer a revocation. One that did not wait would be answered in between.
 */
async function slowCommits(owner: Client): Promise<void> {
  await owner.query(`
    create function slow_commit() returns trigger language plpgsql as $$
    begin
      if random() < 0.3 and position('"stream":"runtime"'::bytea in new.rows) > 0 then perform pg_sleep(0.15); end if;
      return null;
    end $$;
    create constraint trigger slow_commit after insert on audit_batches deferrable initially deferred
      for each row execute function slow_commit()`)
}

/** Notes of each batch which transaction stored it. */
async function noteTransactions(owner: Client): Promise<void> {
  await owner.query('alter table audit_batches add column written_by xid8 default pg_current_xact_id()')
}

/** State of a process as /proc shows it: `T` is stopped, empty is gone. */
function stateOf(pid: number): string {
  return existsSync(`/proc/${pid}/stat`) ? (readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] ?? '') : ''
}

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  for (let waitedMs = 0; waitedMs < 60_000; waitedMs += 50) {
    if (await check()) return
    await delay(50)
  }
  throw new Error(`Waited a minute for ${what}`)
}
