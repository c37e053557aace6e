import { Environment } from '@marcbachmann/cel-js'
import { contextDocument } from '../context-document.ts'

/**
 * Makes the environment that parses expressions and checks their types against the context document.
 *
 * It never evaluates: a policy needs what the library's evaluator does not have, namely unknown attributes, a cost limit, regular
 * expressions in linear time, and dates that do not depend on the server's own time zone.
 */
export function createCelEnvironment(): Environment {
  class Cidr {}
  const created = new Environment({
    homogeneousAggregateLiterals: false,
    limits: { maxAstNodes: 1_000, maxDepth: 40, maxListElements: 200, maxMapEntries: 100, maxCallArguments: 4 },
  })
  const unused = () => {
    throw new Error('this environment only checks')
  }
  created.registerType('Cidr', { ctor: Cidr, fields: {} })
  created.registerFunction('cidr(string): Cidr', unused)
  created.registerFunction('Cidr.contains(string): bool', unused)
  created.registerFunction('glob(string, string): bool', unused)
  const namespaces = new Map<string, Record<string, string>>()
  for (const [name, { type, nullable }] of Object.entries(contextDocument)) {
    const declared = nullable ? 'dyn' : type
    const [namespace, member] = name.split('.') as [string, string | undefined]
    if (member === undefined) {
      created.registerVariable(name, declared)
      continue
    }
    const members = namespaces.get(namespace) ?? {}
    members[member] = declared
    namespaces.set(namespace, members)
  }
  for (const [name, schema] of namespaces) created.registerVariable({ name, schema })
  return created
}

/** The first parts of the dotted names: `request`, `agent`, `grant` and so on. */
export const namespaceNames: ReadonlySet<string> = new Set(
  Object.keys(contextDocument).flatMap((name) => name.split('.', 1)),
)
