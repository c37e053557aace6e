/** What all calls of one client share: its backend, its user's token, its background work and whether it is closed. */
import { ambientContext } from './audit-context.ts'
import type { Backend, BackendAnswer, BackendCall } from './backend.ts'
import { type FailedAnswer, mainError } from './error-mapping.ts'
import { AlterSDKError, AlterValueError, BackendError } from './errors.ts'
import type { RetryInfo } from './retry-info.ts'
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

export type SessionCall = BackendCall & {
  /** Which statuses are a good answer; 2xx unless said. */
  accepts?: (status: number) => boolean
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
    hasUserTokenGetter: userTokenGetter !== undefined,
    lastRetryInfo: () => lastRetryInfo,
    rememberRetryInfo(info: RetryInfo | null): void {
      lastRetryInfo = info
    },

    /**
     * Sends one call, labeled with the ambient context unless it has its own.
     * @throws {AlterSDKError} when the client is closed, and what `refusal` makes of an answer that is not accepted
     */
    async call({ accepts = isSuccess, refusal = mainError, ...call }: SessionCall): Promise<BackendAnswer> {
      assertOpen()
      const answer = await backend.send({ ...call, context: call.context ?? nonEmpty(ambientContext()) })
      if (!accepts(answer.status)) throw refusal(answer)
      return answer
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

/**
 * Makes an object of this SDK from a good answer.
 * @throws {BackendError} when the answer is not what the protocol promises
 */
export function readAnswer<T>(answer: BackendAnswer, read: (json: unknown) => T): T {
  try {
    return read(answer.json)
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
