import { randomBytes } from 'node:crypto'
import type * as contract from '@alter-vault/contracts'
import {
  appSettings,
  canonicalScopes,
  formatKey,
  KEY_RANDOM_LENGTH,
  keyPrefixOf,
  keyRandomFrom,
  type MintedKey,
  managedAgentKeyScopes,
  SCOPE_VERSION,
} from '@alter-vault/contracts'
import { type AppRow, lockApp } from '../apps/index.ts'
import { type AuditLog, appScope, type RecordEvent } from '../audit/index.ts'
import { Secret } from '../crypto/secret.ts'
import type { Tx } from '../db/database.ts'
import type { NewRow } from '../db/schema.generated.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { invalidField, VaultError } from '../kernel/vault-error.ts'
import {
  type AppRef,
  authorColumn,
  type ChangeAuthor,
  changeOnce,
  changeRow,
  changesBetween,
} from '../management/index.ts'
import { getOrganization, organizationSettings } from '../organizations/index.ts'
import { parseCidrAllowlist } from './cidr-allowlist.ts'
import { toKey } from './key.ts'
import { assertWithinKeyPolicy, parseExpiry } from './key-policy.ts'
import { countAgentKeys, countKeys, getKey, insertKey } from './key-store.ts'

export type MintDeps = { audit: Pick<AuditLog, 'change'>; clock: Clock; keyDigest: (plain: string) => Buffer }

export const MAX_KEYS_PER_AGENT = 10
const METADATA_MAX_BYTES = 4_096

export type NewKey = { app: AppRef; author: ChangeAuthor } & contract.BodyOf<typeof contract.mintKey>

/**
 * Mints a key of an app; the answer is the only place that ever shows it. Refusals: `not_found`, `invalid_scope`,
 * `invalid_cidr`, `cidr_too_wide`, `key_policy_violation`, `key_limit_reached`, `validation_failed`.
 */
export const mintKey =
  ({ audit, clock, keyDigest }: MintDeps) =>
  async (input: NewKey): Promise<MintedKey> => {
    const columns = {
      key_type: input.key_type === 'agent' ? ('ak' as const) : ('rk' as const),
      name: input.name,
      scopes: parseScopes(input.scopes),
      cidr_allowlist: input.cidr_allowlist == null ? null : parseCidrAllowlist(input.cidr_allowlist),
      rate_limit_rpm: input.rate_limit_rpm ?? null,
      expires_at: parseExpiry(input, clock.now()),
      metadata: parseMetadata(input.metadata ?? {}),
    }
    const { appId, organizationId } = input.app
    return changeOnce(audit, input.author, appScope(appId, organizationId), async (tx, record) => {
      const app = await lockApp(tx, appId)
      const { key_policy: policy } = organizationSettings((await getOrganization(tx, organizationId)).settings)
      assertWithinKeyPolicy(columns, policy, clock.now())
      const now = new Date(clock.now())
      await assertRoomForKey(tx, app, now)
      const by = { ...input, event: 'key.minted' } as const
      const { keyId, plain } = await storeNewKey(tx, record, { clock, keyDigest }, by, columns)
      return { ...toKey(await getKey(tx, appId, keyId), policy, now), api_key: plain.reveal() }
    })
  }

/** Refusal: `key_limit_reached`. The caller holds the app's lock. */
export async function assertRoomForKey(tx: Tx, app: AppRow, now: Date): Promise<void> {
  const { max_active_keys: limit } = appSettings(app.settings)
  const { active } = await countKeys(tx, app.app_id, now)
  if (active < limit) return
  throw new VaultError('key_limit_reached', {
    message: `This app has ${active} active keys; at most ${limit} are allowed.`,
    fields: { limit, active },
  })
}

/** What whoever mints a key says of it. */
type KeyColumns = Pick<NewRow<'keys'>, 'key_type' | 'name' | 'scopes' | 'agent_id' | 'parent_key_id' | 'expires_at'> &
  Pick<NewRow<'keys'>, 'cidr_allowlist' | 'rate_limit_rpm'> & { metadata: object }

/** Makes the key's text, stores its digest and records the event, in the caller's transaction. */
export async function storeNewKey(
  tx: Tx,
  record: RecordEvent,
  { clock, keyDigest }: Pick<MintDeps, 'clock' | 'keyDigest'>,
  by: { app: AppRef; author: ChangeAuthor; event: 'key.minted' | 'key.rotated' | 'key.derived' },
  columns: KeyColumns,
): Promise<{ keyId: string; plain: Secret }> {
  const plain = new Secret(formatKey(columns.key_type, keyRandomFrom(randomBytes(KEY_RANDOM_LENGTH))))
  const keyId = newId(clock.now())
  await insertKey(tx, {
    ...columns,
    app_id: by.app.appId,
    key_id: keyId,
    key_prefix: keyPrefixOf(plain.reveal()),
    digest: keyDigest(plain.reveal()),
    scope_version: SCOPE_VERSION,
    metadata: JSON.stringify(columns.metadata),
    created_by: authorColumn(by.author),
    created_at: new Date(clock.now()),
  })
  const { name, scopes, agent_id, cidr_allowlist, rate_limit_rpm, expires_at } = columns
  const changes = changesBetween({}, { name, scopes, agent_id, cidr_allowlist, rate_limit_rpm, expires_at })
  record(changeRow(by.author, { event: by.event, type: 'key', id: keyId, keyId: null, changes }))
  return { keyId, plain }
}

export type NewAgentKey = { app: AppRef; author: ChangeAuthor; agentId: string; name: string }

/**
 * Mints a key of a managed agent in the caller's transaction, which holds the app's lock. Refusal:
 * `agent_key_limit_reached` at ten live keys.
 */
export const mintKeyOfAgent =
  (deps: Pick<MintDeps, 'clock' | 'keyDigest'>) =>
  async (tx: Tx, record: RecordEvent, input: NewAgentKey): Promise<{ keyId: string; plain: Secret }> => {
    const live = await countAgentKeys(tx, input.app.appId, input.agentId, new Date(deps.clock.now()))
    if (live >= MAX_KEYS_PER_AGENT) {
      throw new VaultError('agent_key_limit_reached', {
        message: `An agent has at most ${MAX_KEYS_PER_AGENT} live keys.`,
      })
    }
    const columns = { key_type: 'ak', agent_id: input.agentId, name: input.name, metadata: {} } as const
    const scopes = [...managedAgentKeyScopes]
    return storeNewKey(tx, record, deps, { ...input, event: 'key.minted' }, { ...columns, scopes })
  }

/** Scopes in one spelling. Refusal: `invalid_scope` naming every stranger. */
export function parseScopes(texts: readonly string[]): string[] {
  const parsed = canonicalScopes(texts)
  if (parsed.ok) return parsed.scopes
  const invalid = parsed.invalid.map((text) => text.slice(0, 80))
  throw new VaultError('invalid_scope', {
    message: `"${invalid[0]}" is not a scope.`,
    hint: 'GET /api/v1/catalog/scopes lists them.',
    fields: { invalid },
  })
}

/** Refusal: `validation_failed` over 4 KiB. */
export function parseMetadata(metadata: Record<string, unknown>): Record<string, unknown> {
  const bytes = Buffer.byteLength(JSON.stringify(metadata))
  if (bytes <= METADATA_MAX_BYTES) return metadata
  throw invalidField('/metadata', `"metadata" holds ${bytes} bytes; at most ${METADATA_MAX_BYTES}.`, 'too_long')
}
