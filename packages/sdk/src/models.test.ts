import * as contracts from '@alter-vault/contracts'
import fc from 'fast-check'
import type Type from 'typebox'
import { Check } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { type WireSchema, wireValue } from '../test/wire-values.ts'
import { AlterValueError } from './generated/errors.ts'
import * as models from './generated/models.ts'
import {
  AgentInfo,
  APICallAuditLog,
  ApprovalResult,
  ApprovalStatus,
  CreateGrantResult,
  PendingApproval,
  RetryInfo,
  RevokeGrantResult,
  ScopeCatalog,
  UnifiedGrantListResult,
} from './generated/models.ts'
import { camelCase } from './shape.ts'

const ID = '00000000-0000-4000-8000-000000000010'
const AT = '2026-01-01T00:00:00.123456+00:00'

/** A class and the most complete object it reads; every field differs from its default. */
const SAMPLES: [name: string, Class: new (fields: never) => { toJSON(): unknown }, wire: Record<string, unknown>][] = [
  [
    'PendingApproval',
    PendingApproval,
    {
      approval_id: ID,
      approval_group_id: ID,
      status: 'pending',
      expires_at: AT,
      expires_in: 60,
      approval_url: 'https://vault.example/a',
      gates: [{ approval_id: ID, expires_at: AT, expires_in: 60, approval_url: 'https://vault.example/a' }],
    },
  ],
  [
    'ApprovalStatus',
    ApprovalStatus,
    {
      approval_id: ID,
      approval_group_id: ID,
      status: 'failed',
      gates: [{ approval_id: ID, status: 'approved', expires_at: AT, decided_at: AT }],
      expires_at: AT,
      decided_at: AT,
      decision_reason: 'ok',
      executed_at: AT,
      execution_error: 'x',
      has_result: true,
    },
  ],
  [
    'ApprovalResult',
    ApprovalResult,
    {
      approval_id: ID,
      status_code: 200,
      headers: { 'X-Camel-Case': 'a', snake_case: 'b' },
      body_b64: 'YQ==',
      body_truncated: true,
      duration_ms: 5,
      credential_hint: 'rotate',
    },
  ],
  [
    'UnifiedGrantListResult',
    UnifiedGrantListResult,
    {
      grants: [
        {
          grant_kind: 'oauth',
          grant_id: ID,
          provider_id: 'google',
          status: 'active',
          created_at: AT,
          principal_type: 'system',
          scopes: ['a'],
          account_identifier: 'a@x',
          account_display_name: 'A',
          api_base_url: 'https://www.googleapis.com',
          label: 'work',
          credential_id: 'c',
          scope_mismatch: true,
          needs_reconnect: true,
          delegated_agent_ids: [ID],
          access_via: 'oauth_delegation',
          grant_policy: { camelKey: 1, snake_key: { max_ttl_seconds: 1 } },
          expires_at: AT,
          grant_expires_at: AT,
          last_used_at: AT,
          delegated_at: AT,
          parent_grant_id: ID,
          depth: 2,
          delegable: true,
          scope_constraint: ['a'],
        },
        {
          grant_kind: 'managed_secret',
          grant_id: ID,
          managed_secret_id: 'm',
          managed_secret_slug: 'stripe',
          managed_secret_name: 'Stripe',
          status: 'revoked',
          created_at: AT,
          principal_type: 'group',
          agent_id: ID,
          credential_id: 'c',
          credential_kind: 'end_user',
          credential_label: 'l',
          account_identifier: 'a',
          label: 'work',
          access_via: 'ms_delegation',
          grant_policy: { a: null },
          expires_at: AT,
          grant_expires_at: AT,
          last_used_at: AT,
          delegated_at: AT,
          parent_grant_id: ID,
          depth: 1,
          delegable: true,
          scope_constraint: [],
        },
      ],
      total: 5,
      limit: 2,
      offset: 2,
      has_more: true,
    },
  ],
  [
    'CreateGrantResult',
    CreateGrantResult,
    { grant_id: ID, principal_type: 'user', label: 'l', created_at: AT, credential_id: 'c' },
  ],
  ['RevokeGrantResult', RevokeGrantResult, { success: true, message: 'done', grant_id: ID, revoked_at: AT }],
  [
    'AgentInfo',
    AgentInfo,
    {
      id: ID,
      name: 'a',
      display_name: 'A',
      type: 'service',
      status: 'inactive',
      scopes: { googleDrive: ['read'], managed_secret_slugs: ['stripe'] },
      scopes_pending: { slack: [] },
      scopes_applies_at: AT,
      policy: { requires_approval: { approvers: [{ externalGroupId: 'x' }] } },
      metadata: { camelKey: 1, snake_key: 2, grantId: 3 },
      rate_limit_per_minute: 5,
      version: 2,
      created_at: AT,
      last_used_at: AT,
      parent_agent_id: ID,
      stored_legacy_managed_secret_names: ['old'],
    },
  ],
  [
    'RetryInfo',
    RetryInfo,
    {
      total_attempts: 2,
      successful_attempt: 2,
      errors: [{ attempt: 1, error: 'x', error_type: 'T', delay_s: 0.25, permanent: true }],
    },
  ],
  [
    'ScopeCatalog',
    ScopeCatalog,
    {
      scope_version: 4,
      resources: { managed_secrets: { verbs: ['read'] }, grants: { verbs: [] } },
      action_verbs: ['execute'],
      deprecated: ['grants:old'],
    },
  ],
  [
    'APICallAuditLog',
    APICallAuditLog,
    {
      grant_id: ID,
      provider_id: 'slack',
      token_generation: ID,
      method: 'POST',
      url: 'https://api.example.com/',
      request_headers: { 'x-a': 'b' },
      request_body: { userKey: { grant_id: 1, grantId: 2 } },
      response_status: 200,
      response_headers: { 'x-b': 'c' },
      response_body: 'text',
      latency_ms: 5,
      reason: 'r',
      context: { camelKey: 'a', snake_key: 'b' },
    },
  ],
]

describe('the types of the SDK', () => {
  test.each(SAMPLES)('%s reads its wire form and writes it back', (_name, Class, wire) => {
    const read = new Class(wire as never)
    expect(JSON.parse(JSON.stringify(read))).toEqual(wire)
    expect(new Class(read.toJSON() as never)).toEqual(read)
  })

  test.each(SAMPLES)('%s has no property in snake_case', (_name, Class, wire) => {
    expect(Object.keys(new Class(wire as never)).filter((name) => name.includes('_'))).toEqual([])
  })

  test.each(SAMPLES)('%s refuses each field of another type by its wire name', (_name, Class, wire) => {
    // These read anything: unusable values count as absent, and a request body may be any JSON.
    const lenient = ['api_base_url', 'credential_hint', 'credential_kind', 'request_body']
    for (const field of Object.keys(wire).filter((name) => !lenient.includes(name))) {
      const broken = { ...wire, [field]: Symbol('not JSON') }
      expect(() => new Class(broken as never), field).toThrow(AlterValueError)
      expect(() => new Class(broken as never), field).toThrow(`"${field}"`)
    }
  })

  test.each(SAMPLES)('%s refuses what is no object', (_name, Class) => {
    for (const value of [null, undefined, [], 'text', 7]) {
      expect(() => new Class(value as never)).toThrow(AlterValueError)
    }
  })

  test('does not read fields of the prototype', () => {
    expect(() => new RevokeGrantResult(Object.create({ success: true }))).toThrow('"success"')
  })
})

/** Every object that the SDK API answers, or that is a whole body, by its title. */
function namedSchemas(schema: WireSchema, found = new Map<string, WireSchema>()): Map<string, WireSchema> {
  if (schema.title !== undefined && schema.properties) found.set(schema.title, schema)
  const parts = [schema.items, ...(schema.anyOf ?? []), ...(schema.allOf ?? [])]
  const members = [...Object.values(schema.properties ?? {}), ...Object.values(schema.patternProperties ?? {})]
  for (const part of [...parts, ...members]) if (part) namedSchemas(part, found)
  return found
}

const SCHEMAS = new Map(
  Object.values(contracts as Record<string, unknown>)
    .filter((value): value is contracts.Endpoint => (value as contracts.Endpoint | null)?.api === contracts.sdkApi)
    .flatMap(({ success, accepted, body }) => [success, accepted, (body as WireSchema)?.title && body])
    .flatMap((schema) => [...namedSchemas((schema || {}) as WireSchema)]),
)

describe('the generated tables', () => {
  const classes = Object.entries(models) as unknown as [string, new (wire: unknown) => { toJSON(): unknown }][]

  test('are there for every object of the contract', () => {
    expect(classes.map(([name]) => name).sort()).toEqual([...SCHEMAS.keys()].sort())
  })

  test.each(classes)('%s holds every field of whatever the contract allows', (name, Class) => {
    const schema = SCHEMAS.get(name)!
    fc.assert(
      fc.property(wireValue(schema), (value) => {
        const wire = value as Record<string, unknown>
        expect(Check(schema as Type.TSchema, wire)).toBe(true)
        const read = new Class(wire) as unknown as Record<string, unknown> & { toJSON(): unknown }
        const whole = Object.entries(schema.properties!).map(([field, part]) => {
          return [field, Object.hasOwn(wire, field) ? wire[field] : (part.default ?? null)]
        })
        expect(Object.keys(read)).toEqual(whole.map(([field]) => camelCase(field as string)))
        // Nested objects fill in what they lack, as this one does.
        const again = new Class(read.toJSON()) as unknown as typeof read
        expect(again).toEqual(read)
        for (const [field, expected] of whole) {
          const written = (read.toJSON() as Record<string, unknown>)[field as string]
          expect(withoutAbsent(written, expected)).toEqual(expected)
        }
      }),
      { numRuns: 50 },
    )
  })
})

/** Of what was written, the members that were there. */
function withoutAbsent(written: unknown, expected: unknown): unknown {
  if (Array.isArray(written) && Array.isArray(expected)) {
    return written.map((item, index) => withoutAbsent(item, expected[index]))
  }
  if (typeof written !== 'object' || written === null || typeof expected !== 'object' || expected === null)
    return written
  return Object.fromEntries(
    Object.entries(written)
      .filter(([name]) => Object.hasOwn(expected, name))
      .map(([name, value]) => [name, withoutAbsent(value, (expected as Record<string, unknown>)[name])]),
  )
}
