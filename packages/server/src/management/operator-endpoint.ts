import type { Endpoint } from '@alter-vault/contracts'
import type { Answer } from '../http/answer.ts'
import { type BoundEndpoint, bind, bindFor, type Call, type SuccessOf } from '../http/bind-endpoint.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type AppRef, type ChangeAuthor, operatorAuthor } from './change-author.ts'
import type { Operator } from './operator.ts'

type OperatorHandler<E> = (
  call: Call<E, Operator> & { app: E extends { params: { properties: { app_id: unknown } } } ? AppRef : undefined },
  author: ChangeAuthor,
) => Promise<SuccessOf<E> | Answer<SuccessOf<E> | undefined>>

/**
 * Binds an endpoint of the management API, with the app that its path names. Every "no such thing" is the one `not_found` there,
 * with the noun in its sentence only, so that an id of another app cannot be told from one that nobody has.
 */
export function bindForOperators<const E extends Endpoint & { access: { kind: 'operator' } }>(
  endpoint: E,
  handler: OperatorHandler<E>,
): BoundEndpoint {
  return bindFor<'operator', Operator>()(endpoint, async (call) => {
    const { app_id: appId }: { app_id?: string } = call.params
    const app = appId === undefined ? undefined : { appId, organizationId: call.principal.organizationId }
    try {
      return await handler({ ...call, app } as Parameters<typeof handler>[0], operatorAuthor(call.principal, call.once))
    } catch (error) {
      if (error instanceof VaultError && error.status === 404 && error.code !== 'not_found') {
        throw new VaultError('not_found', { message: error.message, cause: error })
      }
      throw error
    }
  })
}

/** An endpoint that is declared `inPerson`: the listener refuses every token, and nobody can come in person. */
export function refuseTokens(endpoint: Endpoint): BoundEndpoint {
  return bind(endpoint, async () => {
    throw new Error('never reached: the listener refuses tokens here')
  })
}
