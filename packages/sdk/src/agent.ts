import { type AuditContext, assertNotReserved, runWithContext } from './audit-context.ts'
import { CallerType } from './caller-type.ts'
import { type ClientOptions, constrainedOptions, VaultClient } from './client.ts'
import type { Constraints } from './constraints.ts'
import { showOwnAgent } from './generated/calls.ts'
import type { AgentInfo } from './generated/models.ts'

/** Options of `Agent`. */
export type AgentOptions = ClientOptions

/** Labels of a trace. */
export type TraceOptions = {
  /** The run that the calls belong to. */
  runId?: string
  /** The conversation that the run belongs to. */
  threadId?: string
  /** Who set this agent to work; unless said, the agent of the enclosing trace. */
  parent?: Agent | string
  /** Further labels, as they are. */
  metadata?: AuditContext
}

/** The client of an AI agent or workload: grants that were delegated to it or that it owns. */
export class Agent extends VaultClient {
  readonly #options: AgentOptions
  readonly #traceName: string

  /**
   * @throws {AlterSDKError} when the API key is not well-formed
   * @throws {AlterValueError} when another option is refused
   */
  constructor(options: AgentOptions) {
    super('agent', options, CallerType.AGENT)
    this.#options = { ...options, baseUrl: this.baseUrl }
    this.#traceName = options.caller ?? `agent-local-${crypto.randomUUID()}`
  }

  /**
   * The agent that this client acts as.
   * @throws {MeRequiresAgentKeyError} when the key is no agent's and no agent is named as caller
   */
  me(): Promise<AgentInfo> {
    return this.session.invoke(showOwnAgent, {})
  }

  /**
   * A sibling whose every call is narrowed to `scopes`, subject to `rule`, or both. It can only narrow: the vault refuses
   * scopes that the key does not imply.
   *
   * @throws {AlterValueError} for malformed constraints, and on a client that is constrained already
   * @throws {AlterSDKError} when the client is closed
   */
  withConstraints(constraints: Constraints): Agent {
    this.session.assertOpen()
    return new Agent(constrainedOptions(this.#options, constraints))
  }

  /**
   * Runs a function in which every call of any client carries this agent's name and these labels into the audit log,
   * asynchronous work that it starts included. Traces nest: inner labels win, the outer agent becomes the parent.
   *
   * @returns what the function returns
   * @throws {AlterValueError} past 20 labels, 64 characters a name, 512 a value, 4,096 in all, and for reserved names
   */
  trace<T>({ runId, threadId, parent, metadata = {} }: TraceOptions, run: () => T): T {
    assertNotReserved(metadata)
    return runWithContext((outer) => {
      const outerAgent = outer.agent === this.#traceName ? undefined : outer.agent
      const parentName = parent instanceof Agent ? parent.#traceName : (parent ?? outerAgent)
      return {
        ...metadata,
        agent: this.#traceName,
        ...(parentName !== undefined && { parent_agent: parentName }),
        ...(runId !== undefined && { run_id: runId }),
        ...(threadId !== undefined && { thread_id: threadId }),
      }
    }, run)
  }
}
