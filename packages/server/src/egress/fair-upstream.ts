import type { Upstream } from './upstream.ts'
import { UpstreamError } from './upstream-error.ts'

export type CallShares = {
  /** Calls of one app at one time in this process. */
  appCalls: number
  /** Calls with one API key. */
  keyCalls: number
}

/** Half and a quarter of what the process sends at one time. */
export const CALL_SHARES: CallShares = { appCalls: 512, keyCalls: 256 }

/** Sends for everybody, and lets nobody take all of the calls that the process makes at one time. */
export function createFairUpstream({ send }: Pick<Upstream, 'send'>, shares = CALL_SHARES): Pick<Upstream, 'send'> {
  const apps = createCount(shares.appCalls)
  const keys = createCount(shares.keyCalls)

  return {
    async send(request) {
      const { appId, keyId } = request.owner
      if (!apps.begin(appId)) throw tooMany('this app')
      if (keyId !== null && !keys.begin(keyId)) {
        apps.end(appId)
        throw tooMany('this API key')
      }
      try {
        return await send(request)
      } finally {
        apps.end(appId)
        if (keyId !== null) keys.end(keyId)
      }
    },
  }
}

const tooMany = (whose: string) =>
  new UpstreamError('service_unavailable', false, {
    message: `Too many calls of ${whose} wait for their providers. Nothing was sent.`,
    retryAfterSeconds: 1,
  })

function createCount(limit: number) {
  const counts = new Map<string, number>()
  return {
    begin(name: string): boolean {
      const count = counts.get(name) ?? 0
      if (count >= limit) return false
      counts.set(name, count + 1)
      return true
    },
    end(name: string): void {
      const left = counts.get(name)! - 1
      if (left === 0) counts.delete(name)
      else counts.set(name, left)
    },
  }
}
