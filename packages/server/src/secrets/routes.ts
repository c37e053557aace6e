import * as contract from '@alter-vault/contracts'
import type { BoundEndpoint } from '../http/bind-endpoint.ts'
import { parsePage } from '../kernel/page.ts'
import { bindForOperators } from '../management/index.ts'
import type { Secrets } from './create-secrets.ts'

/** Managed secrets; their grants are served by the grants slice. */
export function createSecretRoutes({ credentials }: { credentials: Secrets }): BoundEndpoint[] {
  return [
    bindForOperators(contract.listManagedSecrets, async ({ app, query }) =>
      credentials.listManagedSecrets(app, query, parsePage(query)),
    ),
    bindForOperators(contract.createManagedSecret, async ({ app, body }, author) =>
      credentials.createManagedSecret({ app, author, ...body }),
    ),
    bindForOperators(contract.showManagedSecret, async ({ app, params }) =>
      credentials.showManagedSecret(app, params.managed_secret_id),
    ),
    bindForOperators(contract.updateManagedSecret, async ({ app, params, body, expectedVersion }, author) =>
      credentials.updateManagedSecret({
        app,
        author,
        managedSecretId: params.managed_secret_id,
        expectedVersion,
        change: body,
      }),
    ),
    bindForOperators(contract.setAllowedHosts, async ({ app, params, body, expectedVersion }, author) =>
      credentials.updateManagedSecret({
        app,
        author,
        managedSecretId: params.managed_secret_id,
        expectedVersion,
        change: body,
      }),
    ),
    bindForOperators(contract.rotateManagedSecret, async ({ app, params, body }, author) =>
      credentials.rotateManagedSecret({
        app,
        author,
        managedSecretId: params.managed_secret_id,
        value: body.value,
        ...(body.credential_id === undefined ? {} : { credentialId: body.credential_id }),
      }),
    ),
    bindForOperators(contract.deleteManagedSecret, async ({ app, params, body, expectedVersion }, author) =>
      credentials.deleteManagedSecret({
        app,
        author,
        managedSecretId: params.managed_secret_id,
        expectedVersion,
        confirm: body.confirm,
        force: body.force ?? false,
      }),
    ),
  ]
}
