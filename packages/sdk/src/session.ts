/** What all calls of one client share: its backend, its user's token, its background work and whether it is closed. */
import { ambientContext } from './audit-context.ts'
import type { Backend, BackendAnswer, BackendCall } from './backend.ts'
import { type Call, type Given, requestOf } from './call.ts'
import { agentsError, type FailedAnswer, mainError } from './error-mapping.ts'
import { AlterSDKError, AlterValueError, BackendError } from './generated/errors.ts'
import type { RetryInfo } from './generated/models.ts'
import type { Runtime } from './runtime.ts'

/** Gives the token of the user on whose behalf calls are made; `undefined` when there is none at the moment. */
export type UserTokenGetter = () => string | undefined | null | Promise<string | undefined | null>

export type SessionDeps = {
  kind: 'app' | 'agent'
  backend: Backend
  runtime: Runtime
  timeoutMs: number
  userTokenGetter: UserTokenGetter | undefined
}

export type SessionOptions = Omit<BackendCall, 'method' | 'path' | 'body'> & {
  /** Only the statuses that the contract names are a good answer; otherwise every 2xx is. */
  exact?: boolean
  /** What a refusal becomes. */
  refusal?: (answer: FailedAnswer) => AlterSDKError
}

export type Session = ReturnType<typeof createSession>

export function createSession({ kind, backend, runtime, timeoutMs, userTokenGetter }: SessionDeps) {
  const background = new Set<Promise<void>>()
  let closed = false
  let lastRetryInfo: RetryInfo | null = null

  function assertOpen(): void {
    if (closed) throw new AlterSDKError('The client is closed')
  }

  return {
    kind,
    runtime,
    timeoutMs,
    backend,
    assertOpen,
    lastRetryInfo: () => lastRetryInfo,
    rememberRetryInfo(info: RetryInfo | null): void {
      lastRetryInfo = info
    },

    /**
     * Makes one call of the contract, labeled with the ambient context unless it has its own, and reads its answer.
     * @throws {AlterValueError} naming the property of `input` that is not as it must be
     * @throws {AlterSDKError} when the client is closed, and what `refusal` makes of an answer that is not accepted
     */
    async invoke<Input extends object, Output>(
      call: Call<Input, Output>,
      input: Given<Input>,
      options: SessionOptions = {},
    ): Promise<Output> {
      assertOpen()
      const { exact, refusal = call.path.startsWith('/sdk/agents') ? agentsError : mainError, ...how } = options
      const context = how.context ?? nonEmpty(ambientContext())
      const answer = await backend.send({ ...requestOf(call, input), ...how, context })
      const isGood = exact ? Object.hasOwn(call.answers, answer.status) : isSuccess(answer.status)
      if (!isGood) throw refusal(answer)
      return readAnswer(answer, call.answers[answer.status] ?? Object.values(call.answers)[0]!)
    },

    /** The argument, else what the getter gives. */
    async userToken(argument: string | undefined): Promise<string | undefined> {
      const token = argument ?? (await userTokenGetter?.()) ?? undefined
      if (token !== undefined && (typeof token !== 'string' || token === '')) {
        throw new AlterValueError('A user token must be a non-empty string')
      }
      return token
    },

    /** Lets work finish behind the caller's back; its failure is a warning. `close()` waits for it. */
    runInBackground(work: () => Promise<void>): void {
      const task = work()
        .catch((error: unknown) => runtime.warn(error instanceof Error ? error.message : String(error)))
        .finally(() => background.delete(task))
      background.add(task)
    },

    async close(): Promise<void> {
      closed = true
      while (background.size > 0) await Promise.all(background)
    },
  }
}

/** @throws {BackendError} when a good answer is not what the protocol promises */
function readAnswer<T>(answer: BackendAnswer, Answer: new (json: never) => T): T {
  try {
    return new Answer(answer.json as never)
  } catch (error) {
    if (!(error instanceof AlterValueError)) throw error
    throw new BackendError(`The vault's answer cannot be read: ${error.message}`, {
      ...error.details,
      status_code: answer.status,
    })
  }
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300
}

function nonEmpty<T extends object>(labels: T): T | undefined {
  return Object.keys(labels).length === 0 ? undefined : labels
}
