import { appSettings } from '@alter-vault/contracts'
import { sql } from 'kysely'
import { camelCased } from '../db/column-names.ts'
import type { Tx } from '../db/database.ts'
import type { Row } from '../db/schema.generated.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { compileRules, type StoredRule } from '../policy/compile-rules.ts'
import type { AppPolicy } from './app-policy.ts'

type RuleRow = Pick<
  Row<'rules'>,
  'rule_id' | 'version' | 'type' | 'name' | 'body' | 'body_version' | 'enabled' | 'mode' | 'expires_at' | 'managed_by'
> & { target_type: string; target_id: string }

/** An app's rules, those of its organization, and its settings, with the epoch they belong to. Read in one snapshot. */
export async function loadAppPolicy(tx: Tx, appId: string): Promise<AppPolicy> {
  const app = await sql<{
    organization_id: string
    environment: string
    status: 'live' | 'archived' | 'deleted'
    settings: unknown
    epoch: number
  }>`
    select a.organization_id, a.environment, a.status, a.settings,
      (select f.version from fences f where f.app_id = a.app_id and f.subject = 'epoch') as epoch
    from apps a where a.app_id = ${appId}`.execute(tx)
  const row = app.rows[0]
  if (row === undefined) throw new VaultError('app_not_found_for_key')
  const stored = await loadStoredRules(tx, appId)
  const settings = appSettings(row.settings)
  return {
    appId,
    appStatus: row.status,
    appEnvironment: row.environment,
    rules: compileRules(stored),
    approvalDefaults: { channels: settings.default_approval_channels ?? [], requireReason: settings.require_reason },
    allowedPrivateHosts: new Set(settings.allowed_private_hosts),
    captureBodies: settings.capture_bodies === 'on',
    epoch: { subject: 'epoch', version: row.epoch },
  }
}

/** Every rule of an app and of its organization, disabled ones included. */
export async function loadStoredRules(tx: Tx, appId: string): Promise<StoredRule[]> {
  const { rows } = await sql<RuleRow>`
    select rule_id, version, target_type, target_id, type, name, body, body_version, enabled, mode, expires_at, managed_by
    from rules where app_id = ${appId}
    union all
    select rule_id, version, 'organization', organization_id::text, type, name, body, body_version, enabled, mode, null, 'operator'
    from organization_rules where organization_id = (select organization_id from apps where app_id = ${appId})`.execute(
    tx,
  )
  return rows.map(toStoredRule)
}

function toStoredRule(row: RuleRow): StoredRule {
  const { ruleId: id, targetType, targetId, expiresAt, ...rule } = camelCased(row)
  return { ...rule, id, target: { type: targetType, id: targetId }, expiresAtMs: expiresAt?.getTime() ?? null }
}
