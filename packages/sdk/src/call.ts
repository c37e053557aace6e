/** Calls of the contract, as the generated tables describe them. */
import { AlterValueError } from './base-errors.ts'
import { camelCase, type Fields, type Model, writeObject } from './shape.ts'
import { encodeStrictly } from './signing.ts'

export type Call<Input, Output> = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** With `:name` parameters. */
  readonly path: string
  readonly query?: Fields
  readonly body?: Fields
  /** What each good status answers. Empty: nothing that is read. */
  readonly answers: Readonly<Record<number, new (json: never) => Output & Model<object>>>
  /** Path parameters, query and body together. A type only. */
  readonly input?: Input
}

type OptionalKeys<T> = { [K in keyof T]-?: object extends Pick<T, K> ? K : never }[keyof T]
/** What is optional may be given as undefined, and as null, which the vault takes for absent. */
export type Given<Input> = Omit<Input, OptionalKeys<Input>> & {
  [K in OptionalKeys<Input>]?: Input[K] | null | undefined
}

/**
 * Method, path and body of a call.
 * @throws {AlterValueError} naming the property that is unknown or not as it must be
 */
export function requestOf<Input extends object>(
  { method, path, query, body }: Call<Input, unknown>,
  input: Given<Input>,
) {
  const rest: Record<string, unknown> = { ...input }
  const target = path.replace(/:([a-z_]+)/g, (_parameter, name: string) => {
    const property = camelCase(name)
    const { [property]: value } = rest
    delete rest[property]
    if (typeof value !== 'string' || value === '') throw new AlterValueError(`"${property}" must be a non-empty string`)
    return encodeStrictly(value)
  })
  const written = Object.entries(writeObject({ ...query, ...body }, rest))
  const inQuery = ([name]: [string, unknown]) => query !== undefined && Object.hasOwn(query, name)
  const pairs = written.filter(inQuery).map(([name, value]) => `${name}=${encodeStrictly(String(value))}`)
  return {
    method,
    path: pairs.length === 0 ? target : `${target}?${pairs.join('&')}`,
    ...(body && { body: Object.fromEntries(written.filter((member) => !inQuery(member))) }),
  }
}
