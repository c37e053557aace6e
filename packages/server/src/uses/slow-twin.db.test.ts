import type { ProxyRequestBody } from '@alter-vault/contracts'
import fc from 'fast-check'
import { sql } from 'kysely'
import { expect, it } from 'vitest'
import type { Tx } from '../db/database.ts'
import { newId } from '../kernel/ids.ts'
import { createManagementTest } from '../testing/management.ts'
import { signedPresented } from '../testing/signed-presented.ts'
import { createSlowTwin, type Verdict } from '../testing/slow-twin.ts'
import { CREATED_BY, insertGrant, keyDigest, SLUGS, seedApp, startProcess, type World } from './use-fixture.ts'

/*
 * Two processes with their memories run uses on one app, while rows change under them without a word to either. Before each use the
 * slow twin reads everything anew; whichever process makes the use must come to the same end.
 */

const PATHS = ['/a', '/b', '/a/deep'] as const
const LABELS = [null, 'first', 'second'] as const
type Change = { what: string; make: (tx: Tx, world: World, nowMs: number) => Promise<unknown>; home?: 'organization' }

const pick = <T>(from: readonly T[], index: number): T | undefined => from[index % Math.max(1, from.length)]

const change = (what: string, make: Change['make'], home?: 'organization'): Change => ({
  what,
  make,
  ...(home === undefined ? {} : { home }),
})

const index = fc.nat(20)
const mostlyNull = <T>(value: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: value })
/** Before, at, or after now; null: never. */
const moment = fc.constantFrom(-60_000, 0, 45_000, 600_000, 600_000, null, null)
const at = (nowMs: number, offsetMs: number | null) => (offsetMs === null ? null : new Date(nowMs + offsetMs))

const ruleBody = fc.oneof(
  fc.record({
    type: fc.constant('json_match'),
    body: fc.constantFrom(
      { effect: 'deny', when: { path: '/a' } },
      { effect: 'deny', when: { path: { glob: '/a/**' }, method: 'POST' } },
      { effect: 'deny', when: { provider_id: 'mail' } },
    ),
  }),
  fc.record({
    type: fc.constant('require_approval'),
    body: fc.constant({ effect: 'require_approval', approval: {}, when: { path: ['/b', '/a/deep'] } }),
  }),
  fc.record({
    type: fc.constant('rate_limit'),
    body: fc.constantFrom({ limit: 1, window_seconds: 60 }, { limit: 1, window_seconds: 300, per: 'grant' }),
  }),
  fc.record({
    type: fc.constant('ttl'),
    body: fc.constantFrom({ max_idle_seconds: 60 }, { max_grant_age_seconds: 600 }),
  }),
  fc.record({ type: fc.constant('nothing known'), body: fc.constant({}) }),
)

const grantChange = fc.oneof(
  fc
    .tuple(index, index, fc.constantFrom(...LABELS))
    .map(([who, of, label]) =>
      change(`grant ${who % 3} ${of % 2} ${label}`, (tx, world) =>
        insertGrant(tx, world, pick([null, ...world.agents], who) ?? null, pick(world.secrets, of), label),
      ),
    ),
  fc.tuple(index, fc.constantFrom('active', 'active', 'revoked', 'deleted')).map(([which, status]) =>
    change(`grant ${status}`, (tx, world) =>
      sql`update grants g set status = ${status} where app_id = ${world.appId} and grant_id = ${pick(world.grants, which)}
        and (${status} <> 'active' or not exists (select from grants o where o.app_id = g.app_id and o.grant_id <> g.grant_id
          and o.credential_id = g.credential_id and o.principal_type = g.principal_type
          and o.principal_id is not distinct from g.principal_id and o.label is not distinct from g.label and o.status = 'active'))`.execute(
        tx,
      ),
    ),
  ),
  fc
    .tuple(index, moment)
    .map(([which, offset]) =>
      change(`grant expires ${offset}`, (tx, world, nowMs) =>
        sql`update grants set expires_at = ${at(nowMs, offset)} where app_id = ${world.appId} and grant_id = ${pick(world.grants, which)}`.execute(
          tx,
        ),
      ),
    ),
  fc
    .tuple(index, fc.constantFrom(null, { allowed_methods: ['GET'] }, { allowed_endpoints: ['/a'] }))
    .map(([which, restrictions]) =>
      change('grant restricted', (tx, world) =>
        sql`update grants set restrictions = ${restrictions === null ? null : JSON.stringify(restrictions)}
        where app_id = ${world.appId} and grant_id = ${pick(world.grants, which)}`.execute(tx),
      ),
    ),
)

const agentChange = fc.oneof(
  fc
    .tuple(index, fc.constantFrom('active', 'active', 'inactive', 'revoked'))
    .map(([which, status]) =>
      change(`agent ${which % 2} ${status}`, (tx, world) =>
        sql`update agents set status = ${status} where app_id = ${world.appId} and agent_id = ${pick(world.agents, which)}`.execute(
          tx,
        ),
      ),
    ),
  fc.tuple(index, fc.subarray([...SLUGS]), fc.boolean(), moment).map(([which, slugs, later, offset]) =>
    change(`agent ${which % 2} scopes ${slugs} ${later ? offset : ''}`, (tx, world, nowMs) => {
      const scopes = JSON.stringify({ managed_secret_slugs: slugs })
      return later
        ? sql`update agents set scopes_pending = ${scopes}, scopes_applies_at = ${at(nowMs, offset)}
            where app_id = ${world.appId} and agent_id = ${pick(world.agents, which)}`.execute(tx)
        : sql`update agents set scopes = ${scopes}, scopes_pending = null, scopes_applies_at = null
            where app_id = ${world.appId} and agent_id = ${pick(world.agents, which)}`.execute(tx)
    }),
  ),
)

const keyChange = fc.oneof(
  fc
    .tuple(index, moment)
    .map(([which, offset]) =>
      change(`key ${which % 4} expires ${offset}`, (tx, world, nowMs) =>
        sql`update keys set expires_at = ${at(nowMs, offset)} where app_id = ${world.appId} and key_id = ${pick(world.keys, which)?.id}`.execute(
          tx,
        ),
      ),
    ),
  fc
    .tuple(index, fc.constantFrom(false, false, true))
    .map(([which, revoked]) =>
      change(`key ${which % 4} revoked ${revoked}`, (tx, world, nowMs) =>
        sql`update keys set revoked_at = ${revoked ? new Date(nowMs) : null} where app_id = ${world.appId} and key_id = ${pick(world.keys, which)?.id}`.execute(
          tx,
        ),
      ),
    ),
  fc.tuple(index, moment).map(([which, offset]) =>
    change(`key ${which % 4} rotated ${offset}`, (tx, world, nowMs) =>
      sql`update keys set rotated_to = ${offset === null ? null : newId()}, grace_until = ${at(nowMs, offset)}
        where app_id = ${world.appId} and key_id = ${pick(world.keys, which)?.id}`.execute(tx),
    ),
  ),
  fc
    .tuple(index, fc.constantFrom(null, ['203.0.113.0/24'], ['203.0.113.7/32'], ['198.51.100.0/24']))
    .map(([which, cidrs]) =>
      change(`key ${which % 4} from ${cidrs}`, (tx, world) =>
        sql`update keys set cidr_allowlist = ${cidrs} where app_id = ${world.appId} and key_id = ${pick(world.keys, which)?.id}`.execute(
          tx,
        ),
      ),
    ),
  fc
    .tuple(index, fc.constantFrom(['proxy:execute'], ['proxy:execute'], ['grants:read']))
    .map(([which, scopes]) =>
      change(`key ${which % 4} scopes ${scopes}`, (tx, world) =>
        sql`update keys set scopes = ${scopes} where app_id = ${world.appId} and key_id = ${pick(world.keys, which)?.id}`.execute(
          tx,
        ),
      ),
    ),
)

const ruleChange = fc.oneof(
  fc
    .tuple(ruleBody, index, index, fc.constantFrom(false, false, false, true), moment)
    .map(([rule, target, which, shadow, offset]) =>
      change(
        `rule ${rule.type} ${JSON.stringify(rule.body)} on ${target % 8} ${shadow ? 'shadow' : ''} until ${offset}`,
        (tx, world, nowMs) => {
          const ruleId = newId()
          world.rules.push(ruleId)
          const targets: [string, string | undefined][] = [
            ['app', world.appId],
            ['agent', pick(world.agents, which)],
            ['key', pick(world.keys, which)?.id],
            ['grant', pick(world.grants, which)],
            ['provider', pick(SLUGS, which)],
          ]
          const [type, id] = targets[Math.max(0, (target % 8) - 3)] as [string, string | undefined]
          return sql`insert into rules (app_id, rule_id, target_type, target_id, type, name, body, mode, expires_at, created_by, updated_by)
        values (${world.appId}, ${ruleId}, ${type}, ${id ?? world.appId}, ${rule.type}, 'a rule', ${JSON.stringify(rule.body)},
          ${shadow ? 'shadow' : 'enforce'}, ${at(nowMs, offset)}, ${CREATED_BY}, ${CREATED_BY})`.execute(tx)
        },
      ),
    ),
  fc
    .tuple(index, fc.boolean())
    .map(([which, enabled]) =>
      change(`rule enabled ${enabled}`, (tx, world) =>
        sql`update rules set enabled = ${enabled}, version = version + 1 where app_id = ${world.appId} and rule_id = ${pick(world.rules, which)}`.execute(
          tx,
        ),
      ),
    ),
  index.map((which) =>
    change('rule deleted', (tx, world) =>
      sql`delete from rules where app_id = ${world.appId} and rule_id = ${pick(world.rules, which)}`.execute(tx),
    ),
  ),
  fc.constantFrom('/a', '/b').map((path) =>
    change(
      `organization denies ${path}`,
      (tx, world) => {
        const ruleId = newId()
        world.organizationRules.push(ruleId)
        return sql`insert into organization_rules (organization_id, rule_id, type, name, body, created_by, updated_by)
          values (${world.organizationId}, ${ruleId}, 'json_match', 'a rule', ${JSON.stringify({ effect: 'deny', when: { path } })}, ${CREATED_BY}, ${CREATED_BY})`.execute(
          tx,
        )
      },
      'organization',
    ),
  ),
  index.map((which) =>
    change(
      'rule of the organization deleted',
      (tx, world) =>
        sql`delete from organization_rules where organization_id = ${world.organizationId} and rule_id = ${pick(world.organizationRules, which)}`.execute(
          tx,
        ),
      'organization',
    ),
  ),
)

const otherChange = fc.oneof(
  fc
    .constantFrom('live', 'live', 'live', 'archived')
    .map((status) =>
      change(`app ${status}`, (tx, world) =>
        sql`update apps set status = ${status} where app_id = ${world.appId}`.execute(tx),
      ),
    ),
  fc
    .tuple(index, fc.constantFrom('active', 'active', 'deleted'))
    .map(([which, status]) =>
      change(`secret ${status}`, (tx, world) =>
        sql`update managed_secrets set status = ${status} where app_id = ${world.appId} and managed_secret_id = ${pick(world.secrets, which)?.id}`.execute(
          tx,
        ),
      ),
    ),
  fc
    .tuple(index, fc.constantFrom('api.example', 'api.example', 'other.example'))
    .map(([which, host]) =>
      change(`secret for ${host}`, (tx, world) =>
        sql`update managed_secrets set allowed_hosts = ${[host]} where app_id = ${world.appId} and managed_secret_id = ${pick(world.secrets, which)?.id}`.execute(
          tx,
        ),
      ),
    ),
  fc
    .tuple(index, fc.constantFrom('active', 'active', 'revoked'))
    .map(([which, status]) =>
      change(`credential ${status}`, (tx, world) =>
        sql`update credentials set status = ${status} where app_id = ${world.appId} and credential_id = ${pick(world.secrets, which)?.credentialId}`.execute(
          tx,
        ),
      ),
    ),
)

type Use = {
  kind: 'use'
  process: number
  key: number
  grant: number | null
  slug: number
  label: number | null
  path: number
  as: number | null
}
type Step = Use | { kind: 'change'; change: Change } | { kind: 'wait'; ms: number } | { kind: 'again'; which: number }

const use = fc.record({
  kind: fc.constant('use' as const),
  process: fc.nat(1),
  key: index,
  grant: mostlyNull(index),
  slug: fc.constantFrom(0, 0, 1),
  label: mostlyNull(fc.nat(2)),
  path: index,
  as: mostlyNull(fc.nat(1)),
})

const anyChange = fc
  .oneof(grantChange, grantChange, ruleChange, ruleChange, ruleChange, agentChange, keyChange, otherChange)
  .map((made) => ({ kind: 'change' as const, change: made }))

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: use },
  // What a process has seen before is what it may remember wrongly.
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('again' as const), which: fc.nat(3) }) },
  { weight: 5, arbitrary: anyChange },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1_000, 30_000, 61_000) }),
  },
)

const spoken = (steps: readonly Step[]): string =>
  steps.map((each) => (each.kind === 'change' ? each.change.what : JSON.stringify(each))).join('\n')

function requestOf(each: Use, world: World): ProxyRequestBody {
  const grantId = each.grant === null ? undefined : pick(world.grants, each.grant)
  const label = each.label === null ? null : LABELS[each.label]
  return {
    method: 'POST',
    url: `https://api.example${pick(PATHS, each.path)}`,
    ...(grantId === undefined
      ? { provider_id: pick(SLUGS, each.slug) as string, ...(label == null ? {} : { label }) }
      : { grant_id: grantId }),
  }
}

it('decides every use as if it had read everything anew', { timeout: 120_000 }, async () => {
  const seen = new Map<Verdict, number>()
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60, size: 'max' }), async (steps) => {
      await using opened = new AsyncDisposableStack()
      const test = opened.use(await createManagementTest())
      const world = await seedApp(test)
      const processes = [startProcess(test), startProcess(test)]
      for (const process of processes) opened.defer(process.close)
      const decideSlowly = createSlowTwin({ db: test.db, clock: test.clock, keyDigest })
      const uses: Use[] = []

      async function run(each: Use, place: number): Promise<void> {
        const body = requestOf(each, world)
        const presented = signedPresented({
          apiKey: pick(world.keys, each.key)?.plain ?? '',
          path: '/sdk/proxy',
          body,
          clock: test.clock,
          ...(each.as === null ? {} : { caller: pick(world.agents, each.as) as string }),
        })
        const slow = await decideSlowly(presented, body)
        const fast = await processes[each.process]?.use(presented, body)
        seen.set(slow, (seen.get(slow) ?? 0) + 1)
        expect(fast, `step ${place} of\n${spoken(steps.slice(0, place + 1))}`).toBe(slow)
      }

      for (const [place, each] of steps.entries()) {
        switch (each.kind) {
          case 'wait':
            test.clock.advance(each.ms)
            break
          case 'change': {
            const { make, home } = each.change
            const change = (tx: Tx) => make(tx, world, test.clock.now())
            if (home === 'organization') await test.db.forOrganization(world.organizationId, change)
            else await test.db.forApp(world.appId, change)
            break
          }
          case 'use':
            uses.unshift(each)
            await run(each, place)
            break
          case 'again': {
            const earlier = uses[each.which]
            if (earlier !== undefined) await run(earlier, place)
          }
        }
      }
    }),
    { numRuns: 25 },
  )
  // It would prove little if all uses ended alike.
  expect(seen.get('allow') ?? 0).toBeGreaterThan(20)
  expect(seen.get('policy_denied') ?? 0).toBeGreaterThan(0)
  expect(seen.size).toBeGreaterThan(8)
})
