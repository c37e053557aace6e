import Type from 'typebox'
import { operator } from './access.ts'
import { managementApi } from './api.ts'
import { readsConfiguration } from './endpoint.ts'
import { ListOf, PathId, pageQuery } from './list.ts'
import { Nullable, Timestamp, Uuid } from './primitives.ts'

/** What an organization asks of keys minted from now on. Null: no limit of its own. */
export const KeyPolicy = Type.Object({
  max_key_ttl_days: Nullable(Type.Integer({ minimum: 1, maximum: 3_650 })),
  require_expiry: Type.Boolean(),
  require_cidr: Type.Boolean(),
  max_rate_limit_rpm: Nullable(Type.Integer({ minimum: 1, maximum: 100_000 })),
  max_derived_key_ttl_hours: Type.Integer({ minimum: 1, maximum: 24 }),
  max_rotation_grace_days: Type.Integer({ minimum: 0, maximum: 30 }),
  allowed_scopes: Nullable(Type.Array(Type.String())),
  max_pat_ttl_days: Type.Integer({ minimum: 1, maximum: 365 }),
})

export const OrganizationSettings = Type.Object({
  agent_scope_widening_delay_seconds: Type.Integer({ minimum: 0, maximum: 604_800 }),
  key_policy: KeyPolicy,
  /** SDK requests a minute over all keys of the organization. */
  rate_limit_rpm: Type.Integer({ minimum: 1 }),
})

export const Organization = Type.Object({
  id: Uuid,
  name: Type.String(),
  slug: Type.String(),
  settings: OrganizationSettings,
  version: Type.Integer(),
  created_at: Timestamp,
})

export type KeyPolicy = Type.Static<typeof KeyPolicy>
export type OrganizationSettings = Type.Static<typeof OrganizationSettings>
export type Organization = Type.Static<typeof Organization>

const reads = {
  method: 'GET',
  tag: 'organizations',
  access: operator({ scope: 'org:read' }),
  audit: readsConfiguration,
} as const
const params = Type.Object({ organization_id: PathId })

/** A token belongs to one organization, so the list has one entry. */
export const listOrganizations = managementApi.defineEndpoint({
  ...reads,
  id: 'list_organizations',
  path: '/api/v1/organizations',
  summary: 'List organizations',
  query: Type.Object(pageQuery),
  success: ListOf(Organization),
})

export const showOrganization = managementApi.defineEndpoint({
  ...reads,
  id: 'show_organization',
  path: '/api/v1/organizations/:organization_id',
  summary: 'Show an organization',
  params,
  success: Organization,
})

export const showKeyPolicy = managementApi.defineEndpoint({
  ...reads,
  id: 'show_key_policy',
  path: '/api/v1/organizations/:organization_id/key-policy',
  summary: 'Show what the organization asks of new keys',
  params,
  success: KeyPolicy,
})
