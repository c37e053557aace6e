import type { Endpoint } from '@alter-vault/contracts'
import type { Answer } from '../http/answer.ts'
import { type BoundEndpoint, bind, type Call, type Handler, type SuccessOf } from '../http/bind-endpoint.ts'
import type { Operator } from '../http/principals.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type ChangeAuthor, operatorAuthor } from './change-author.ts'

type OperatorHandler<E> = (
  call: Call<E> & { principal: Operator },
  author: ChangeAuthor,
) => Promise<SuccessOf<E> | Answer<SuccessOf<E> | undefined>>

/**
 * Binds an endpoint of the management API. Every "no such thing" is the one `not_found` there, with the
 * noun in its sentence only, so that an id of another app cannot be told from one that nobody has.
 */
export function bindForOperators<const E extends Endpoint>(endpoint: E, handler: OperatorHandler<E>): BoundEndpoint {
  const serve = async (call: Call<E>) => {
    const made = call as Call<E> & { principal: Operator }
    try {
      return await handler(made, operatorAuthor(made.principal))
    } catch (error) {
      if (error instanceof VaultError && error.status === 404 && error.code !== 'not_found') {
        throw new VaultError('not_found', { message: error.message, cause: error })
      }
      throw error
    }
  }
  return bind(endpoint, serve as Handler<E>)
}

/** An endpoint that is declared `inPerson`: the listener refuses every token, and nobody can come in person. */
export function refuseTokens(endpoint: Endpoint): BoundEndpoint {
  return bind(endpoint, async () => {
    throw new Error('never reached: the listener refuses tokens here')
  })
}
