import Type from 'typebox'
import { operator } from './access.ts'
import { managementApi } from './api.ts'
import { audited, readsConfiguration } from './endpoint.ts'
import { ListOf, PathId, pageQuery } from './list.ts'
import { Email, Name, Nullable, Timestamp, Uuid } from './primitives.ts'
import { ApprovalChannel, RuleRemark } from './rule.ts'

const HexColor = Type.String({ pattern: '^#[0-9a-fA-F]{6}$' })
const Url = Type.String({ minLength: 1, maxLength: 2_048 })
const Environment = Type.String({ pattern: '^[a-z][a-z0-9-]{0,31}$' })
const Description = Type.String({ maxLength: 1_000 })

/** How pages for people look. */
export const AppBranding = Type.Object({
  display_name: Type.Optional(Nullable(Type.String({ minLength: 1, maxLength: 60 }))),
  primary_color: Type.Optional(Nullable(HexColor)),
  background_color: Type.Optional(Nullable(HexColor)),
  support_email: Type.Optional(Nullable(Email)),
  privacy_url: Type.Optional(Nullable(Url)),
  terms_url: Type.Optional(Nullable(Url)),
})

const settings = {
  /** Null: every channel that is configured. */
  default_approval_channels: Nullable(Type.Array(ApprovalChannel, { uniqueItems: true, maxItems: 4 })),
  /** Null: for ever. */
  retain_runtime_days: Nullable(Type.Integer({ minimum: 30, maximum: 3_650 })),
  retain_body_days: Type.Integer({ minimum: 0, maximum: 365 }),
  capture_bodies: Type.Enum(['on', 'metadata_only']),
  max_active_keys: Type.Integer({ minimum: 1, maximum: 1_000 }),
  pending_approvals_limit: Type.Integer({ minimum: 1, maximum: 500 }),
  approval_result_ttl_seconds: Type.Integer({ minimum: 3_600, maximum: 604_800 }),
  require_reason: Type.Boolean(),
  connect_session_ttl_seconds: Type.Integer({ minimum: 60, maximum: 3_600 }),
  connect_origins: Type.Array(Url, { maxItems: 20, uniqueItems: true }),
  connect_ip_lock: Type.Boolean(),
  connect_require_sign_in: Type.Boolean(),
  /** What `proxy_only` is for a new secret that does not say. */
  secrets_proxy_only: Type.Boolean(),
  wallet_listed: Type.Boolean(),
  wallet_hidden_sections: Type.Array(Type.String({ pattern: '^[a-z_]{1,40}$' }), { maxItems: 20, uniqueItems: true }),
  /** `host:port` entries: the only private destinations that the app may dial. Changed by owners only. */
  allowed_private_hosts: Type.Array(Type.String({ minLength: 3, maxLength: 262 }), { maxItems: 50 }),
}

export const AppSettings = Type.Object(settings)
export const AppSettingsChange = Type.Partial(AppSettings)

export const App = Type.Object({
  id: Uuid,
  organization_id: Uuid,
  name: Type.String(),
  slug: Type.String(),
  description: Nullable(Type.String()),
  environment: Type.String(),
  website_url: Nullable(Type.String()),
  status: Type.Enum(['live', 'archived']),
  branding: AppBranding,
  settings: AppSettings,
  /** Grows with each change of a rule or of the app itself. */
  policy_epoch: Type.Integer(),
  version: Type.Integer(),
  created_at: Timestamp,
  archived_at: Nullable(Timestamp),
})

/** An app as its author gets it back, with settings of the change that do not do what they say. */
export const WrittenApp = Type.Object({ ...App.properties, warnings: Type.Array(RuleRemark) })

export const AppStats = Type.Object({
  active_keys: Type.Integer(),
  active_agents: Type.Integer(),
  managed_secrets: Type.Integer(),
  live_grants: Type.Integer(),
})
export const AppWithStats = Type.Object({ ...App.properties, stats: Type.Optional(AppStats) })

export type AppBranding = Type.Static<typeof AppBranding>
export type AppSettings = Type.Static<typeof AppSettings>
export type App = Type.Static<typeof App>
export type WrittenApp = Type.Static<typeof WrittenApp>

export const defaultAppSettings: AppSettings = {
  default_approval_channels: null,
  retain_runtime_days: 365,
  retain_body_days: 30,
  capture_bodies: 'on',
  max_active_keys: 50,
  pending_approvals_limit: 500,
  approval_result_ttl_seconds: 86_400,
  require_reason: false,
  connect_session_ttl_seconds: 600,
  connect_origins: [],
  connect_ip_lock: false,
  connect_require_sign_in: false,
  secrets_proxy_only: false,
  wallet_listed: false,
  wallet_hidden_sections: [],
  allowed_private_hosts: [],
}

/** The settings of an app with every default filled in. */
export const appSettings = (stored: unknown): AppSettings => ({
  ...defaultAppSettings,
  ...(stored as Partial<AppSettings> | null),
})

const tag = 'apps'
const reads = { method: 'GET', tag, access: operator({ scope: 'apps:read' }), audit: readsConfiguration } as const
const params = Type.Object({ app_id: PathId })
const changeable = {
  name: Name,
  description: Nullable(Description),
  environment: Environment,
  website_url: Nullable(Url),
  branding: AppBranding,
  settings: AppSettingsChange,
}

export const listApps = managementApi.defineEndpoint({
  ...reads,
  id: 'list_apps',
  path: '/api/v1/apps',
  summary: 'List the apps of the organization',
  query: Type.Object({
    ...pageQuery,
    include_archived: Type.Optional(Type.Boolean()),
    include_stats: Type.Optional(Type.Boolean()),
    search: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
  }),
  success: ListOf(AppWithStats),
})

export const createApp = managementApi.defineEndpoint({
  id: 'create_app',
  method: 'POST',
  path: '/api/v1/apps',
  repeatable: true,
  summary: 'Create an app',
  tag,
  access: operator({ scope: 'apps:write' }),
  body: Type.Object({
    name: changeable.name,
    description: Type.Optional(changeable.description),
    environment: Type.Optional(changeable.environment),
    website_url: Type.Optional(changeable.website_url),
    branding: Type.Optional(changeable.branding),
    settings: Type.Optional(changeable.settings),
  }),
  example: { name: 'Support desk', environment: 'production', website_url: 'https://support.example.com' },
  success: WrittenApp,
  status: 201,
  errors: ['app_name_exists', 'conflict'],
  audit: audited('app.created'),
  versioned: true,
})

export const showApp = managementApi.defineEndpoint({
  ...reads,
  id: 'show_app',
  path: '/api/v1/apps/:app_id',
  summary: 'Show an app',
  params,
  query: Type.Object({ include_stats: Type.Optional(Type.Boolean()) }),
  success: AppWithStats,
  versioned: true,
})

export const updateApp = managementApi.defineEndpoint({
  id: 'update_app',
  method: 'PATCH',
  path: '/api/v1/apps/:app_id',
  summary: 'Change an app',
  tag,
  access: operator({ scope: 'apps:write' }),
  params,
  body: Type.Partial(Type.Object(changeable), { minProperties: 1 }),
  example: { description: 'Answers customers', settings: { require_reason: true } },
  success: WrittenApp,
  errors: ['app_name_exists'],
  audit: audited('app.updated'),
  versioned: true,
})

export const archiveApp = managementApi.defineEndpoint({
  id: 'archive_app',
  method: 'POST',
  path: '/api/v1/apps/:app_id/archive',
  repeatable: true,
  summary: 'Stop the keys of an app and end what waits; reversible',
  tag,
  access: operator({ scope: 'apps:write' }),
  params,
  success: App,
  audit: audited('app.archived'),
  versioned: true,
})

export const unarchiveApp = managementApi.defineEndpoint({
  id: 'unarchive_app',
  method: 'POST',
  path: '/api/v1/apps/:app_id/unarchive',
  repeatable: true,
  summary: 'Let the keys of an archived app work again',
  tag,
  access: operator({ scope: 'apps:write' }),
  params,
  success: App,
  errors: ['app_not_archived'],
  audit: audited('app.unarchived'),
  versioned: true,
})

export const deleteApp = managementApi.defineEndpoint({
  id: 'delete_app',
  method: 'DELETE',
  path: '/api/v1/apps/:app_id',
  summary: 'Delete an app for ever: keys revoked, credentials destroyed',
  tag,
  access: operator({ scope: 'apps:delete' }),
  params,
  /** `confirm` is the app's name. */
  body: Type.Object({ confirm: Type.String({ maxLength: 200 }) }),
  example: { confirm: 'Support desk' },
  success: Type.Object({ id: Uuid, deleted: Type.Literal(true) }),
  errors: ['confirm_mismatch'],
  audit: audited('app.deleted'),
  versioned: true,
})
