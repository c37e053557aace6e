import {
  apiKey,
  JsonObject,
  NeverAbsent,
  Nullable,
  NullWhenUnknown,
  noAudit,
  sdkApi,
  Uuid,
} from '@alter-vault/contracts'
import Type from 'typebox'
import { describe, expect, it } from 'vitest'
import { renderBrowser, renderErrors, renderSdk } from './generate-clients.ts'

const Wheel = Type.Object({ size: Type.Integer({ minimum: 1 }) }, { title: 'Wheel', description: 'One of some.' })
const Color = Type.Enum(['red', 'blue'], { title: 'Color' })

const declare = (schemas: { body?: Type.TSchema; success: Type.TSchema; accepted?: Type.TSchema }) =>
  sdkApi.defineEndpoint({
    id: 'sdk_paint_bicycle',
    method: 'POST',
    path: '/sdk/bicycles/:bicycle_id/paint',
    summary: 'Paint a bicycle',
    tag: 'sdk',
    access: apiKey({ scopes: [] }),
    params: Type.Object({ bicycle_id: Uuid }),
    errors: [],
    audit: noAudit('an example'),
    ...schemas,
  })

const paint = declare({
  body: Type.Object({
    new_color: Color,
    owner: Type.Optional(
      Type.Union([
        Type.Object({ type: Type.Literal('user'), user_token: Type.String({ maxLength: 9 }) }, { title: 'Rider' }),
        Type.Object({ type: Type.Literal('app') }, { title: 'Fleet' }),
      ]),
    ),
    count: Type.Optional(Type.Integer({ default: 1, description: 'How often.' })),
  }),
  success: Type.Object(
    {
      id: Uuid,
      color: Color,
      wheels: Type.Array(Wheel, { maxItems: 2 }),
      note: Nullable(Type.String()),
      secret: NeverAbsent(Type.String()),
      mood: NullWhenUnknown(Type.Enum(['good'])),
      bell_count: Type.Integer({ default: 0, description: 'Beside `wheels` and `bell_count`.' }),
      metadata: JsonObject,
    },
    { title: 'Bicycle', description: 'It has `bell_count` bells.' },
  ),
})

describe('the generated SDK', () => {
  it('has a class with a table for each object with a title', () => {
    expect(renderSdk([paint]).models).toContain(`
/** It has \`bellCount\` bells. */
export class Bicycle extends Model<BicycleJson> {
  static override readonly [FIELDS]: Fields = {
    id: { type: 'string', pattern: UUID },
    color: { enum: ['red', 'blue'] },
    wheels: { type: 'array', max: 2, items: { oneOf: () => [Wheel] } },
    note: { type: 'string', nullable: true, default: null },
    secret: { type: 'string', nullable: true },
    mood: { enum: ['good'], nullable: true, nullWhenUnknown: true, default: null },
    bell_count: { type: 'integer', default: 0 },
    metadata: { type: 'object' },
  }
  declare readonly id: string
  declare readonly color: Color
  declare readonly wheels: readonly Wheel[]
  declare readonly note: string | null
  declare readonly secret: string | null
  declare readonly mood: 'good' | null
  /** Beside \`wheels\` and \`bellCount\`. */
  declare readonly bellCount: number
  declare readonly metadata: Readonly<Record<string, unknown>>
}
export type BicycleJson = {
  id: string
  color: Color
  wheels: readonly WheelJson[]
  note?: string | null
  secret: string | null
  mood?: 'good' | null
  bell_count?: number
  metadata: Readonly<Record<string, unknown>>
}
`)
  })

  it('has the type of what a call takes, and the call', () => {
    const { calls, models } = renderSdk([paint])
    expect(models).toContain("export type Rider = {\n  type: 'user'\n  userToken: string\n}")
    expect(calls).toContain(`
import { Bicycle, type Color, type Fleet, type Rider } from './models.ts'

export type PaintBicycleInput = {
  bicycleId: string
  newColor: Color
  owner?: Rider | Fleet
  /** How often. */
  count?: number
}
/** Paint a bicycle. */
export const paintBicycle: Call<PaintBicycleInput, Bicycle> = {
  method: 'POST',
  path: '/sdk/bicycles/:bicycle_id/paint',
  body: {
    new_color: { enum: ['red', 'blue'] },
    owner: { oneOf: () => [{ fields: {
      type: { enum: ['user'] },
      user_token: { type: 'string', max: 9 },
    } }, { fields: {
      type: { enum: ['app'] },
    } }], optional: true },
    count: { type: 'integer', optional: true, default: 1 },
  },
  answers: {
    200: Bicycle,
  },
}
`)
  })

  it('leaves the form of what is given to the vault, and holds answers to theirs', () => {
    const both = declare({
      body: Type.Object({ wheel_id: Uuid }),
      success: Type.Object({ wheel_id: Uuid }, { title: 'Found' }),
    })
    const { calls, models } = renderSdk([both])
    expect(calls).toContain("wheel_id: { type: 'string' },")
    expect(models).toContain("wheel_id: { type: 'string', pattern: UUID },")
  })

  it('knows both answers of a call, and those among which are others', () => {
    const answer = Type.Union([Type.Intersect([Wheel, Type.Object({ extra: Type.String() })]), Type.Object({})])
    const { calls } = renderSdk([declare({ success: answer, accepted: Type.Object({}, { title: 'Later' }) })])
    expect(calls).toContain('Call<PaintBicycleInput, Wheel | Later>')
    expect(calls).toContain('answers: {\n    200: Wheel,\n    202: Later,\n  },')
  })

  it.each([
    [
      'a keyword that no client reads',
      Type.Object({ a: Type.Integer({ multipleOf: 2 }) }, { title: 'A' }),
      '"multipleOf" of "a"',
    ],
    [
      'a choice that cannot be told apart',
      Type.Object({ a: Type.Union([Type.String(), Wheel]) }, { title: 'A' }),
      'with a title',
    ],
    [
      'one name for two things',
      Type.Object({ a: Wheel, b: Type.Object({}, { title: 'Wheel' }) }, { title: 'A' }),
      '"Wheel"',
    ],
  ])('refuses %s', (_, success, message) => {
    expect(() => renderSdk([declare({ success })])).toThrow(message)
  })

  it('refuses an object that is both given and answered', () => {
    const body = Type.Object({ wheel: Wheel })
    expect(() => renderSdk([declare({ body, success: Wheel })])).toThrow('"Wheel" is both given and answered')
  })
})

describe('the generated errors', () => {
  const { classes, tables } = renderErrors({
    BackendError: { parent: 'AlterSDKError', sentence: 'The vault refused.', fields: { code: Type.String() } },
    FlatTireError: {
      parent: 'BackendError',
      sentence: 'A wheel is flat.',
      calls: ['409 flat_tire'],
      agents: ['* flat_tire'],
      fields: {
        wheel_count: Type.Integer({ description: 'Of `wheel_ids`.' }),
        wheel_ids: Type.Array(Type.String()),
        is_front: Type.Boolean(),
        tubes: Type.With(Type.Array(Type.Object({ tube_id: Type.String() })), { 'x-from': 'details.tubes' }),
      },
    },
  })

  it('have a class with a property for each field', () => {
    expect(classes).toContain(`
/** A wheel is flat. */
export class FlatTireError extends BackendError {
  /** Of \`wheelIds\`. */
  get wheelCount(): number | null {
    return integer(this.details.wheel_count)
  }
  get wheelIds(): readonly string[] {
    return texts(this.details.wheel_ids)
  }
  get isFront(): boolean {
    return flag(this.details.is_front)
  }
  get tubes(): readonly {
    readonly tubeId: string
  }[] {
    return readEach({
      tube_id: { type: 'string' },
    }, within(this.details.details, 'tubes'))
  }
}
`)
  })

  it('stand in the tables by which refusals are looked up', () => {
    expect(tables).toContain("CALL_ERRORS: ErrorTable = {\n  '409 flat_tire': errors.FlatTireError,\n}")
    expect(tables).toContain("AGENT_ERRORS: ErrorTable = {\n  '* flat_tire': errors.FlatTireError,\n}")
    expect(tables).toContain('PROXY_ERRORS: ErrorTable = {}')
  })
})

it('gives browsers methods, paths and constants, and declarations as types only', () => {
  const page = renderBrowser([paint], { paint, MAX_WHEELS: 2, WHEEL_HEADER: 'x-wheel', wheels: {} })
  expect(page).toBe(`// Written by tools/generate-clients.ts from packages/contracts. Do not edit.

import type * as contracts from '@alter-vault/contracts'
import type { BrowserEndpoint } from '../api-client.ts'

export const constants = {
  MAX_WHEELS: 2,
  WHEEL_HEADER: 'x-wheel',
} as const

/** Paint a bicycle. */
export const paint: BrowserEndpoint<typeof contracts.paint> = {
  method: 'POST',
  path: '/sdk/bicycles/:bicycle_id/paint',
}
`)
})
