import { existsSync } from 'node:fs'
import { expect, it } from 'vitest'
import { runRevocationStorm } from '../support/revocation-storm.ts'

it.skipIf(!existsSync('/proc/self/stat'))(
  'lets nothing through on a revoked grant, key or agent or past a new rule, whatever breaks meanwhile (needs /proc to see a stopped process)',
  async () => {
    const report = await runRevocationStorm({ revocations: 36, callers: 6, killEveryMs: 150 })
    expect(report.violations).toEqual([])
    // It would prove nothing had nothing happened.
    expect(report.answered).toBeGreaterThan(100)
    expect(report.refusedAfterwards).toBeGreaterThan(0)
    expect(report.revokedInUse).toBe(report.revocations)
    expect(report.killedBackends).toBeGreaterThan(5)
    expect(Object.keys(report.brokenLinks).filter((name) => name.startsWith('append')).length).toBe(3)
  },
)
