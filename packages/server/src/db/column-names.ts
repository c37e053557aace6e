type CamelCase<Name> = Name extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<CamelCase<Tail>>}` : Name

/** A row whose columns have the names that they have in TypeScript. What the columns hold is left as it is. */
export type CamelCased<Row> = { [column in keyof Row as CamelCase<column>]: Row[column] }

export function camelCased<Row extends object>(row: Row): CamelCased<Row> {
  return renamed(row, (column) => column.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()))
}

/** The other way, for what is written. */
export function snakeCased<Row extends object>(values: CamelCased<Row>): Row {
  return renamed(values, (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`))
}

const renamed = <To>(from: object, nameOf: (name: string) => string): To =>
  Object.fromEntries(Object.entries(from).map(([name, value]) => [nameOf(name), value])) as To
