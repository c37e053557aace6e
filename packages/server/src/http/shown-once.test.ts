import { Nullable, ShownOnce } from '@alter-vault/contracts'
import Type from 'typebox'
import { expect, it } from 'vitest'
import type { JsonSchema } from '../kernel/json-schema.ts'
import { withoutShownOnce } from './shown-once.ts'

it('leaves out what is declared to be shown once, at any depth, and everything that looks like a key', () => {
  const schema = Type.Object({
    name: Type.String(),
    secret: ShownOnce(Type.String()),
    keys: Type.Array(Type.Object({ value: ShownOnce(Type.String()), prefix: Type.String() })),
    first: Nullable(Type.Object({ webhook_secret: ShownOnce(Type.String()) })),
    undeclared: Type.Unknown(),
  })
  const value = {
    name: 'ci',
    secret: 'whsec_1',
    keys: [{ value: 'v', prefix: 'p' }],
    first: { webhook_secret: 'x' },
    undeclared: { token: 'alter_pat_aaaaaaaaaaaaaaaaaaaaaa_l77ykl', at: 5 },
  }
  const kept = structuredClone(value)
  expect(withoutShownOnce(schema as unknown as JsonSchema, value)).toEqual({
    name: 'ci',
    secret: null,
    keys: [{ value: null, prefix: 'p' }],
    first: { webhook_secret: null },
    undeclared: { token: null, at: 5 },
  })
  expect(value).toEqual(kept)
})
