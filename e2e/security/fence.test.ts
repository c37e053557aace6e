import { existsSync } from 'node:fs'
import { expect, it } from 'vitest'
import { runRevocationStorm } from '../support/revocation-storm.ts'

it.skipIf(!existsSync('/proc/self/stat'))(
  'lets nothing through on what was revoked, whatever breaks meanwhile (needs /proc to see that a process is stopped)',
  async () => {
    const report = await runRevocationStorm({ revocations: 16, callers: 6, killEveryMs: 150 })
    expect(report.violations).toEqual([])
    // It would prove nothing had nothing happened.
    expect(report.answered).toBeGreaterThan(0)
    expect(report.refusedAfterwards).toBeGreaterThan(0)
    expect(report.killedBackends).toBeGreaterThan(0)
    expect(report.revokedInUse).toBeGreaterThan(report.revocations / 2)
    for (const way of ['append before', 'append after', 'append late']) {
      expect(report.brokenLinks[way], way).toBeGreaterThan(0)
    }
  },
)
