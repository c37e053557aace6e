import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { parse } from 'yaml'

const CASES = join(import.meta.dirname, '../../../../policies/cases')

const Exactly = <P extends Type.TProperties>(properties: P) => Type.Object(properties, { additionalProperties: false })
const Nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()])
const Json = Type.Record(Type.String(), Type.Unknown())
const Optional = Type.Optional
const Effect = Type.Union([Type.Literal('allow'), Type.Literal('deny'), Type.Literal('hold')])

/** The form of a file of `policies/cases`; its README says what each member means. */
const GoldenCase = Exactly({
  title: Type.String(),
  at: Optional(Type.String()),
  phase: Optional(Type.Union([Type.Literal('request'), Type.Literal('execution')])),
  request: Optional(
    Exactly({
      mode: Optional(Type.Union([Type.Literal('retrieve'), Type.Literal('proxy')])),
      method: Optional(Type.String()),
      url: Optional(Type.String()),
      headers: Optional(Type.Record(Type.String(), Type.String())),
      body: Optional(Type.String()),
      body_base64: Optional(Type.String()),
      client_ip: Optional(Type.String()),
      agent: Optional(Nullable(Type.Literal('B'))),
      user_status: Optional(Type.String()),
    }),
  ),
  request_rule: Optional(Exactly({ rule_type: Type.String(), rule_body: Json })),
  rules: Optional(
    Type.Array(
      Exactly({
        name: Type.String(),
        on: Type.String(),
        type: Type.String(),
        body: Json,
        body_version: Optional(Type.Integer()),
        mode: Optional(Type.String()),
      }),
    ),
  ),
  agreed: Optional(Type.Array(Type.String())),
  spent: Optional(Type.Array(Type.String())),
  decision: Exactly({
    refused_before: Optional(Type.String()),
    effect: Effect,
    error: Optional(Type.String()),
    status: Type.Integer(),
    reasons: Optional(
      Type.Array(
        Exactly({
          code: Type.String(),
          rule: Nullable(Type.String()),
          effect: Optional(Effect),
          shadow: Optional(Type.Boolean()),
          retryable_at: Optional(Type.String()),
          details: Optional(Json),
        }),
      ),
    ),
    shadow_effect: Optional(Effect),
    retry_after_seconds: Optional(Type.Integer()),
    gates: Optional(
      Type.Array(
        Exactly({
          approvers: Type.Array(Json),
          quorum: Type.Integer(),
          window_seconds: Type.Integer(),
          rules: Type.Array(Type.String()),
        }),
      ),
    ),
  }),
  audit: Exactly({
    events: Type.Array(Type.String(), { minItems: 1 }),
    entry: Exactly({
      outcome: Type.String(),
      decision_effect: Nullable(Effect),
      primary_reason: Nullable(Type.String()),
      shadow_reasons: Optional(Type.Array(Type.String())),
    }),
    upstream_calls: Type.Integer({ minimum: 0 }),
    execution_error: Optional(Type.String()),
  }),
})
export type GoldenCase = Type.Static<typeof GoldenCase>

/** The ids of the world that every case happens in, by the names that the cases use. */
export const BASE_IDS = {
  O: '00000000-0000-4000-8000-0000000000a0',
  A: '00000000-0000-4000-8000-0000000000a1',
  K: '00000000-0000-4000-8000-0000000000a2',
  G: '00000000-0000-4000-8000-0000000000a3',
  B: '00000000-0000-4000-8000-0000000000a4',
  user: '00000000-0000-4000-8000-0000000000a5',
  provider: 'stripe',
} as const

/** The id of the rule that a case lists at `index`. */
export function goldenRuleId(index: number): string {
  return `00000000-0000-4000-8000-${String(100 + index).padStart(12, '0')}`
}

/** Reads every golden case by file name, without its ending. Throws for a file of another form. */
export function readGoldenCases(): [name: string, golden: GoldenCase][] {
  const validator = Compile(GoldenCase)
  return readdirSync(CASES)
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .map((file) => {
      const golden: unknown = parse(readFileSync(join(CASES, file), 'utf8'))
      if (validator.Check(golden)) return [file.slice(0, -'.yaml'.length), golden]
      const [fault] = validator.Errors(golden)
      throw new Error(`policies/cases/${file}: ${fault?.instancePath} ${fault?.message}`)
    })
}
