/** The catalog of scopes that API keys can hold. */
import { type Form, integer, isObject, readFields, textList } from './read-fields.ts'
import { type FromWire, type OnWire, toWire } from './wire-names.ts'

/** What can be done with one resource. */
export type ScopeResource = { readonly verbs: readonly string[] }

const resourceMap: Form<Readonly<Record<string, ScopeResource>>> = {
  expects: 'an object of resources with verbs',
  read: (value) => {
    if (!isObject(value)) return undefined
    const resources: Record<string, ScopeResource> = {}
    for (const [name, resource] of Object.entries(value)) {
      const verbs = isObject(resource) ? textList.read(resource.verbs) : undefined
      if (!verbs) return undefined
      resources[name] = { verbs }
    }
    return resources
  },
}

/** Answer of `scopes.list()`. A scope is written `resource:verb`. */
export class ScopeCatalog {
  readonly scopeVersion: number
  readonly resources: Readonly<Record<string, ScopeResource>>
  /** Verbs that change something or use a credential. */
  readonly actionVerbs: readonly string[]
  /** Scopes that are still accepted and should no longer be given. */
  readonly deprecated: readonly string[]

  /** @throws {AlterValueError} naming the field that is not as promised. */
  constructor(fields: FromWire<ScopeCatalog>) {
    const read = readFields('the scope catalog', fields)
    this.scopeVersion = read.required('scopeVersion', integer)
    this.resources = read.required('resources', resourceMap)
    this.actionVerbs = read.required('actionVerbs', textList)
    this.deprecated = read.optional('deprecated', textList) ?? []
  }

  toJSON(): OnWire<ScopeCatalog> {
    return toWire(this) as OnWire<ScopeCatalog>
  }
}
