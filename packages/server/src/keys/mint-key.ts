import { randomBytes } from 'node:crypto'
import {
  canonicalScopes,
  formatKey,
  KEY_RANDOM_LENGTH,
  type KeyType,
  keyPrefixOf,
  keyRandomFrom,
  type MintedKey,
  managedAgentKeyScopes,
  SCOPE_VERSION,
} from '@alter-vault/contracts'
import { type AppRow, appSettings, lockApp } from '../apps/index.ts'
import { type AuditLog, appScope, type RecordEvent } from '../audit/index.ts'
import { Secret } from '../crypto/secret.ts'
import type { Tx } from '../db/database.ts'
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

export type NewKey = {
  app: AppRef
  author: ChangeAuthor
  name: string
  scopes: readonly string[]
  keyType?: 'runtime' | 'agent'
  cidrAllowlist?: readonly string[] | null
  rateLimitRpm?: number | null
  expiresIn?: string
  expiresAt?: string
  metadata?: Record<string, unknown>
}

/**
 * Mints a key of an app; the answer is the only place that ever shows it. Refusals: `not_found`, `invalid_scope`,
 * `invalid_cidr`, `cidr_too_wide`, `key_policy_violation`, `key_limit_reached`, `validation_failed`.
 */
export const mintKey =
  ({ audit, clock, keyDigest }: MintDeps) =>
  async (input: NewKey): Promise<MintedKey> => {
    const scopes = parseScopes(input.scopes)
    const cidrAllowlist = input.cidrAllowlist == null ? null : parseCidrAllowlist(input.cidrAllowlist)
    const expiresAt = parseExpiry({ expires_in: input.expiresIn, expires_at: input.expiresAt }, clock.now())
    const metadata = parseMetadata(input.metadata ?? {})
    const { appId, organizationId } = input.app
    const rateLimitRpm = input.rateLimitRpm ?? null
    return changeOnce(audit, input.author, appScope(appId, organizationId), async (tx, record) => {
      const app = await lockApp(tx, appId)
      const { key_policy: policy } = organizationSettings((await getOrganization(tx, organizationId)).settings)
      assertWithinKeyPolicy({ scopes, cidrAllowlist, rateLimitRpm, expiresAt }, policy, clock.now())
      const now = new Date(clock.now())
      await assertRoomForKey(tx, app, now)
      const { keyId, plain } = await storeNewKey(
        tx,
        record,
        { clock, keyDigest },
        {
          app: input.app,
          author: input.author,
          event: 'key.minted',
          type: input.keyType === 'agent' ? 'ak' : 'rk',
          agentId: null,
          parentKeyId: null,
          name: input.name,
          scopes,
          cidrAllowlist,
          rateLimitRpm,
          expiresAt,
          metadata,
        },
      )
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

export type StoredKey = {
  app: AppRef
  author: ChangeAuthor
  event: 'key.minted' | 'key.rotated' | 'key.derived'
  type: KeyType
  agentId: string | null
  parentKeyId: string | null
  name: string
  scopes: readonly string[]
  cidrAllowlist: readonly string[] | null
  rateLimitRpm: number | null
  expiresAt: Date | null
  metadata: Record<string, unknown>
}

/** Makes the key's text, stores its digest and records the event, in the caller's transaction. */
export async function storeNewKey(
  tx: Tx,
  record: RecordEvent,
  { clock, keyDigest }: Pick<MintDeps, 'clock' | 'keyDigest'>,
  key: StoredKey,
): Promise<{ keyId: string; plain: Secret }> {
  const plain = new Secret(formatKey(key.type, keyRandomFrom(randomBytes(KEY_RANDOM_LENGTH))))
  const keyId = newId(clock.now())
  await insertKey(tx, {
    app_id: key.app.appId,
    key_id: keyId,
    agent_id: key.agentId,
    name: key.name,
    key_prefix: keyPrefixOf(plain.reveal()),
    key_type: key.type,
    digest: keyDigest(plain.reveal()),
    scopes: [...key.scopes],
    scope_version: SCOPE_VERSION,
    cidr_allowlist: key.cidrAllowlist === null ? null : [...key.cidrAllowlist],
    rate_limit_rpm: key.rateLimitRpm,
    expires_at: key.expiresAt,
    deprecated_at: null,
    revoked_at: null,
    rotated_to: null,
    grace_until: null,
    parent_key_id: key.parentKeyId,
    metadata: JSON.stringify(key.metadata),
    created_by: authorColumn(key.author),
    created_at: new Date(clock.now()),
  })
  const shown = {
    name: key.name,
    scopes: key.scopes,
    agent_id: key.agentId,
    cidr_allowlist: key.cidrAllowlist,
    rate_limit_rpm: key.rateLimitRpm,
    expires_at: key.expiresAt,
  }
  record(
    changeRow(key.author, {
      event: key.event,
      type: 'key',
      id: keyId,
      keyId: null,
      changes: changesBetween({}, shown),
    }),
  )
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
    return storeNewKey(tx, record, deps, {
      ...input,
      event: 'key.minted',
      type: 'ak',
      parentKeyId: null,
      scopes: managedAgentKeyScopes,
      cidrAllowlist: null,
      rateLimitRpm: null,
      expiresAt: null,
      metadata: {},
    })
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
