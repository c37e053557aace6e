import type { RecordEvent } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import type { AppRef, ChangeAuthor } from '../management/index.ts'

/** What secrets ask of the grants, which build on them. */
export type GrantsOfSecrets = {
  /** Makes the grant by which app keys reach a new secret; the transaction holds the app's lock. Returns its id. */
  createBaseGrant(
    tx: Tx,
    record: RecordEvent,
    input: { app: AppRef; author: ChangeAuthor; managedSecretId: string; slug: string; credentialId: string; at: Date },
  ): Promise<string>
  /** The grants of a secret that are not revoked, expired ones too, and the live ones by principal type. */
  countGrants(
    tx: Tx,
    appId: string,
    managedSecretId: string,
    at: Date,
  ): Promise<{ unrevoked: number; live: Record<string, number> }>
}
