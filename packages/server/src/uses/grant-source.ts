import type { Tx } from '../db/database.ts'
import type { GrantKind, SourceFacts } from './grant-facts.ts'
import { loadSecrets } from './secret-source-store.ts'

/** Reads sources of one kind by their ids, in the transaction that reads the grants. One that is not found is left out. */
export type LoadSources = (tx: Tx, appId: string, sourceIds: readonly string[]) => Promise<Map<string, SourceFacts>>

/** Where the credentials of each kind of grant come from. A grant of a kind that is not here cannot be used. */
export type GrantSources = { readonly [kind in GrantKind]?: LoadSources }

export const grantSources: GrantSources = { managed_secret: loadSecrets }
