import { Agent } from './agent.ts'
import { CallerType } from './caller-type.ts'
import { type ClientOptions, constrainedOptions, VaultClient } from './client.ts'
import type { Constraints } from './constraints.ts'
import { createSecretGrant } from './generated/calls.ts'
import { type AlterSDKError, AlterValueError } from './generated/errors.ts'
import type { CreateGrantResult, RevokeGrantResult } from './generated/models.ts'
import { type CreateManagedSecretGrantOptions, type RevokeGrantOptions, revokeGrant } from './grant-calls.ts'
import { isUuid } from './shape.ts'

/** Options of `App`. */
export type AppOptions = ClientOptions & {
  /** What `caller` stands for; `SERVICE` unless said. */
  callerType?: CallerType
}

/** The client of an application: its own grants, its users' grants, and administration. */
export class App extends VaultClient {
  readonly #options: AppOptions

  /**
   * @throws {AlterSDKError} when the API key is not well-formed
   * @throws {AlterValueError} when another option is refused
   */
  constructor(options: AppOptions) {
    const callerType = options.callerType ?? CallerType.SERVICE
    if (!Object.values(CallerType).includes(callerType)) {
      throw new AlterValueError('"callerType" must be "agent" or "service"')
    }
    super('app', options, callerType)
    this.#options = { ...options, baseUrl: this.baseUrl }
  }

  /**
   * A sibling whose every call is narrowed to `scopes`, subject to `rule`, or both. It can only narrow: the vault refuses
   * scopes that the key does not imply.
   *
   * @throws {AlterValueError} for malformed constraints, and on a client that is constrained already
   * @throws {AlterSDKError} when the client is closed
   */
  withConstraints(constraints: Constraints): App {
    this.session.assertOpen()
    return new App(constrainedOptions(this.#options, constraints))
  }

  /**
   * A client that acts as a managed agent of this app, with the agent's access and under its name. Constraints are kept;
   * `userTokenGetter` is not.
   *
   * @throws {AlterValueError} unless the id is a UUID, and when the client is closed
   */
  getAgent(agentId: string): Agent {
    try {
      this.session.assertOpen()
    } catch (error) {
      throw new AlterValueError((error as AlterSDKError).message)
    }
    if (!isUuid(agentId)) throw new AlterValueError('The agent id must be a UUID')
    const { userTokenGetter: _userTokenGetter, callerType: _callerType, ...options } = this.#options
    return new Agent({ ...options, caller: agentId.toLowerCase() })
  }

  /**
   * Gives a user, a group, the app or an agent access to a managed secret.
   *
   * @throws {AlterValueError} for a malformed principal or policy
   * @throws {CredentialIdRequiredError} when the secret holds several credentials and none is named
   */
  createManagedSecretGrant(
    managedSecretId: string,
    options: CreateManagedSecretGrantOptions,
  ): Promise<CreateGrantResult> {
    return this.session.invoke(createSecretGrant, { ...options, managedSecretId })
  }

  /**
   * Ends a grant for good. Once it answers, no further use of the grant begins.
   * @throws {GrantNotFoundError} when there is no such grant
   */
  revokeGrant(grantId: string, options: RevokeGrantOptions = {}): Promise<RevokeGrantResult> {
    return revokeGrant(this.session, grantId, options)
  }
}
