import * as contract from '@alter-vault/contracts'
import type { BoundEndpoint } from '../http/bind-endpoint.ts'
import { parsePage } from '../kernel/page.ts'
import { bindForOperators } from '../management/index.ts'
import type { Secrets } from './create-secrets.ts'

const inApp = ({ app_id: appId }: { app_id: string }, { organizationId }: { organizationId: string }) => ({
  appId,
  organizationId,
})

/** Managed secrets; their grants are served by the grants slice. */
export function createSecretRoutes({ credentials }: { credentials: Secrets }): BoundEndpoint[] {
  return [
    bindForOperators(contract.listManagedSecrets, async ({ params, query, principal }) =>
      credentials.listManagedSecrets(inApp(params, principal), { search: query.search }, parsePage(query)),
    ),
    bindForOperators(contract.createManagedSecret, async ({ params, body, principal }, author) =>
      credentials.createManagedSecret({ app: inApp(params, principal), author, ...body }),
    ),
    bindForOperators(contract.showManagedSecret, async ({ params, principal }) =>
      credentials.showManagedSecret(inApp(params, principal), params.managed_secret_id),
    ),
    bindForOperators(contract.updateManagedSecret, async ({ params, body, expectedVersion, principal }, author) =>
      credentials.updateManagedSecret({
        app: inApp(params, principal),
        author,
        managedSecretId: params.managed_secret_id,
        expectedVersion,
        change: body,
      }),
    ),
    bindForOperators(contract.setAllowedHosts, async ({ params, body, expectedVersion, principal }, author) =>
      credentials.updateManagedSecret({
        app: inApp(params, principal),
        author,
        managedSecretId: params.managed_secret_id,
        expectedVersion,
        change: { allowed_hosts: body.allowed_hosts },
      }),
    ),
    bindForOperators(contract.rotateManagedSecret, async ({ params, body, principal }, author) =>
      credentials.rotateManagedSecret({
        app: inApp(params, principal),
        author,
        managedSecretId: params.managed_secret_id,
        value: body.value,
        ...(body.credential_id === undefined ? {} : { credentialId: body.credential_id }),
      }),
    ),
    bindForOperators(contract.deleteManagedSecret, async ({ params, body, expectedVersion, principal }, author) =>
      credentials.deleteManagedSecret({
        app: inApp(params, principal),
        author,
        managedSecretId: params.managed_secret_id,
        expectedVersion,
        confirm: body.confirm,
        force: body.force ?? false,
      }),
    ),
  ]
}
